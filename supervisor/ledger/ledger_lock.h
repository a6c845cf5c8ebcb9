/* One writer per ledger: flock on a descriptor that no child inherits.
 *
 * Never a PID file: the kernel drops the lock with the process, however it ends. Sources: flock(2),
 * proc_locks(5).
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_LOCK_H
#define SUPERVISOR_LEDGER_LEDGER_LOCK_H

#include "common/failure.h"

#include <stdbool.h>
#include <sys/types.h>

/* Opens path for appending, creating it if need be, and locks it. Caller owns *ret_fd; closing it
 * gives up the lock. -EWOULDBLOCK: another holds it; -EISDIR, -EINVAL: it is no file. */
MUST_USE int ledger_lock_open(const char *path, int *ret_fd, struct failure *failure);

/* Opens path for reading, without a lock. Caller owns *ret_fd. -ENOENT and the above. */
MUST_USE int ledger_lock_open_to_read(const char *path, int *ret_fd, struct failure *failure);

/* Who holds a flock on that file, by a table like /proc/locks; 0: cannot be told. */
pid_t ledger_lock_holder(const char *locks_path, int fd);

/* The name of the file system's kind when it is a network one, where O_APPEND and flock promise
 * less; NULL otherwise. */
const char *ledger_lock_network_name(int fd);

#endif
