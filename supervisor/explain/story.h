/* What a ledger tells of one task: its attempts over all runs, and how things stand.
 *
 * Records go in one after the other (ledger_store_replay_cb), in memory that does not grow with the
 * ledger: of a task that was tried for ever, the last attempts are kept.
 */
#ifndef SUPERVISOR_EXPLAIN_STORY_H
#define SUPERVISOR_EXPLAIN_STORY_H

#include "common/failure.h"

#include <stdbool.h>
#include <stddef.h>

enum { STORY_MAX_ATTEMPTS = 16, STORY_MAX_EXAMPLES = 3 };

/* Owned references to records. */
struct story_attempt {
    json_t *start; /* attempt_start; NULL: it could not be started, or is not in the ledger */
    json_t *end;   /* attempt_end; NULL: it runs, or died with its supervisor */
    json_t *batch; /* the start of its run; NULL: unknown */
};

enum story_state {
    STORY_UNKNOWN,     /* the ledger has nothing about it */
    STORY_RUNNING,     /* a process was started and a run goes on */
    STORY_WAITING,     /* a run goes on and will try it again */
    STORY_ABANDONED,   /* it ran when registrar or the machine died */
    STORY_INTERRUPTED, /* the run ended before it had a verdict */
    STORY_FINISHED,
    STORY_STATE_COUNT
};

struct story {
    const char *task; /* borrowed */
    char *needle;     /* how a line of its begins to name it; owned */
    struct story_attempt attempts[STORY_MAX_ATTEMPTS];
    size_t n_attempts, n_left_out;
    json_t *verdict; /* its last task_end; NULL: none, or another attempt began since */
    json_t *batch;   /* the start of the last run, whatever that did */
    bool is_over;    /* that run came to its end */
    bool is_older;   /* the verdict is of a run before that one */
    char *nearest;   /* the other id that is most like it; NULL: none is */
    char *examples[STORY_MAX_EXAMPLES]; /* some other ids */
};

/* Of an empty one; -ENOMEM. */
MUST_USE int story_begin(struct story *story, const char *task);
/* Whether a line may be of the task, or of a run's beginning or end (a ledger_store_wants_cb). What
 * is left out is only what a task that is not there may be mistaken for. */
bool story_wants(void *context, const char *line, size_t length);
/* context is the struct story. */
MUST_USE int story_record(void *context, const json_t *record, struct failure *failure);
/* is_locked: a run holds the ledger now. */
enum story_state story_state(const struct story *story, bool is_locked);
/* "running", ... */
const char *story_state_name(enum story_state state);
/* The end of the last attempt that has one, or NULL. Borrowed. */
const json_t *story_last_end(const struct story *story);
void story_clear(struct story *story);

/* A member's text, or "". */
const char *story_text(const json_t *record, const char *key);

#endif
