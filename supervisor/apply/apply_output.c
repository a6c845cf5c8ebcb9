/* See apply_output.h. What an apply that was killed left is known by its lock being free, and taken
 * away; a folder of that name that holds anything else is somebody's own and stays. */
#include "supervisor/apply/apply_output.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "common/protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static void close_folder(DIR **folder) {
    if (*folder)
        (void)closedir(*folder); /* only read */
}

/* What a worker writes there: the image, a copy for random access, and both unfinished. */
static bool is_ours(const char *name) {
    return strncmp(name, PROTOCOL_IMAGE_NAME, strlen(PROTOCOL_IMAGE_NAME)) == 0 ||
           strncmp(name, PROTOCOL_SCRATCH_NAME, strlen(PROTOCOL_SCRATCH_NAME)) == 0 ||
           strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removes our files from the folder if it holds no others. */
static int empty_folder(const char *path, struct failure *failure) {
    CLEANUP(close_folder) DIR *folder = opendir(path);
    const struct dirent *entry;
    if (!folder)
        return failure_set_errno(failure, -errno, "cannot read the folder %s", path);
    while ((entry = readdir(folder)))
        if (!is_ours(entry->d_name))
            return failure_set(failure, -EEXIST,
                               "%s is in the way: it holds %.100s; move it, or write to another "
                               "name",
                               path, entry->d_name);
    rewinddir(folder);
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.' && unlinkat(dirfd(folder), entry->d_name, 0) < 0 &&
            errno != ENOENT)
            return failure_set_errno(failure, -errno, "cannot remove %s/%s", path, entry->d_name);
    return 0;
}

static int lock(const struct apply_output *output, struct failure *failure) {
    if (flock(output->fd, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == ENOTSUP)
        return 0; /* a drive without locks does without */
    return failure_set_errno(failure, -EBUSY, "another registrar apply is writing %s",
                             output->path);
}

static int open_folder(struct apply_output *output, struct failure *failure) {
    output->is_folder = true;
    if (mkdir(output->temporary, 0777) < 0 && errno != EEXIST)
        return failure_set_errno(failure, -errno, "cannot create %s", output->temporary);
    output->fd = open(output->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (output->fd < 0)
        return failure_set_errno(failure, -errno, "%s is in the way", output->temporary);
    int r = lock(output, failure);
    return r < 0 ? r : empty_folder(output->temporary, failure);
}

static int open_file(struct apply_output *output, struct failure *failure) {
    output->fd =
        open(output->temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    struct stat status;
    if (output->fd < 0 || fstat(output->fd, &status) < 0)
        return failure_set_errno(failure, -errno, "cannot create %s", output->temporary);
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, -EEXIST, "%s is in the way: it is no file", output->temporary);
    int r = lock(output, failure);
    if (r == 0 && ftruncate(output->fd, 0) < 0)
        r = failure_set_errno(failure, -errno, "cannot write %s", output->temporary);
    return r;
}

/* A pipe or a device is written to as it is. */
static int open_special(struct apply_output *output, struct failure *failure) {
    output->fd = open(output->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return output->fd < 0 ? failure_set_errno(failure, -errno, "cannot write to %s", output->path)
                          : 0;
}

static int open_path(struct apply_output *output, bool for_image, struct failure *failure) {
    struct stat status;
    const bool is_there = stat(output->path, &status) == 0;
    if (is_there && S_ISDIR(status.st_mode))
        return failure_set(failure, -EISDIR, "%s is a folder; give the name of a file in it",
                           output->path);
    if (is_there && !S_ISREG(status.st_mode) && !for_image)
        return open_special(output, failure);
    if (is_there && !S_ISREG(status.st_mode))
        return failure_set(failure, -EINVAL, "%s is no file; an image cannot be written there",
                           output->path);
    output->temporary = atomic_file_temporary_name(output->path);
    if (!output->temporary)
        return failure_set(failure, -ENOMEM, "no memory to write %s", output->path);
    int r = for_image ? open_folder(output, failure) : open_file(output, failure);
    if (r < 0 && output->fd < 0) { /* not ours to remove */
        free(STEAL_PTR(output->temporary));
    } else if (r == -EBUSY || r == -EEXIST) {
        (void)close(STEAL_FD(output->fd));
        free(STEAL_PTR(output->temporary));
    }
    return r;
}

int apply_output_open(const char *path, bool for_image, struct apply_output *ret,
                      struct failure *failure) {
    struct apply_output output = {.path = path, .fd = -1};
    int r = 0;
    if (path)
        r = open_path(&output, for_image, failure);
    else
        output.fd = dup(STDOUT_FILENO);
    if (r < 0)
        apply_output_close(&output);
    else
        *ret = output;
    return r;
}

int apply_output_publish(struct apply_output *output, struct failure *failure) {
    if (!output->temporary)
        return 0;
    CLEANUP_FREE char *image = output->is_folder
                                   ? names_format("%s/%s", output->temporary, PROTOCOL_IMAGE_NAME)
                                   : strdup(output->temporary);
    if (!image)
        return failure_set(failure, -ENOMEM, "no memory to name %s", output->path);
    int r = atomic_file_publish(image, output->path, failure);
    if (r == 0 && !output->is_folder)
        free(STEAL_PTR(output->temporary));
    return r;
}

void apply_output_close(struct apply_output *output) {
    struct failure ignored;
    if (output->temporary && output->is_folder) {
        (void)!empty_folder(output->temporary, &ignored); /* what stays is told by the next one */
        (void)rmdir(output->temporary);
    } else if (output->temporary) {
        (void)unlink(output->temporary);
    }
    free(STEAL_PTR(output->temporary));
    cleanup_close(&output->fd);
    output->fd = -1;
}

bool apply_output_is_same(const char *a, const char *b) {
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}
