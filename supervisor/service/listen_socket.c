/* See listen_socket.h. */
#include "supervisor/service/listen_socket.h"

#include "common/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

enum { BACKLOG = 1024, MODE_ALL = 0666, MODE_OWN = 0600 };

static int take_handed_over(int n, struct listen_socket *ret, struct failure *failure) {
    const int fd = SD_LISTEN_FDS_START;
    if (n > 1)
        return failure_set(failure, -EINVAL,
                           "%d sockets were handed over by the service manager; one is wanted: "
                           "leave one ListenStream= in registrar.socket",
                           n);
    if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
        return failure_set(failure, -EINVAL,
                           "what the service manager handed over is no Unix socket that listens; "
                           "registrar.socket wants ListenStream= with a path");
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return failure_set_errno(failure, -errno, "the socket that was handed over");
    *ret = (struct listen_socket){.fd = fd};
    return 0;
}

static int make_parent(const char *path, struct failure *failure) {
    CLEANUP_FREE char *parent = strdup(path);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    if (!slash)
        return failure_set_errno(failure, -ENOMEM, "cannot listen at %s", path);
    *slash = '\0';
    return *parent ? atomic_file_make_folders(parent, failure) : 0;
}

/* What a dead daemon left is removed; a living one is not taken its place. */
static int clear_place(const char *path, const struct sockaddr_un *address,
                       struct failure *failure) {
    struct stat status;
    if (lstat(path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return failure_set(failure, -EEXIST,
                           "%s is there and is no socket; remove it, or give another --socket",
                           path);
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot listen at %s", path);
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return failure_set(failure, -EADDRINUSE,
                           "another daemon listens at %s; stop it, or give another --socket", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return failure_set_errno(failure, -errno, "cannot remove the old socket %s", path);
    return 0;
}

/* What it has done so far is in *bound, whatever it yields. */
static int bind_at(const struct sockaddr_un *address, bool for_all, struct listen_socket *bound) {
    const char *path = address->sun_path;
    struct stat status;
    bound->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bound->fd < 0 || bind(bound->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return -errno;
    bound->path = strdup(path);
    if (!bound->path)
        return -ENOMEM;
    /* nobody can connect before it listens, so its mode is right from the first client on */
    if (lstat(path, &status) < 0 || chmod(path, for_all ? MODE_ALL : MODE_OWN) < 0 ||
        listen(bound->fd, BACKLOG) < 0)
        return -errno;
    bound->device = status.st_dev;
    bound->inode = status.st_ino;
    return 0;
}

int listen_socket_open(const char *path, bool for_all, struct listen_socket *ret,
                       struct failure *failure) {
    const int n = sd_listen_fds(1); /* and children shall not take them for theirs */
    if (n > 0)
        return take_handed_over(n, ret, failure);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return failure_set(failure, -ENAMETOOLONG,
                           "the path of a socket has at most %zu characters, and %s has more; give "
                           "a shorter --socket",
                           sizeof(address.sun_path) - 1, path);
    (void)stpcpy(address.sun_path, path);
    int r = make_parent(path, failure);
    if (r == 0)
        r = clear_place(path, &address, failure);
    if (r < 0)
        return r;
    struct listen_socket bound = LISTEN_SOCKET_NONE;
    r = bind_at(&address, for_all, &bound);
    if (r < 0) {
        listen_socket_close(&bound);
        return failure_set_errno(failure, r, "cannot listen at %s", path);
    }
    *ret = bound;
    return 0;
}

void listen_socket_close(struct listen_socket *socket) {
    struct stat status;
    if (socket->path && lstat(socket->path, &status) == 0 && status.st_dev == socket->device &&
        status.st_ino == socket->inode)
        (void)unlink(socket->path); /* else the next one finds it dead, and removes it */
    if (socket->fd >= 0)
        (void)close(socket->fd);
    free(socket->path);
    *socket = LISTEN_SOCKET_NONE;
}
