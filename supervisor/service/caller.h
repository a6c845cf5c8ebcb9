/* Who is at the other end of a socket: what the kernel says, never what a request says.
 *
 * Sources: unix(7), SO_PEERCRED; SO_PEERGROUPS (Linux 4.13) in net/core/sock.c. Both are of the
 * process that connected, as it was then.
 */
#ifndef SUPERVISOR_SERVICE_CALLER_H
#define SUPERVISOR_SERVICE_CALLER_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct caller {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary; owned */
    size_t n_groups;
    char *user; /* the name, else the number as text; owned */
};

/* The names that were looked up in the last minute: a user database may be slow. Zeroed: none. */
enum { CALLER_NAMES = 32, CALLER_NAME_AGE_MS = 60 * 1000 };
struct caller_names {
    struct {
        char *name; /* owned; NULL: free */
        uid_t uid;
        int64_t read_ms; /* of the monotonic clock */
    } entries[CALLER_NAMES];
    size_t next; /* to be overwritten */
};
void caller_names_free(struct caller_names *names);

/* fd: a connected Unix socket. */
MUST_USE int caller_read(int fd, struct caller_names *names, struct caller *ret,
                         struct failure *failure);
/* Ourselves, by our effective ids. */
MUST_USE int caller_self(struct caller *ret, struct failure *failure);
/* Whether one of the caller's groups, the first included, is that one. */
bool caller_in_group(const struct caller *caller, gid_t group);
void caller_free(struct caller *caller);

#endif
