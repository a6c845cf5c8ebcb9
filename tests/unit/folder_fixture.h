/* A folder of a test's own, with files made in it by name and removed with it. */
#ifndef TESTS_UNIT_FOLDER_FIXTURE_H
#define TESTS_UNIT_FOLDER_FIXTURE_H

#include "common/atomic_file.h"
#include "common/names.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka wants the standard ones first */
#include <cmocka.h>

static inline int folder_setup(void **state) {
    char template[] = "/tmp/registrar-unit-XXXXXX";
    const char *folder = mkdtemp(template);
    *state = folder ? strdup(folder) : NULL;
    return *state ? 0 : -1;
}

static inline int folder_remove_entry(const char *path, const struct stat *status, int type,
                                      struct FTW *place) {
    (void)status, (void)type, (void)place;
    return remove(path);
}

static inline int folder_teardown(void **state) {
    if (*state)
        (void)nftw(*state, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

/* folder/name with these bytes; its parents are made. */
static inline void folder_write_bytes(const char *folder, const char *name, const void *bytes,
                                      size_t length) {
    CLEANUP_FREE char *path = names_format("%s/%s", folder, name);
    char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash) {
        fail();
        return;
    }
    *slash = '\0';
    assert_int_equal(atomic_file_make_folders(path, NULL), 0);
    *slash = '/';
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0777);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
}

static inline void folder_write(const char *folder, const char *name, const char *text) {
    folder_write_bytes(folder, name, text, strlen(text));
}

static inline void folder_make(const char *folder, const char *name) {
    CLEANUP_FREE char *path = names_format("%s/%s", folder, name);
    assert_int_equal(atomic_file_make_folders(path, NULL), 0);
}

/* The text holds the part; prints the text when it does not. */
static inline void assert_in(const char *part, const char *text) {
    if (!text || !strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text ? text : "(null)");
}

#endif
