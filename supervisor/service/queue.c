/* See queue.h. Here: the batches, their counters, what may be asked of them. Each change of a
 * task's state goes through queue_set_state, so the counters cannot drift from the tasks. */
#include "supervisor/service/queue_state.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "common/unforked.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

_Static_assert(sizeof(struct queue_task) == 32, "a million of them have to fit");
_Static_assert(VERDICT_COUNT <= 16, "a verdict has four bits");

enum { FIRST_BYTES = 2048 /* of a batch's tasks */ };

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left for the queue");
}

/* ---- the queue ---- */

int queue_open(const char *folder, struct queue **ret, struct failure *failure) {
    struct queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return out_of_memory(failure);
    queue->folder = names_format("%s/batches", folder);
    queue->open = json_array();
    queue->half_life_ms = FAIR_SHARE_HALF_LIFE_MS;
    queue->next_order = 1;
    int r = queue->folder && queue->open ? 0 : out_of_memory(failure);
    if (r == 0 && getrandom(&queue->hash_seed, sizeof(queue->hash_seed), 0) !=
                      (ssize_t)sizeof(queue->hash_seed))
        r = failure_set_errno(failure, -errno, "no random numbers for the queue");
    if (r == 0)
        r = atomic_file_make_folders(queue->folder, failure);
    if (r == 0 && chmod(queue->folder, 0700) < 0) /* whoever made it: it holds users' commands */
        r = failure_set_errno(failure, -errno, "cannot set the mode of %s", queue->folder);
    if (r < 0) {
        queue_close(queue);
        return r;
    }
    *ret = queue;
    return 0;
}

void queue_close(struct queue *queue) {
    if (!queue)
        return;
    for (size_t i = 0; i < queue->count; i++)
        queue_free_batch(queue->batches[i]);
    free(queue->batches);
    free(queue->users);
    free(queue->folder);
    free(queue->paused_by);
    json_decref(queue->open);
    free(queue);
}

const json_t *queue_open_attempts(const struct queue *queue) { return queue->open; }

void queue_set_quiet_hours(struct queue *queue, const struct window_list *quiet) {
    queue->quiet = quiet;
}

void queue_set_half_life(struct queue *queue, int64_t half_life_ms) {
    queue->half_life_ms = half_life_ms > 0 ? half_life_ms : FAIR_SHARE_HALF_LIFE_MS;
}

void queue_set_reserve(struct queue *queue, uint64_t reserve_bytes) {
    queue->reserve_bytes = reserve_bytes;
}

void queue_set_judge(struct queue *queue, queue_judge_cb judge, void *context) {
    queue->judge = judge;
    queue->judge_context = context;
}

int queue_set_drained(struct queue *queue, const struct rights_caller *caller, bool drained,
                      struct failure *failure) {
    int r =
        rights_policy_check(RIGHTS_WHOLE_QUEUE, caller, caller->uid, "all", "the queue", failure);
    if (r == 0)
        queue->is_drained = drained;
    return r;
}

bool queue_is_drained(const struct queue *queue) { return queue->is_drained; }
const char *queue_paused_by(const struct queue *queue) { return queue->paused_by; }

int queue_record(struct queue *queue, json_t *fields, ledger_commit_done_cb done, void *context,
                 uint64_t *ret_seq, struct failure *failure) {
    uint64_t seq = 0;
    if (!fields)
        return out_of_memory(failure);
    ledger_commit_append(queue->commit, "batch", fields, done, context, &seq);
    if (seq == 0)
        return failure_set(failure, -EIO,
                           "the service's ledger cannot be written any more; see its log, then "
                           "restart the service");
    *ret_seq = seq;
    return 0;
}

struct queue_user *queue_user_of(struct queue *queue, uid_t uid) {
    for (size_t i = 0; i < queue->n_users; i++)
        if (queue->users[i].uid == uid)
            return &queue->users[i];
    struct queue_user *grown =
        reallocarray(queue->users, queue->n_users + 1, sizeof(*queue->users));
    if (!grown)
        return NULL;
    queue->users = grown;
    struct queue_user *user = &grown[queue->n_users++];
    *user = (struct queue_user){.uid = uid};
    return user;
}

/* ---- batches ---- */

struct queue_batch *queue_make_batch(void) {
    struct queue_batch *batch = calloc(1, sizeof(*batch));
    if (batch)
        batch->fd = -1;
    return batch;
}

void queue_free_batch(struct queue_batch *batch) {
    if (!batch)
        return;
    cleanup_close(&batch->fd);
    options_free(&batch->options);
    free(batch->name);
    free(batch->user);
    free(batch->out);
    free(batch->command);
    free(batch->on_finish);
    free(batch->paused_by);
    free(batch->damage);
    free(batch->obstacle);
    unforked_free(batch->tasks, batch->capacity * sizeof(*batch->tasks));
    queue_index_free(batch);
    free(batch);
}

