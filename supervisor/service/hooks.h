/* Commands that are run when something has happened: a batch's --on-finish, and on-failure and
 * on-batch-end of registrar.conf (registrar-daemon(8), "Hooks").
 *
 * /bin/sh gets the command, with a text on its standard input and REGISTRAR_EVENT, REGISTRAR_BATCH
 * and REGISTRAR_OUT in its environment, as the user that the credentials name. A few of each owner
 * run at once; the others wait their turn, and keep nobody else's waiting. One that is over its
 * time is sent SIGTERM, a little later SIGKILL, and all that it started goes with it. How it ended
 * is told once; nothing else depends on it.
 */
#ifndef SUPERVISOR_SERVICE_HOOKS_H
#define SUPERVISOR_SERVICE_HOOKS_H

#include "supervisor/process/child.h"

#define HOOKS_ON_FINISH "on-finish"
#define HOOKS_ON_FAILURE "on-failure"
#define HOOKS_ON_BATCH_END "on-batch-end"

enum {
    HOOKS_SENTENCE_BYTES = 512,
    HOOKS_MAX_WAITING = 250,            /* of an owner; more are refused */
    HOOKS_MAX_WAITING_BYTES = 64 << 20, /* the same, of their input */
    HOOKS_DEFAULT_LIMIT_MS = 60 * 1000,
};

struct hooks;

/* Borrowed but where it says otherwise. */
struct hooks_request {
    const char *event;   /* one of the three above */
    uid_t owner;         /* whose batch it is about; his own hooks and those that the
                            administrator has run about him each have their turns */
    const char *command; /* for the shell */
    const char *batch;   /* its name; "" for a run */
    const char *out;     /* its output folder */
    const char *cwd;
    const char *log_path; /* what it prints is appended there, with its own rights; NULL: our
                             stderr */
    const struct credentials *credentials; /* a reference is taken; NULL: ourselves */
    char *input;                           /* takes, whatever comes of it */
    int64_t limit_ms;
};

/* It ended, or could not be started: "on-finish of night ended well after 2.1 s". */
struct hooks_end {
    const char *event, *batch, *sentence;
    bool is_fine;
};
typedef void (*hooks_done_cb)(void *context, const struct hooks_end *end);

/* Borrows host (the one that starts the tasks too, else each would end the other's children as
 * strangers) and context; copies ledger_id. */
MUST_USE int hooks_open(struct child_host *host, const char *ledger_id, hooks_done_cb done,
                        void *context, struct hooks **ret, struct failure *failure);
/* done is never called from within. -EBUSY: too many wait; -ENOMEM. */
MUST_USE int hooks_run(struct hooks *hooks, const struct hooks_request *request,
                       struct failure *failure);
bool hooks_idle(const struct hooks *hooks); /* none runs or waits */
/* Those that wait are given up and told so; those that run are killed. Idle soon after. */
void hooks_stop(struct hooks *hooks);
/* Frees itself once libuv lets go; done is not called any more. NULL is fine. */
void hooks_close(struct hooks *hooks);

/* The one hook of `registrar run`, to its end, in a loop of its own. -ECHILD: it did not end well,
 * and the failure says how. */
MUST_USE int hooks_run_alone(const struct hooks_request *request, struct failure *failure);

#endif
