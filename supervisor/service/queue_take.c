/* The engine's side of the queue: the next task of a batch, and what became of it. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/names.h"
#include "supervisor/batch/task_json.h"

#include <errno.h>
#include <string.h>

void queue_taken_free(struct queue_taken *taken) {
    task_free(&taken->task);
    json_decref(taken->earlier);
    *taken = (struct queue_taken){0};
}

int queue_read_task(const struct queue_batch *batch, uint32_t number, struct queue_taken *ret,
                    struct failure *failure) {
    CLEANUP_FREE char *line = NULL;
    char where[QUEUE_MAX_NAME_BYTES + 64];
    (void)snprintf(where, sizeof(where), "task %u of the batch %s", number + 1, batch->name);
    int r = queue_file_read_line(batch, number, &line, failure);
    if (r < 0)
        return r;
    CLEANUP_JSON json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (!json)
        return failure_set(failure, -EBADMSG, "%s is not JSON any more", where);
    struct queue_taken taken = {.number = number,
                                .attempts = (int)batch->tasks[number].attempts,
                                .bytes = batch->tasks[number].length};
    r = task_json_read(json, where, &taken.task, &taken.need, failure);
    if (r < 0)
        return r;
    *ret = taken;
    return 0;
}

/* ---- earlier ends ---- */

/* Whether an earlier end may spare the task: which of them are final, the record says in full. */
static bool may_be_final(const struct queue_task *task) {
    const enum verdict verdict = (enum verdict)task->verdict;
    return task->seq > 0 && !task->is_fresh &&
           (verdict == VERDICT_OK || verdict == VERDICT_DOUBTFUL || verdict == VERDICT_FAILED);
}

/* The record that says how the task ended, here or in an earlier batch; 0: none that counts. */
static uint64_t earlier_seq(const struct queue *queue, const struct queue_batch *batch,
                            uint32_t number) {
    const struct queue_task *task = &batch->tasks[number];
    if (task->is_fresh || batch->options.redo)
        return 0;
    if (may_be_final(task))
        return task->seq;
    for (size_t i = queue->count; i-- > 0;) {
        const struct queue_batch *other = queue->batches[i];
        uint32_t there = 0;
        if (other == batch || other->uid != batch->uid || strcmp(other->out, batch->out) != 0 ||
            queue_index_find_hash(other, task->hash, &there) < 0)
            continue;
        if (other->tasks[there].state == QUEUE_ENDED && may_be_final(&other->tasks[there]))
            return other->tasks[there].seq;
    }
    return 0;
}

static json_t *find_earlier(const struct queue *queue, const struct queue_batch *batch,
                            uint32_t number) {
    const uint64_t seq = queue->store ? earlier_seq(queue, batch, number) : 0;
    json_t *record = NULL;
    if (seq == 0 || ledger_store_look(queue->store, seq, &record, NULL) < 0)
        return NULL; /* to do it again is always right */
    CLEANUP_JSON json_t *owned = record;
    const char *event = json_string_value(json_object_get(owned, "event"));
    return event && strcmp(event, "task_end") == 0 ? STEAL_PTR(owned) : NULL;
}

/* ---- the next ---- */

static uint32_t next_waiting(struct queue_batch *batch) {
    while (batch->first_waiting < batch->n_tasks &&
           batch->tasks[batch->first_waiting].state != QUEUE_WAITING)
        batch->first_waiting++;
    return batch->first_waiting;
}

int queue_next(struct queue *queue, struct queue_batch *batch, struct queue_taken *ret,
               struct failure *failure) {
    const uint32_t number = next_waiting(batch);
    if (number == batch->n_tasks)
        return failure_set(failure, -ENOENT, "nothing waits in the batch %s", batch->name);
    if (batch->damage)
        return failure_set(failure, -EBADMSG, "%s", batch->damage);
    struct queue_taken taken = {0};
    struct failure reason = {0};
    int r = queue_read_task(batch, number, &taken, &reason);
    if (r < 0) {
        if (r != -ENOMEM)
            batch->damage =
                names_format("%s: what waits in this batch cannot run; submit it again, "
                             "what was done is not done twice",
                             reason.text);
        return failure_set(failure, r, "%s", reason.text);
    }
    taken.earlier = find_earlier(queue, batch, number);
    queue_set_state(batch, number, QUEUE_TAKEN);
    *ret = taken;
    return 0;
}

/* ---- what became of it ---- */

void queue_started(struct queue *queue, struct queue_batch *batch, uint32_t number, int64_t now) {
    (void)queue;
    if (batch->first_start_ms == 0)
        batch->first_start_ms = now;
    queue_set_state(batch, number, QUEUE_RUNNING);
}

static void add_attempts(struct queue_task *task, int attempts) {
    if (attempts > (int)task->attempts)
        task->attempts = attempts < UINT16_MAX ? (uint16_t)attempts : UINT16_MAX;
}

