/* What an attempt is started with: program, environment, task on stdin, log.
 *
 * The worker gets the task as JSON; a command gets what its manifest says and, in its environment,
 * REGISTRAR_TASK, REGISTRAR_REPORT_FD and the token by which its processes are known.
 */
#ifndef SUPERVISOR_ENGINE_LAUNCH_H
#define SUPERVISOR_ENGINE_LAUNCH_H

#include "supervisor/batch/task.h"
#include "supervisor/process/child.h"

struct credentials;

/* The same for all attempts of a run. Strings are borrowed. */
struct launch_base {
    const char *worker; /* path of registrar-worker; NULL: there is none */
    const char *ledger_id;
    bool is_unconfined;       /* the worker is told to do without its sandbox */
    const char **environment; /* ours, less what children must not see. Owned; entries are not */
    size_t n_environment;
    uint64_t counter; /* of attempts in this run: makes their names */
    int64_t run_name; /* of this run: two runs of one ledger never share a token */
};

/* The same for all attempts of a batch. Borrowed. */
struct launch_line {
    const char *out;
    int threads;
    uint64_t worker_memory_bytes;
    const struct credentials *credentials; /* NULL: ours */
};

/* Sets the environment; the caller has filled the rest. -ENOMEM. */
MUST_USE int launch_base_init(struct launch_base *base);
void launch_base_free(struct launch_base *base);

enum { LAUNCH_TOKEN_BYTES = 160 };

struct launch {
    struct child_request request; /* borrows all below */
    char token[LAUNCH_TOKEN_BYTES];
    char *log_path;
    int log_fd;
    char *stdin_text;
    const char *worker_argv[3];
    char **variables; /* the few that we add, NULL-terminated */
    const char **envp;
};

/* Creates OUT/<id>, opens the log with a line for this attempt, and fills the request. variants:
 * as common/protocol.h has them; NULL: none. On error *ret is to be freed too. */
MUST_USE int launch_prepare(struct launch_base *base, const struct launch_line *line,
                            const struct task *task, int attempt, json_t *variants,
                            struct launch *ret, struct failure *failure);
void launch_free(struct launch *launch);

/* Removes what OUT/<id>/checkpoints holds, so that the task's stages are all done again (--redo).
 * A folder that is not there is fine. */
MUST_USE int launch_forget_stages(const struct launch_line *line, const struct task *task,
                                  struct failure *failure);

/* OUT/<id>/log.txt. Caller owns; NULL when out of memory. */
char *launch_log_path(const char *out, const char *id);

#endif
