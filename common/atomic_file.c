/* See atomic_file.h. An error from fsync is never retried on the same file: the kernel has already
 * marked the pages clean, so a second success would prove nothing. */
#include "common/atomic_file.h"

#include "common/whole_write.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

char *atomic_file_temporary_name(const char *path) {
    char *name = NULL;
    if (asprintf(&name, "%s.tmp", path) < 0)
        return NULL;
    return name;
}

int atomic_file_sync_folder(const char *path, struct failure *failure) {
    CLEANUP_FREE char *copy = strdup(path);
    if (!copy)
        return failure_set_errno(failure, -ENOMEM, "cannot sync the folder of %s", path);
    const char *folder = dirname(copy);
    CLEANUP_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot open the folder %s", folder);
    if (fsync(fd) < 0 && errno != EINVAL) /* some network file systems cannot sync a folder */
        return failure_set_errno(failure, -errno, "cannot sync the folder %s", folder);
    return 0;
}

int atomic_file_publish(const char *temporary, const char *path, struct failure *failure) {
    CLEANUP_CLOSE int fd =
        open(temporary, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot open %s", temporary);
    if (fsync(fd) < 0)
        return failure_set_errno(failure, -errno, "cannot write %s to disk", temporary);
    if (rename(temporary, path) < 0)
        return failure_set_errno(failure, -errno, "cannot rename %s to %s", temporary, path);
    return atomic_file_sync_folder(path, failure);
}

int atomic_file_write(const char *path, const void *bytes, size_t length, struct failure *failure) {
    CLEANUP_FREE char *temporary = atomic_file_temporary_name(path);
    if (!temporary)
        return failure_set_errno(failure, -ENOMEM, "cannot write %s", path);
    if (unlink(temporary) < 0 && errno != ENOENT)
        return failure_set_errno(failure, -errno, "cannot remove the stale %s", temporary);
    CLEANUP_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot create %s", temporary);
    int r = whole_write(fd, bytes, length);
    if (r == 0 && close(STEAL_FD(fd)) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(temporary); /* the write's own error is the one to tell */
        return failure_set_errno(failure, r, "cannot write %s", temporary);
    }
    r = atomic_file_publish(temporary, path, failure);
    if (r < 0)
        (void)unlink(temporary); /* as above; it is gone when only the folder's sync failed */
    return r;
}

/* The end of an array of nothing but numbers that begins here, or NULL. */
static const char *end_of_numbers(const char *text) {
    size_t length = *text == '[' ? strspn(text + 1, "0123456789+-.eE, \n") : 0;
    return length > 0 && text[1 + length] == ']' ? text + 1 + length : NULL;
}

/* Copies the number at *from to `to`, with as few digits as still make the same number: 0.1, where
 * jansson prints 0.10000000000000001. Moves *from to its last character. Returns the new end. */
static char *copy_number(const char **from, char *to) {
    enum { ALWAYS_EXACT = 15, ALL = 17 };
    const size_t length = strspn(*from, "0123456789+-.eE");
    char shorter[64];
    const char *best = *from;
    size_t best_length = length;
    const bool is_real = memchr(*from, '.', length);
    const double value = strtod(*from, NULL);
    for (int digits = ALWAYS_EXACT; is_real && length > ALWAYS_EXACT && digits < ALL; digits++) {
        (void)snprintf(shorter, sizeof(shorter), "%.*g", digits, value);
        if (strlen(shorter) >= length || strtod(shorter, NULL) != value ||
            !strpbrk(shorter, ".e")) /* a real stays one: 1234567890123456.0 */
            continue;
        best = shorter;
        best_length = strlen(shorter);
        break;
    }
    memmove(to, best, best_length);
    *from += length - 1;
    return to + best_length;
}

/* Makes jansson's text fit for people, in place: each array of numbers, such as a matrix's row, is
 * on one line, and no number has idle digits. Strings stay as they are. Returns the new length. */
static size_t tidy_numbers(char *text) {
    char *to = text;
    const char *end = NULL; /* of the array of numbers that we are in */
    bool quoted = false;
    for (const char *from = text; *from; from++) {
        if (quoted && *from == '\\')
            *to++ = *from++;
        else if (*from == '"')
            quoted = !quoted;
        else if (!quoted && !end)
            end = end_of_numbers(from);
        if (end && (*from == ' ' || *from == '\n'))
            continue;
        if (!quoted && (*from == '-' || (*from >= '0' && *from <= '9')))
            to = copy_number(&from, to);
        else
            *to++ = *from;
        if (end && *from == ',')
            *to++ = ' '; /* jansson breaks the line after it, so there is room */
        if (from == end)
            end = NULL;
    }
    *to = '\0';
    return (size_t)(to - text);
}

int atomic_file_write_json(const char *path, const json_t *value, struct failure *failure) {
    CLEANUP_FREE char *text = json_dumps(value, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    if (!text)
        return failure_set_errno(failure, -ENOMEM, "cannot write %s", path);
    size_t length = tidy_numbers(text);
    text[length++] = '\n'; /* takes the place of the terminator: atomic_file_write counts bytes */
    return atomic_file_write(path, text, length, failure);
}

int atomic_file_make_folders(const char *path, struct failure *failure) {
    CLEANUP_FREE char *partial = strdup(path);
    if (!partial)
        return failure_set_errno(failure, -ENOMEM, "cannot create the folder %s", path);
    for (char *at = partial + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(partial, 0777) < 0 && errno != EEXIST)
            return failure_set_errno(failure, -errno, "cannot create the folder %s", partial);
        *at = kept;
        if (kept == '\0')
            break;
    }
    struct stat status;
    if (stat(path, &status) < 0)
        return failure_set_errno(failure, -errno, "cannot use the folder %s", path);
    if (!S_ISDIR(status.st_mode))
        return failure_set(failure, -ENOTDIR, "%s is not a folder; name another one", path);
    return 0;
}
