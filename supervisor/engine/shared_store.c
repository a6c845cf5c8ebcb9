/* Two levels deep: a folder for each stage, and files in it. See shared_store.h. */
#include "supervisor/engine/shared_store.h"

#include "common/names.h"
#include "supervisor/service/as_user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static void close_folder(DIR **folder) {
    if (*folder)
        (void)closedir(*folder); /* it was only read */
}

static DIR *open_folder(int above, const char *name) {
    CLEANUP_CLOSE int fd =
        openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder)
        (void)STEAL_FD(fd); /* the folder has it now */
    return folder;
}

static bool is_entry(const char *name) { return strcmp(name, ".") != 0 && strcmp(name, "..") != 0; }

/* Empties a stage's folder and removes it. */
static int remove_stage(int above, const char *name) {
    CLEANUP(close_folder) DIR *folder = open_folder(above, name);
    const struct dirent *entry = NULL;
    if (!folder)
        return errno == ENOTDIR ? 0 : -errno; /* no folder: nobody's here, and left */
    while ((entry = readdir(folder)))
        if (is_entry(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) < 0 &&
            errno != ENOENT)
            return -errno;
    return unlinkat(above, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_all(const char *path) {
    CLEANUP(close_folder) DIR *folder = open_folder(AT_FDCWD, path);
    const struct dirent *entry = NULL;
    int r = 0;
    if (!folder)
        return -errno;
    while (r == 0 && (entry = readdir(folder)))
        if (is_entry(entry->d_name))
            r = remove_stage(dirfd(folder), entry->d_name);
    return r == 0 && rmdir(path) < 0 ? -errno : r;
}

int shared_store_remove(const char *out, const char *shared, const struct credentials *credentials,
                        struct failure *failure) {
    CLEANUP_FREE char *path = names_format("%s/%s", out, shared);
    if (!path)
        return failure_set(failure, -ENOMEM, "no memory to remove %s/%s", out, shared);
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    int r = as_user_enter(credentials, &as_user, failure);
    if (r < 0)
        return r;
    r = remove_all(path);
    return r < 0 && r != -ENOENT
               ? failure_set_errno(failure, r, "%s is needed no longer and cannot be removed", path)
               : 0;
}
