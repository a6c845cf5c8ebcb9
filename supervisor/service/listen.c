/* See listen.h. The daemon holds its state folder's lock before it comes here, so two that race for
 * one path have different states, and the one that asks second is told of the other. */
#include "supervisor/service/listen.h"

#include "supervisor/client/address.h"

#include <errno.h>
#include <string.h>

enum { BACKLOG = 512 /* the kernel's own limit (somaxconn) may be lower */ };

static int bind_once(int fd, const struct sockaddr_un *address) {
    /* nobody connects before chmod has said who may */
    const mode_t before = umask(0177);
    const int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    (void)umask(before);
    return r;
}

/* Whether somebody accepts there. */
static bool is_answered(const struct sockaddr_un *address) {
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true; /* rather refuse than take over what may live */
    return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
           errno != ECONNREFUSED;
}

static int make_folder(const char *path, struct failure *failure) {
    CLEANUP_FREE char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (!slash || slash == folder)
        return 0;
    *slash = '\0';
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return failure_set_errno(failure, -errno, "the socket's folder %s cannot be made", folder);
    return 0;
}

static int bind_path(int fd, const char *path, const struct sockaddr_un *address,
                     struct failure *failure) {
    struct stat status;
    int r = bind_once(fd, address);
    if (r == -EADDRINUSE && lstat(path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode))
            return failure_set(failure, -EEXIST, "%s is no socket; remove it or give another path",
                               path);
        if (is_answered(address))
            return failure_set(failure, -EADDRINUSE,
                               "another service answers at %s; stop it, or give another --socket",
                               path);
        r = unlink(path) < 0 && errno != ENOENT ? -errno : bind_once(fd, address);
    }
    return r < 0 ? failure_set_errno(failure, r, "cannot make the socket %s", path) : 0;
}

int listen_open(const char *path, mode_t mode, int *ret_fd, struct failure *failure) {
    struct sockaddr_un address;
    CLEANUP_CLOSE int folder = -1;
    int r = make_folder(path, failure);
    if (r == 0)
        r = address_make(path, &address, &folder, failure);
    if (r < 0)
        return r;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot make a socket");
    r = bind_path(fd, path, &address, failure);
    if (r < 0)
        return r;
    if (listen(fd, BACKLOG) < 0 || chmod(path, mode) < 0)
        return failure_set_errno(failure, -errno, "cannot open the socket %s to clients", path);
    *ret_fd = STEAL_FD(fd);
    return 0;
}

void listen_close(int fd, const char *path) {
    if (fd < 0)
        return;
    /* still ours: whoever else wanted this path found it answered and left it alone */
    if (path)
        (void)unlink(path);
    (void)close(fd);
}
