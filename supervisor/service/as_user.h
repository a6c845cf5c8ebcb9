/* A scope in which this thread touches files with a user's rights and no more.
 *
 *     CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
 *     int r = as_user_enter(credentials, &as_user, failure);
 *
 * Only what the kernel looks at for files changes (setfsuid(2), setfsgid(2), the supplementary
 * groups), and only for the calling thread: raw system calls, for libc's setgroups changes all
 * threads. With a file system uid other than 0 the kernel takes the capabilities over files
 * (CAP_DAC_OVERRIDE and its like, capabilities(7)) out of the effective set by itself. What is made
 * within is the user's. Signals, /proc and control groups follow other rules: leave them outside.
 * The umask is the process's and stays. Scopes do not nest.
 */
#ifndef SUPERVISOR_SERVICE_AS_USER_H
#define SUPERVISOR_SERVICE_AS_USER_H

#include "supervisor/service/credentials.h"

#include <stdbool.h>

struct as_user {
    bool is_other; /* false: we are ourselves, leaving changes nothing */
    uid_t uid;     /* ours, for the way back */
    gid_t gid;
    gid_t *groups; /* owns */
    size_t n_groups;
};

#define AS_USER_NOBODY ((struct as_user){0})

/* NULL credentials: nothing changes. Where it fails, nothing has changed: do not touch the file. */
MUST_USE int as_user_enter(const struct credentials *credentials, struct as_user *as_user,
                           struct failure *failure);
/* Ends the process when our own rights do not come back: nothing that it did then would be right.
 */
void as_user_leave(struct as_user *as_user);

#endif
