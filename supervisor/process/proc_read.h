/* Reading /proc below an injected root (proc(5)), so that tests can feed it what no kernel would.
 *
 * Everything here can be gone from one call to the next: -ENOENT or -ESRCH then. Text that is not
 * as documented is -EPROTO. Nothing is trusted to be terminated, short or numeric.
 */
#ifndef SUPERVISOR_PROCESS_PROC_READ_H
#define SUPERVISOR_PROCESS_PROC_READ_H

#include "common/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_READ_ROOT "/proc"

struct proc_read_stat {
    char state; /* 'R', 'S', 'D', 'Z', ... */
    pid_t parent, session;
    uint64_t start_ticks; /* since boot, in clock ticks */
};

/* Nonzero stops the walk and is returned. */
typedef int (*proc_read_pid_cb)(void *context, pid_t pid);

MUST_USE int proc_read_stat(const char *root, pid_t pid, struct proc_read_stat *ret);
/* The value of a variable in the environment that the process was started with. -ENOENT when it is
 * not there; -ENODATA when there is none at all: an empty one, or the process is just in exec or
 * dying. Cut to size. */
MUST_USE int proc_read_environment(const char *root, pid_t pid, const char *name, char *ret,
                                   size_t size);
/* Resident bytes (statm). */
MUST_USE int proc_read_resident(const char *root, pid_t pid, uint64_t *ret_bytes);
/* The children of the thread `pid` of process `pid`, zombies too. Needs CONFIG_PROC_CHILDREN
 * (-ENOENT without). A child may be missed while another one ends; ask again. */
MUST_USE int proc_read_children(const char *root, pid_t pid, proc_read_pid_cb each, void *context);
/* All processes. */
MUST_USE int proc_read_all(const char *root, proc_read_pid_cb each, void *context);

/* How many processes the kernel's out-of-memory killer has ended since boot (vmstat, Linux 4.13).
 */
MUST_USE int proc_read_oom_kills(const char *root, uint64_t *ret_count);
MUST_USE int proc_read_memory(const char *root, uint64_t *ret_total_bytes,
                              uint64_t *ret_available_bytes);

#endif
