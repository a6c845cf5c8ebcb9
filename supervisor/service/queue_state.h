/* The queue from inside: what its files share, and nobody else includes. */
#ifndef SUPERVISOR_SERVICE_QUEUE_STATE_H
#define SUPERVISOR_SERVICE_QUEUE_STATE_H

#include "supervisor/service/fair_share.h"
#include "supervisor/service/queue.h"
#include "supervisor/service/queue_file.h"

/* A task in memory: with its place in the index 40 bytes, however long its line is. */
struct queue_task {
    uint64_t hash;        /* of its id, with the batch's seed; no two of a batch have the same */
    uint64_t offset : 42; /* of its line in the batch file */
    uint64_t length : 22; /* without the newline */
    uint64_t seq : 40;    /* of the record that says how it ended, or that it was cancelled */
    uint64_t attempts : 16;
    uint64_t state : 2;
    uint64_t verdict : 4;       /* of its last end, if it has a seq */
    uint64_t is_fresh : 1;      /* it is to run again whatever an earlier end says */
    uint64_t is_unwanted : 1;   /* cancelled while the engine has it */
    uint32_t wall_ms, peak_kib; /* of its last end; the largest value when they do not fit */
};

struct queue_user {
    uid_t uid;
    struct fair_share share;
    uint64_t unfinished_bytes; /* of what he is submitting */
};

struct queue {
    char *folder;                 /* DIR/batches */
    struct queue_batch **batches; /* by order of submission; owned, each by itself */
    size_t count, capacity;
    struct queue_user *users; /* who ever used something; owned */
    size_t n_users;
    const struct window_list *quiet;
    int64_t half_life_ms;
    uint64_t reserve_bytes;
    queue_judge_cb judge;
    void *judge_context;
    uint64_t hash_seed; /* a random number */
    uint64_t next_order;
    uint64_t next_temporary;
    char *paused_by; /* the whole queue is; owned */
    bool is_drained;
    int64_t last_ms; /* the time of the newest record that was replayed */
    json_t *open;    /* attempt_start records without an end; only while replaying */
    struct ledger_store *store;
    struct ledger_commit *commit;
    struct ledger_compacting *compacting; /* NULL: nothing is */
    queue_compacted_cb compacted;
    void *compacted_context;
};

/* All of a batch, in the functions that may take one task too. */
#define QUEUE_ALL UINT32_MAX

/* A batch on its way in. */
struct queue_submit {
    struct queue *queue;
    struct queue_batch *batch; /* being made */
    struct queue_file file;
    uint32_t n_announced;
    uid_t caller_uid;
    bool is_admin;
    uint64_t bytes, checked_bytes; /* taken in; when the disk was last looked at */
    char *wanted_name;             /* NULL: after OUT */
    bool is_finished;              /* the file, and it was seen that no id is there twice */
    /* queue_compare.c */
    struct queue_comparison *comparisons; /* owned */
    bool *skip;                           /* by task: it waits or runs already; owned */
    uint32_t n_skipped, n_seen;           /* of these; of those that ended elsewhere */
    uint32_t n_left_out, n_seen_then;     /* that the file no longer has; seen until then */
    struct queue_batch *elsewhere;        /* where one of them is */
    struct queue_batch *same;             /* it is this one; NULL: it is new */
    bool is_due_anew;                     /* the file, without those to be skipped */
    struct failure failure;               /* what is wrong with it */
};
static inline void queue_cleanup_submit(struct queue_submit **slot) { queue_submit_abort(*slot); }
/* queue_compare.c */
void queue_compare_free(struct queue_submit *submit);
/* queue_submit.c */
MUST_USE int queue_submit_check_name(const char *name, struct failure *failure);

/* queue_walk.c: the id for a sentence; NULL when it cannot be read. Caller owns. */
char *queue_id_text(const struct queue_batch *batch, uint32_t number);

/* queue.c */
MUST_USE int queue_add_batch(struct queue *queue, struct queue_batch *batch,
                             struct failure *failure);   /* takes it on success */
MUST_USE int queue_make_room(struct queue_batch *batch); /* for one more task; -ENOMEM */
void queue_drop_batch(struct queue *queue, struct queue_batch *batch);
struct queue_batch *queue_make_batch(void); /* NULL: out of memory */
void queue_free_batch(struct queue_batch *batch);
static inline void queue_cleanup_batch(struct queue_batch **slot) { queue_free_batch(*slot); }
void queue_set_state(struct queue_batch *batch, uint32_t number, enum queue_state state);
/* What an end has to say of its task; state is left alone. */
void queue_set_end(struct queue_batch *batch, uint32_t number, const struct queue_result *result);
struct queue_user *queue_user_of(struct queue *queue, uid_t uid); /* NULL: out of memory */
/* True once, when nothing of the batch waits or runs any more. */
bool queue_note_end(struct queue_batch *batch, int64_t now);
/* To the ledger. Takes fields (NULL: out of memory). -EIO: nothing is recorded any more. */
MUST_USE int queue_record(struct queue *queue, json_t *fields, ledger_commit_done_cb done,
                          void *context, uint64_t *ret_seq, struct failure *failure);

/* queue_index.c: ids */
uint64_t queue_index_hash(uint64_t seed, const char *id, size_t length);
/* Makes the index of all tasks' hashes. -ENOMEM; -EEXIST: two have the same, in ret_first and
 * ret_second. */
MUST_USE int queue_index_build(struct queue_batch *batch, uint32_t *ret_first,
                               uint32_t *ret_second);
void queue_index_free(struct queue_batch *batch);
MUST_USE int queue_index_find_hash(const struct queue_batch *batch, uint64_t hash, uint32_t *ret);
MUST_USE int queue_index_find(const struct queue_batch *batch, const char *id, size_t length,
                              uint32_t *ret);

/* queue_take.c: the same for its ends */
int64_t queue_wall_ms(const json_t *record); /* its "wall_s", whatever somebody wrote there */
void queue_apply_end(struct queue_batch *batch, uint32_t number, const struct queue_result *result);
void queue_apply_return(struct queue_batch *batch, uint32_t number);

/* queue_change.c: what operations do to the batch, live and at a replay. They return how many tasks
 * changed. */
uint32_t queue_apply_cancel(struct queue_batch *batch, uint32_t number, uint64_t seq, int64_t now);
uint32_t queue_apply_retry(struct queue_batch *batch, uint32_t number);
uint32_t queue_apply_again(struct queue_batch *batch);
void queue_apply_pause(struct queue_batch *batch, bool paused, const char *by);

#endif
