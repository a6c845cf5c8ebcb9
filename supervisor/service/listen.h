/* The socket that clients come to: made anew, or given by the service manager. */
#ifndef SUPERVISOR_SERVICE_LISTEN_H
#define SUPERVISOR_SERVICE_LISTEN_H

#include "common/failure.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Makes the socket at path, with its last folder where that is missing, for all who may use it by
 * mode (a Unix socket is connected to by those who may write to it). One that nobody answers is
 * replaced. -EADDRINUSE: another service answers there. Caller owns *ret_fd (non-blocking,
 * close-on-exec). */
MUST_USE int listen_open(const char *path, mode_t mode, int *ret_fd, struct failure *failure);
/* Removes the file and closes the socket. path NULL: it is the service manager's. */
void listen_close(int fd, const char *path);

#endif