int queue_make_room(struct queue_batch *batch) {
    if (batch->n_tasks < batch->capacity)
        return 0;
    const size_t had = batch->capacity * sizeof(*batch->tasks);
    struct queue_task *grown = unforked_grow(batch->tasks, had, had > 0 ? 2 * had : FIRST_BYTES);
    if (!grown)
        return -ENOMEM;
    batch->tasks = grown;
    batch->capacity = had > 0 ? 2 * batch->capacity : FIRST_BYTES / (uint32_t)sizeof(*grown);
    return 0;
}

int queue_add_batch(struct queue *queue, struct queue_batch *batch, struct failure *failure) {
    if (queue->count == queue->capacity) {
        const size_t capacity = queue->capacity ? 2 * queue->capacity : 16;
        struct queue_batch **grown =
            reallocarray(queue->batches, capacity, sizeof(struct queue_batch *));
        if (!grown)
            return out_of_memory(failure);
        queue->batches = grown;
        queue->capacity = capacity;
    }
    queue->batches[queue->count++] = batch;
    if (batch->order >= queue->next_order)
        queue->next_order = batch->order + 1;
    return 0;
}

void queue_drop_batch(struct queue *queue, struct queue_batch *batch) {
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->batches[i] != batch)
            continue;
        queue->count--;
        memmove(queue->batches + i, queue->batches + i + 1,
                (queue->count - i) * sizeof(struct queue_batch *));
        queue_free_batch(batch);
        return;
    }
}

size_t queue_count(const struct queue *queue) { return queue->count; }
struct queue_batch *queue_at(const struct queue *queue, size_t i) {
    return queue->batches[i];
}

struct queue_batch *queue_find(const struct queue *queue, const char *name) {
    for (size_t i = 0; i < queue->count; i++)
        if (strcmp(queue->batches[i]->name, name) == 0)
            return queue->batches[i];
    return NULL;
}

void queue_set_obstacle(struct queue_batch *batch, const char *why, int64_t until_ms) {
    char *copy = strdup(why); /* out of memory: it is held without a word */
    free(batch->obstacle);
    batch->obstacle = copy;
    batch->obstacle_ms = until_ms;
}

/* ---- tasks ---- */

void queue_set_state(struct queue_batch *batch, uint32_t number, enum queue_state state) {
    struct queue_task *task = &batch->tasks[number];
    batch->n_state[task->state]--;
    if (task->state == QUEUE_ENDED)
        batch->n_verdict[task->verdict]--;
    task->state = (uint64_t)state & 3;
    batch->n_state[state]++;
    if (state == QUEUE_ENDED)
        batch->n_verdict[task->verdict]++;
    else {
        batch->ended_ms = 0;
        batch->is_closed = false;
    }
    if (state == QUEUE_WAITING && number < batch->first_waiting)
        batch->first_waiting = number;
}

static uint32_t fit_u32(uint64_t value) {
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

void queue_set_end(struct queue_batch *batch, uint32_t number, const struct queue_result *result) {
    struct queue_task *task = &batch->tasks[number];
    if (task->state == QUEUE_ENDED) { /* told twice, by a foreign record: the counters follow */
        batch->n_verdict[task->verdict]--;
        batch->n_verdict[result->verdict]++;
    }
    const int most = UINT16_MAX;
    const int attempts = result->attempts < most ? result->attempts : most;
    if (attempts > (int)task->attempts)
        task->attempts = (uint16_t)attempts;
    task->verdict = (uint64_t)result->verdict & 15;
    task->seq = result->seq & ((UINT64_C(1) << 40) - 1);
    task->is_fresh = false;
    task->is_unwanted = false;
    task->wall_ms = fit_u32((uint64_t)(result->wall_ms > 0 ? result->wall_ms : 0));
    task->peak_kib = fit_u32(result->peak_rss_bytes / 1024);
}

bool queue_note_end(struct queue_batch *batch, int64_t now) {
    if (batch->ended_ms != 0 || batch->n_state[QUEUE_ENDED] < batch->n_tasks)
        return false;
    batch->ended_ms = now > 0 ? now : 1;
    return true;
}

struct queue_task_view queue_look(const struct queue_batch *batch, uint32_t number) {
    const struct queue_task *task = &batch->tasks[number];
    return (struct queue_task_view){
        .state = (enum queue_state)task->state,
        .verdict = (enum verdict)task->verdict,
        .attempts = (int)task->attempts,
        .wall_ms = task->wall_ms,
        .peak_rss_bytes = (uint64_t)task->peak_kib * 1024,
        .seq = task->seq,
    };
}

int queue_find_task(const struct queue_batch *batch, const char *id, uint32_t *ret) {
    return queue_index_find(batch, id, strlen(id), ret);
}

struct queue_batch *queue_find_by_task(const struct queue *queue,
                                       const struct rights_caller *caller, const char *id,
                                       uint32_t *ret) {
    for (size_t i = queue->count; i-- > 0;) {
        struct queue_batch *batch = queue->batches[i];
        if (rights_policy_allows(RIGHTS_EXPLAIN, caller, batch->uid) &&
            queue_find_task(batch, id, ret) == 0)
            return batch;
    }
    return NULL;
}