void queue_apply_return(struct queue_batch *batch, uint32_t number) {
    struct queue_task *task = &batch->tasks[number];
    if (!task->is_unwanted) {
        queue_set_state(batch, number, QUEUE_WAITING);
        return;
    }
    task->is_unwanted = false;
    task->verdict = VERDICT_CANCELLED;
    queue_set_state(batch, number, QUEUE_ENDED);
}

bool queue_give_back(struct queue *queue, struct queue_batch *batch, uint32_t number, int attempts,
                     int64_t now) {
    (void)queue;
    add_attempts(&batch->tasks[number], attempts);
    queue_apply_return(batch, number);
    return queue_note_end(batch, now);
}

void queue_apply_end(struct queue_batch *batch, uint32_t number,
                     const struct queue_result *result) {
    queue_set_end(batch, number, result);
    queue_set_state(batch, number, QUEUE_ENDED);
    (void)queue_note_end(batch, result->now); /* whoever asks sees ended_ms */
}

bool queue_result(struct queue *queue, struct queue_batch *batch, uint32_t number,
                  const struct queue_result *result) {
    (void)queue;
    const bool was_ended = batch->ended_ms != 0;
    queue_apply_end(batch, number, result);
    return !was_ended && batch->ended_ms != 0;
}

int64_t queue_wall_ms(const json_t *record) {
    const double most_s = 1e9, wall_s = json_number_value(json_object_get(record, "wall_s"));
    return wall_s > 0 ? (int64_t)((wall_s < most_s ? wall_s : most_s) * 1000) : 0;
}

/* The earlier record as one of this batch: without what every line of a ledger has. */
static json_t *kept_record(const struct queue_batch *batch, const json_t *earlier) {
    static const char *const own[] = {"v", "seq", "time", "boot", "event", "synced", "crc", NULL};
    CLEANUP_JSON json_t *record = json_copy((json_t *)earlier); /* shallow: it is only read */
    for (size_t i = 0; record && own[i]; i++)
        (void)json_object_del(record, own[i]); /* not there is as good */
    if (!record || json_object_set_new(record, "batch", json_string(batch->name)) < 0 ||
        json_object_set_new(record, "user", json_string(batch->user)) < 0 ||
        json_object_set_new(record, "resumed", json_true()) < 0)
        return NULL;
    return STEAL_PTR(record);
}

bool queue_keep(struct queue *queue, struct queue_batch *batch, const struct queue_taken *taken,
                int64_t now) {
    const json_t *earlier = taken->earlier;
    const char *verdict = json_string_value(json_object_get(earlier, "verdict"));
    struct queue_result result = {
        .attempts = (int)json_integer_value(json_object_get(earlier, "attempts")),
        .wall_ms = queue_wall_ms(earlier),
        .peak_rss_bytes = (uint64_t)json_integer_value(json_object_get(earlier, "peak_rss_bytes")),
        .now = now,
    };
    if (!verdict || verdict_parse(verdict, &result.verdict) < 0)
        result.verdict = VERDICT_FAILED; /* cannot be: an earlier end has one */
    ledger_commit_append(queue->commit, "task_end", kept_record(batch, earlier), NULL, NULL,
                         &result.seq);
    return queue_result(queue, batch, taken->number, &result);
}

void queue_charge(struct queue *queue, const struct queue_batch *batch, uint64_t reserved_bytes,
                  int64_t wall_ms, int64_t now) {
    struct queue_user *user = queue_user_of(queue, batch->uid);
    if (user) /* else it is only a little less fair */
        fair_share_add(&user->share, (double)reserved_bytes * (double)wall_ms / 1000, now,
                       queue->half_life_ms);
}

int queue_end_batch(struct queue *queue, struct queue_batch *batch, int64_t now,
                    ledger_commit_done_cb done, void *context, struct failure *failure) {
    CLEANUP_JSON json_t *counts = json_object();
    for (int i = 0; i < VERDICT_COUNT; i++)
        if (batch->n_verdict[i] > 0)
            (void)json_object_set_new(counts, verdict_name((enum verdict)i),
                                      json_integer(batch->n_verdict[i])); /* for people only */
    const int64_t began = batch->first_start_ms ? batch->first_start_ms : batch->submitted_ms;
    int r = queue_record(queue,
                         json_pack("{s:s, s:s, s:s, s:f, s:O*, s:I, s:I}", "state", "end", "batch",
                                   batch->name, "user", batch->user, "wall_s",
                                   (double)(now - began) / 1000, "counts", counts, "ended_ms",
                                   (json_int_t)batch->ended_ms, "first_start_ms",
                                   (json_int_t)batch->first_start_ms),
                         done, context, &batch->seq, failure);
    if (r == 0)
        batch->is_closed = true;
    return r;
}
