/* System calls that an image worker never makes, and that one taken over by an image would:
 * seccomp.
 *
 * A list of what is denied, not of what is allowed: another libc, another OpenCV or a sanitizer may
 * need calls that nobody here has thought of, and a task must not fail for that. Denied are the
 * network, new processes and programs, looking into or signalling other processes, other users'
 * rights, links and ownership of files, mounts and namespaces, keys, and the kernel's wide doors
 * (bpf, io_uring, userfaultfd, perf). New threads are fine.
 *
 * A denied call ends the process with SIGSYS, after one line of the protocol (common/protocol.h,
 * "blocked") has told which call it was. Source: seccomp(2), SECCOMP_RET_TRAP.
 */
#ifndef WORKER_SANDBOX_CALL_FILTER_H
#define WORKER_SANDBOX_CALL_FILTER_H

#include "common/failure.h"

#include <stdbool.h>

/* For all threads, for good. What was blocked is told on report_fd. -ENOSYS: this kernel has no
 * filters. may_link: linkat is left to it, as Landlock looks at what it links. */
MUST_USE int call_filter_enter(int report_fd, bool may_link, struct failure *failure);

#endif
