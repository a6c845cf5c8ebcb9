/* The daemon around the service: its folder and lock, its socket, its signals, its configuration
 * and what the service manager hears. One process, one thread, one loop.
 *
 * SIGTERM or SIGINT once: nothing new starts, workers stop at a checkpoint, and the queue goes on
 * at the next start; again: they are killed. SIGHUP: the configuration is read again, and one that
 * is refused changes nothing.
 */
#ifndef SUPERVISOR_SERVICE_DAEMON_H
#define SUPERVISOR_SERVICE_DAEMON_H

#include "supervisor/service/conf.h"

/* All borrowed; paths are absolute. */
struct daemon_request {
    const char *state_dir;
    const char *socket;
    const char *config;    /* NULL: none */
    bool must_have_config; /* else one that is not there is none */
    const char *command;   /* the command line, quoted, for the ledger */
    bool is_system;        /* serves all users of this machine */
};

/* Reads the configuration that the request names. */
MUST_USE int daemon_read_conf(const struct daemon_request *request, struct conf *ret,
                              struct failure *failure);

/* Until it is told to stop. 0, or: -EWOULDBLOCK, -EADDRINUSE: another daemon is there; -EBADMSG:
 * the ledger is damaged; -EINVAL and others: what the failure says. */
MUST_USE int daemon_run(const struct daemon_request *request, struct failure *failure);

#endif
