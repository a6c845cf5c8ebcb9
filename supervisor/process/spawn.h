/* Starting a child by clone3 with a pidfd, and reaping it with the kernel's accounting.
 *
 * The child leads its own session, dies with its parent (PR_SET_PDEATHSIG SIGKILL, then a getppid
 * check), has default signal handlers and an empty mask, and inherits exactly the descriptors
 * named. With credentials it takes that user's rights once it is in its control group, whose files
 * stay ours, and before it touches a path: the folder and the program are found as the user finds
 * them. Where clone3 is refused (ENOSYS, EPERM) fork and pidfd_open do the same; where only its
 * CLONE_INTO_CGROUP is, the child writes itself into cgroup.procs before exec. Source: clone(2),
 * pidfd_open(2), waitid(2); linux-facts: the raw waitid has a fifth argument, the rusage.
 */
#ifndef SUPERVISOR_PROCESS_SPAWN_H
#define SUPERVISOR_PROCESS_SPAWN_H

#include "supervisor/service/credentials.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct spawn_request {
    const char *const *argv; /* argv[0] is looked up in PATH (of envp) when it has no slash */
    const char *const *envp;
    const char *cwd;                       /* NULL: the parent's */
    const struct credentials *credentials; /* of whom it runs as; NULL: as the parent does */
    int stdin_fd, stdout_fd, stderr_fd;    /* -1: /dev/null */
    int report_fd;                         /* becomes fd 3; -1: none */
    int input_fd;                          /* becomes fd 4; 0: none */
    int oom_score_adj;                     /* raised to this; 0: as the parent's */
    const struct rlimit *files;            /* its limit of open files; NULL: as the parent's */
    bool has_cgroup;                       /* it starts in a control group: */
    int cgroup_fd;                         /* its folder, for CLONE_INTO_CGROUP; -1: v1 */
    int cgroup_procs_fd; /* its cgroup.procs, for a child that has to write itself; -1: none */
    int patience_ms;     /* another user can hold his process before it has begun (SIGSTOP, a
                            folder that never answers): so long he is waited for; 0: for ever */
};

struct spawned {
    pid_t pid;
    int pidfd;            /* caller owns; O_CLOEXEC */
    uint64_t start_ticks; /* /proc/PID/stat field 22: with the pid it names the process for good */
    int cgroup_error;     /* negative errno: it runs, but outside the control group; 0: inside */
    int begin_fd;         /* it had not begun within patience_ms: for spawn_hear_late once it has
                             ended; caller owns; -1: it has begun */
};

struct spawn_exit {
    int code;   /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
    int status; /* exit status or signal */
    struct rusage usage;
};

/* Fails with a sentence when the program cannot be executed (-ENOENT, -EACCES, ...): exec errors
 * are reported here, not as an exit status. */
MUST_USE int spawn_start(const struct spawn_request *request, struct spawned *ret,
                         struct failure *failure);
/* Why a process that has ended by now, and that was not waited for, never began. 0: it did begin,
 * or was ended before. The texts are as in the request; user: its credentials' name. Never blocks.
 */
MUST_USE int spawn_hear_late(int begin_fd, const char *program, const char *cwd, const char *user,
                             struct failure *failure);
/* -EAGAIN while it runs. Never blocks. Afterwards the pid is free: signal it no more. */
MUST_USE int spawn_reap(int pidfd, struct spawn_exit *ret);
/* Signals the process through its pidfd (never a recycled pid). */
int spawn_signal(int pidfd, int signal);

#endif
