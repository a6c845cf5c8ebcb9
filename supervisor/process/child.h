/* One running attempt as a process: started, listened to, ended, and gone with all that it left.
 *
 * Mechanism only; when to ask or kill is the caller's business. It is over when its leader ended,
 * everything else of it was ended too, and fd 3 said its last word. A holder of fd 3 or a leftover
 * that cannot die (state D) is given up after a bounded wait and told. Where the host has a tree of
 * control groups the child lives in a leaf of its own, which is removed after it.
 */
#ifndef SUPERVISOR_PROCESS_CHILD_H
#define SUPERVISOR_PROCESS_CHILD_H

#include "supervisor/process/cgroup_leaf.h"
#include "supervisor/process/orphans.h"
#include "supervisor/process/report_stream.h"
#include "supervisor/process/spawn.h"

#include <uv.h>

/* What all children of a loop share. */
struct child_host {
    uv_loop_t *loop;          /* borrows */
    struct orphans *orphans;  /* owns */
    char *buffer;             /* owns; reads of fd 3 go through it */
    struct rlimit files;      /* open files that the children may have: what we were given */
    struct cgroup_tree *tree; /* borrows; NULL: children get no control group */
    int64_t late_ms;          /* when a user's process last took long to begin; 0: none did */
};

MUST_USE int child_host_open(uv_loop_t *loop, struct child_host *ret, struct failure *failure);
void child_host_close(struct child_host *host);

struct child_request {
    const char *const *argv;
    const char *const *envp;
    const char *cwd;                       /* NULL: ours */
    const char *token;                     /* as in envp */
    const char *stdin_text;                /* NULL: /dev/null */
    const struct credentials *credentials; /* borrows while it starts; NULL: ours */
    int log_fd;                            /* borrows; stderr */
    bool stdout_to_log;                    /* else /dev/null */
    int oom_score_adj;
    uint64_t memory_limit_bytes; /* of its control group; 0: none */
};

enum { CHILD_LEFT_BEHIND_BYTES = 96, CHILD_CGROUP_ERROR_BYTES = 256 };

struct child_end {
    struct spawn_exit exit;
    char left_behind[CHILD_LEFT_BEHIND_BYTES]; /* what could not be ended; "": nothing */
    struct cgroup_leaf_facts cgroup;
    char cgroup_error[CHILD_CGROUP_ERROR_BYTES]; /* why no control group held it although there
                                                    should be one; "" */
};

struct child;

struct child_callbacks {
    report_stream_cb report;
    void (*breach)(void *context); /* of the protocol, once; child_breach tells what */
    void (*over)(void *context, const struct child_end *end);
};

/* Borrows host and context; callbacks never come from within child_start. */
MUST_USE int child_start(struct child_host *host, const struct child_request *request,
                         const struct child_callbacks *callbacks, void *context, struct child **ret,
                         struct failure *failure);
pid_t child_pid(const struct child *child);
uint64_t child_start_ticks(const struct child *child);
bool child_ended(const struct child *child); /* its leader did */
/* Why it never began, where that came out only at its end; NULL: it did. Borrowed. */
const struct failure *child_not_begun(const struct child *child);
const char *child_breach(const struct child *child); /* NULL: none. Borrowed */
/* Reads what fd 3 holds now: a report that waits unread must count before a stall is declared. */
void child_listen(struct child *child);
bool child_has_group(const struct child *child);
/* What its control group holds now. -ENODATA without one. */
MUST_USE int child_look(const struct child *child, struct cgroup_leaf_usage *ret);
/* SIGTERM to its group, SIGCONT so that a stopped one hears it. */
void child_terminate(struct child *child);
/* SIGKILL to its group and all of its control group; the rest follows once the leader is gone. */
void child_kill(struct child *child);
/* After over, or to let go of it. Frees itself once libuv lets go. NULL is fine. */
void child_close(struct child *child);

#endif
