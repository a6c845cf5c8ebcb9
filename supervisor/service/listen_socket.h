/* The control socket, ready to accept on: handed over by the service manager (socket activation,
 * sd_listen_fds(3)), or bound by ourselves. */
#ifndef SUPERVISOR_SERVICE_LISTEN_SOCKET_H
#define SUPERVISOR_SERVICE_LISTEN_SOCKET_H

#include "common/failure.h"

#include <stdbool.h>
#include <sys/types.h>

struct listen_socket {
    int fd;       /* owns; listens, does not block, O_CLOEXEC */
    char *path;   /* owns; what to remove at the end; NULL: it was handed over */
    dev_t device; /* of the file at path */
    ino_t inode;
};

#define LISTEN_SOCKET_NONE ((struct listen_socket){.fd = -1})

/* A socket that was handed over goes before path. for_all: everybody on this machine may connect
 * (the kernel tells us who he is); else only our own user. What a dead daemon left at path is
 * removed. -EADDRINUSE: somebody answers there; -EEXIST: it is no socket. */
MUST_USE int listen_socket_open(const char *path, bool for_all, struct listen_socket *ret,
                                struct failure *failure);
/* Closes it and removes the file, if that is still ours. */
void listen_socket_close(struct listen_socket *socket);

#endif
