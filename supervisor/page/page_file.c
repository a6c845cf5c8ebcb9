/* See page_file.h. What cannot be read is not on the page: the ledger tells what happened, these
 * files only show more of it. */
#include "supervisor/page/page_file.h"

#include "common/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

bool page_file_has_folder(const char *id) {
    if (*id == '\0' || *id == '/')
        return false;
    for (const char *part = id; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return false;
    return true;
}

int page_file_open(const char *out, const char *id, const char *name, int *ret_fd,
                   uint64_t *ret_bytes) {
    struct stat status;
    if (!page_file_has_folder(id))
        return -ENOENT;
    CLEANUP_FREE char *path = names_format("%s/%s/%s", out, id, name);
    if (!path)
        return -ENOMEM;
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    *ret_bytes = (uint64_t)status.st_size;
    *ret_fd = STEAL_FD(fd);
    return 0;
}

int page_file_read(const char *out, const char *id, const char *name, size_t max_bytes, bool tail,
                   char **ret_text, size_t *ret_length) {
    CLEANUP_CLOSE int fd = -1;
    uint64_t bytes = 0;
    int r = page_file_open(out, id, name, &fd, &bytes);
    if (r < 0)
        return r;
    if (bytes > max_bytes && !tail)
        return -EFBIG;
    const uint64_t from = bytes > max_bytes ? bytes - max_bytes : 0;
    CLEANUP_FREE char *text = malloc((size_t)(bytes - from) + 1);
    size_t used = 0;
    while (text && used < bytes - from) {
        const ssize_t n =
            pread(fd, text + used, (size_t)(bytes - from) - used, (off_t)(from + used));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break; /* somebody cut it short meanwhile */
        used += (size_t)n;
    }
    if (!text)
        return -ENOMEM;
    text[used] = '\0';
    *ret_text = STEAL_PTR(text);
    *ret_length = used;
    return 0;
}

json_t *page_file_json(const char *out, const char *id, const char *name, size_t max_bytes) {
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    if (page_file_read(out, id, name, max_bytes, false, &text, &length) < 0)
        return NULL;
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}
