/* A new child takes a user's rights, for good, before it executes his program. */
#ifndef SUPERVISOR_PROCESS_BECOME_USER_H
#define SUPERVISOR_PROCESS_BECOME_USER_H

#include "supervisor/service/credentials.h"

/* Groups, gid and uid (real, effective, saved), no capabilities, a session keyring of its own,
 * no_new_privs, umask; and looks whether it is so. For a process between clone and exec: system
 * calls alone, for itself alone. A negative errno: do not execute anything. Clears what
 * PR_SET_PDEATHSIG said. */
MUST_USE int become_user(const struct credentials *credentials);

#endif
