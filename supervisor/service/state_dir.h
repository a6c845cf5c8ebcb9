/* The service's folder: made, locked for one daemon, and refused where it cannot be trusted. */
#ifndef SUPERVISOR_SERVICE_STATE_DIR_H
#define SUPERVISOR_SERVICE_STATE_DIR_H

#include "common/failure.h"

/* Makes the folder if need be (mode 0700) and locks it; *ret_fd, which the caller owns, holds the
 * lock (flock(2), never a PID file). -EWOULDBLOCK: another daemon has it. *ret_network is the name
 * of the network file system that it is on ("NFS"), where neither locks nor appending promise what
 * the ledger needs; NULL: none. */
MUST_USE int state_dir_open(const char *path, int *ret_fd, const char **ret_network,
                            struct failure *failure);

#endif
