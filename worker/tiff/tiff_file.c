/* Opening and reading image files; see tiff_file.h.
 *
 * Reads are preads on one shared descriptor: no file position, no lock. Special files are opened
 * without blocking and then refused, so a FIFO named like an image cannot hang a worker.
 */
#include "worker/tiff/tiff_file.h"

#include "common/whole_write.h"
#include "worker/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { AHEAD_BYTES = 128 * 1024 }; /* announced at once */

static int64_t mtime_ns_of(const struct stat *status) {
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

int tiff_file_open_any(const char *path, struct tiff_file *ret, struct failure *failure) {
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == EACCES && sandbox_refuses(path))
        return failure_set(failure, -EACCES,
                           "%s cannot be opened: the sandbox refuses it, as it is none of this "
                           "task's files, or was replaced since the task began",
                           path);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "%s cannot be opened", path);
    struct stat status;
    if (fstat(fd, &status) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be examined", path);
    if (S_ISDIR(status.st_mode))
        return failure_set(failure, -EISDIR, "%s is a folder; name an image file", path);
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, -EINVAL, "%s is not a regular file; name an image file", path);
    char *copy = strdup(path);
    if (!copy)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    *ret = (struct tiff_file){.path = copy,
                              .fd = STEAL_FD(fd),
                              .size = (uint64_t)status.st_size,
                              .mtime_ns = mtime_ns_of(&status)};
    return 0;
}

/* II*\0, MM\0*, and the same with 43 for BigTIFF. */
static bool looks_like_tiff(const unsigned char head[4]) {
    static const unsigned char magics[][4] = {
        {'I', 'I', 42, 0}, {'M', 'M', 0, 42}, {'I', 'I', 43, 0}, {'M', 'M', 0, 43}};
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        if (memcmp(head, magics[i], 4) == 0)
            return true;
    }
    return false;
}

int tiff_file_open(const char *path, struct tiff_file *ret, struct failure *failure) {
    struct tiff_file file = {.fd = -1};
    int r = tiff_file_open_any(path, &file, failure);
    if (r < 0)
        return r;
    unsigned char head[4] = {0};
    if (file.size == 0)
        r = failure_set(failure, -EBADMSG, "%s is empty (0 bytes); copy it again", path);
    else if (file.size < 8)
        r = failure_set(failure, -EBADMSG, "%s is cut off after %llu bytes; copy it again", path,
                        (unsigned long long)file.size);
    else
        r = tiff_file_read(&file, 0, head, sizeof(head), failure);
    if (r == 0 && !looks_like_tiff(head))
        r = failure_set(failure, -ENOTSUP,
                        "%s is not a TIFF file (it begins with %02x %02x %02x %02x); export it as "
                        "TIFF",
                        path, head[0], head[1], head[2], head[3]);
    if (r < 0) {
        tiff_file_close(&file);
        return r;
    }
    *ret = file;
    return 0;
}

void tiff_file_close(struct tiff_file *file) {
    if (!file->path)
        return;
    (void)close(file->fd); /* read only: nothing to lose */
    free(file->path);
    *file = (struct tiff_file){.fd = -1};
}

int tiff_file_read(const struct tiff_file *file, uint64_t offset, void *bytes, size_t size,
                   struct failure *failure) {
    char *at = bytes;
    while (size > 0) {
        ssize_t n = pread(file->fd, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failure_set_errno(failure, -errno, "%s cannot be read at byte %llu", file->path,
                                     (unsigned long long)offset);
        if (n == 0 && offset < file->size && tiff_file_check_unchanged(file, failure) == -ESTALE)
            return -ESTALE; /* cut short since it was opened */
        if (n == 0)
            return failure_set(failure, -EBADMSG,
                               "%s ends at byte %llu where pixels should follow; copy it again",
                               file->path, (unsigned long long)offset);
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* A length of 0 would mean the rest of the file; of one call the kernel reads no more than the
 * device's readahead (usually 128 KiB). */
void tiff_file_will_need(const struct tiff_file *file, uint64_t from, uint64_t end) {
    for (uint64_t n; from < end; from += n) {
        n = end - from < AHEAD_BYTES ? end - from : AHEAD_BYTES;
        (void)posix_fadvise(file->fd, (off_t)from, (off_t)n, POSIX_FADV_WILLNEED);
    }
}

int tiff_file_write(int fd, const char *path, uint64_t offset, const void *bytes, size_t size,
                    struct failure *failure) {
    int r = whole_write_at(fd, bytes, size, offset);
    return r < 0 ? failure_set_errno(failure, r, "%s cannot be written", path) : 0;
}

int tiff_file_check_unchanged(const struct tiff_file *file, struct failure *failure) {
    struct stat status;
    if (fstat(file->fd, &status) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be examined", file->path);
    if ((uint64_t)status.st_size != file->size || mtime_ns_of(&status) != file->mtime_ns)
        return failure_set(failure, -ESTALE,
                           "%s was changed while it was being read (%llu bytes, then %llu); run "
                           "again when it is complete",
                           file->path, (unsigned long long)file->size,
                           (unsigned long long)status.st_size);
    return 0;
}
