/* What users do to batches: cancel, retry, pause, priority; and the forgetting of old ones. First
 * the right to do it, then the record, then memory; the apply functions do the last part at a
 * replay too. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/names.h"

#include <errno.h>
#include <string.h>

void queue_change_free(struct queue_change *change) {
    free(change->running);
    *change = (struct queue_change){0};
}

/* ---- what is done to memory ---- */

static uint32_t cancel_one(struct queue_batch *batch, uint32_t number, uint64_t seq) {
    struct queue_task *task = &batch->tasks[number];
    if (task->state == QUEUE_ENDED || task->is_unwanted)
        return 0;
    task->seq = seq & ((UINT64_C(1) << 40) - 1);
    if (task->state != QUEUE_WAITING) {
        task->is_unwanted = true;
        return 1;
    }
    task->verdict = VERDICT_CANCELLED;
    queue_set_state(batch, number, QUEUE_ENDED);
    return 1;
}

uint32_t queue_apply_cancel(struct queue_batch *batch, uint32_t number, uint64_t seq, int64_t now) {
    uint32_t n = 0;
    const uint32_t end = number == QUEUE_ALL ? batch->n_tasks : number + 1;
    for (uint32_t i = number == QUEUE_ALL ? 0 : number; i < end; i++)
        n += cancel_one(batch, i, seq);
    (void)queue_note_end(batch, now); /* whoever asks sees ended_ms */
    return n;
}

uint32_t queue_apply_retry(struct queue_batch *batch, uint32_t number) {
    uint32_t n = 0;
    const uint32_t end = number == QUEUE_ALL ? batch->n_tasks : number + 1;
    for (uint32_t i = number == QUEUE_ALL ? 0 : number; i < end; i++) {
        struct queue_task *task = &batch->tasks[i];
        if (task->state != QUEUE_ENDED || (number == QUEUE_ALL && task->verdict == VERDICT_OK))
            continue;
        queue_set_state(batch, i, QUEUE_WAITING);
        task->is_fresh = true;
        n++;
    }
    return n;
}

uint32_t queue_apply_again(struct queue_batch *batch) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < batch->n_tasks; i++) {
        if (batch->tasks[i].state != QUEUE_ENDED)
            continue;
        queue_set_state(batch, i, QUEUE_WAITING);
        n++;
    }
    return n;
}

void queue_apply_pause(struct queue_batch *batch, bool paused, const char *by) {
    free(batch->paused_by);
    batch->is_paused = paused;
    batch->paused_by = paused ? strdup(by) : NULL;
}

/* ---- what users ask for ---- */

static int check(enum rights_action action, const struct rights_caller *caller,
                 const struct queue_batch *batch, struct failure *failure) {
    char what[QUEUE_MAX_NAME_BYTES + 16];
    (void)snprintf(what, sizeof(what), "the batch %s", batch->name);
    return rights_policy_check(action, caller, batch->uid, batch->user, what, failure);
}

static int find_task(const struct queue_batch *batch, const char *id, uint32_t *ret,
                     struct failure *failure) {
    *ret = QUEUE_ALL;
    if (!id || queue_find_task(batch, id, ret) == 0)
        return 0;
    return failure_set(failure, -ENOENT,
                       "the batch %s has no task %.200s; see: registrar status %s", batch->name, id,
                       batch->name);
}

static int record(struct queue *queue, struct queue_batch *batch, const char *state, const char *id,
                  const struct rights_caller *caller, ledger_commit_done_cb done, void *context,
                  struct failure *failure) {
    return queue_record(queue,
                        json_pack("{s:s, s:s, s:s*, s:s, s:I}", "state", state, "batch",
                                  batch->name, "task", id, "by", caller->user, "by_uid",
                                  (json_int_t)caller->uid),
                        done, context, &batch->seq, failure);
}

/* How many an operation on them would change. */
static uint32_t count_cancellable(const struct queue_batch *batch, uint32_t number) {
    if (number != QUEUE_ALL)
        return batch->tasks[number].state != QUEUE_ENDED && !batch->tasks[number].is_unwanted;
    uint32_t n = batch->n_state[QUEUE_WAITING];
    if (batch->n_state[QUEUE_TAKEN] + batch->n_state[QUEUE_RUNNING] == 0)
        return n;
    for (uint32_t i = 0; i < batch->n_tasks; i++)
        n += (batch->tasks[i].state == QUEUE_TAKEN || batch->tasks[i].state == QUEUE_RUNNING) &&
             !batch->tasks[i].is_unwanted;
    return n;
}

/* Those that the engine has. */
static int list_running(const struct queue_batch *batch, uint32_t number,
                        struct queue_change *change) {
    const uint32_t most = batch->n_state[QUEUE_TAKEN] + batch->n_state[QUEUE_RUNNING];
    change->running = calloc((size_t)most + 1, sizeof(*change->running));
    if (!change->running)
        return -ENOMEM;
    const uint32_t end = number == QUEUE_ALL ? batch->n_tasks : number + 1;
    for (uint32_t i = number == QUEUE_ALL ? 0 : number; i < end && change->n_running < most; i++) {
        const enum queue_state state = (enum queue_state)batch->tasks[i].state;
        if (state == QUEUE_TAKEN || state == QUEUE_RUNNING)
            change->running[change->n_running++] = i;
    }
    return 0;
}

int queue_cancel(struct queue *queue, const struct rights_caller *caller, struct queue_batch *batch,
                 const char *id, int64_t now, ledger_commit_done_cb done, void *context,
                 struct queue_change *ret, struct failure *failure) {
    CLEANUP(queue_change_free) struct queue_change change = {0};
    uint32_t number = 0;
    int r = check(RIGHTS_CANCEL, caller, batch, failure);
    if (r == 0)
        r = find_task(batch, id, &number, failure);
    if (r < 0)
        return r;
    if (list_running(batch, number, &change) < 0)
        return failure_set(failure, -ENOMEM, "no memory left to cancel");
    if (count_cancellable(batch, number) > 0) {
        const bool was_ended = batch->ended_ms != 0;
        r = record(queue, batch, "cancel", id, caller, done, context, failure);
        if (r < 0)
            return r;
        change.n_changed = queue_apply_cancel(batch, number, batch->seq, now);
        change.is_ended = !was_ended && batch->ended_ms != 0;
    }
    *ret = change;
    change = (struct queue_change){0};
    return 0;
}

int queue_retry(struct queue *queue, const struct rights_caller *caller, struct queue_batch *batch,
                const char *id, ledger_commit_done_cb done, void *context, struct queue_change *ret,
                struct failure *failure) {
    uint32_t number = 0;
    int r = check(RIGHTS_RETRY, caller, batch, failure);
    if (r == 0)
        r = find_task(batch, id, &number, failure);
    if (r < 0)
        return r;
    if (batch->damage)
        return failure_set(failure, -EBADMSG, "%s", batch->damage);
    const bool any = number == QUEUE_ALL
                         ? batch->n_state[QUEUE_ENDED] > batch->n_verdict[VERDICT_OK]
                         : batch->tasks[number].state == QUEUE_ENDED;
    *ret = (struct queue_change){0};
    if (!any)
        return 0;
    r = record(queue, batch, "retry", id, caller, done, context, failure);
    if (r == 0)
        ret->n_changed = queue_apply_retry(batch, number);
    return r;
}

static int pause_all(struct queue *queue, const struct rights_caller *caller, bool paused,
                     ledger_commit_done_cb done, void *context, struct queue_change *ret,
                     struct failure *failure) {
    uint64_t seq = 0;
    int r = rights_policy_check(RIGHTS_WHOLE_QUEUE, caller, caller->uid, "all", "the whole queue",
                                failure);
    if (r < 0 || paused == (queue->paused_by != NULL))
        return r;
    r = queue_record(queue,
                     json_pack("{s:s, s:s, s:I}", "state", paused ? "pause" : "resume", "by",
                               caller->user, "by_uid", (json_int_t)caller->uid),
                     done, context, &seq, failure);
    if (r < 0)
        return r;
    free(queue->paused_by);
    queue->paused_by = paused ? strdup(caller->user) : NULL;
    ret->n_changed = 1;
    return 0;
}

int queue_pause(struct queue *queue, const struct rights_caller *caller, struct queue_batch *batch,
                bool paused, ledger_commit_done_cb done, void *context, struct queue_change *ret,
                struct failure *failure) {
    *ret = (struct queue_change){0};
    if (!batch)
        return pause_all(queue, caller, paused, done, context, ret, failure);
    int r = check(RIGHTS_PAUSE, caller, batch, failure);
    if (r < 0 || batch->is_paused == paused)
        return r;
    r = record(queue, batch, paused ? "pause" : "resume", NULL, caller, done, context, failure);
    if (r < 0)
        return r;
    queue_apply_pause(batch, paused, caller->user);
    ret->n_changed = 1;
    return 0;
}

int queue_prioritise(struct queue *queue, const struct rights_caller *caller,
                     struct queue_batch *batch, int priority, ledger_commit_done_cb done,
                     void *context, struct queue_change *ret, struct failure *failure) {
    *ret = (struct queue_change){0};
    int r = check(priority > 0 ? RIGHTS_RAISE : RIGHTS_LOWER, caller, batch, failure);
    if (r < 0)
        return r;
    if (priority < QUEUE_LEAST_PRIORITY || priority > QUEUE_MOST_PRIORITY)
        return failure_set(failure, -EINVAL, "a priority lies in %d to %d; %d does not",
                           QUEUE_LEAST_PRIORITY, QUEUE_MOST_PRIORITY, priority);
    if (batch->priority == priority)
        return 0;
    r = queue_record(queue,
                     json_pack("{s:s, s:s, s:i, s:s, s:I}", "state", "priority", "batch",
                               batch->name, "priority", priority, "by", caller->user, "by_uid",
                               (json_int_t)caller->uid),
                     done, context, &batch->seq, failure);
    if (r < 0)
        return r;
    batch->priority = priority;
    ret->n_changed = 1;
    return 0;
}

/* ---- forgetting ---- */

/* Only once the record is safe: before it, the file may still be needed. */
static void unlink_file(void *context, uint64_t seq) {
    (void)seq;
    CLEANUP_FREE char *path = context;
    (void)unlink(path); /* else the next start sets it aside */
}

static bool forget_one(struct queue *queue, struct queue_batch *batch) {
    CLEANUP_FREE char *path = names_format("%s/%s" QUEUE_FILE_SUFFIX, queue->folder, batch->name);
    uint64_t seq = 0;
    if (!path || queue_record(queue,
                              json_pack("{s:s, s:s, s:s}", "state", "forget", "batch", batch->name,
                                        "by", "registrar"),
                              unlink_file, path, &seq, NULL) < 0)
        return false;
    (void)STEAL_PTR(path); /* unlink_file's; lost only with the whole service */
    queue_drop_batch(queue, batch);
    return true;
}

size_t queue_forget(struct queue *queue, int64_t before_ms, size_t most) {
    size_t n_closed = 0, n = 0;
    for (size_t i = 0; i < queue->count; i++)
        n_closed += queue->batches[i]->is_closed;
    for (size_t i = 0; i < queue->count;) {
        struct queue_batch *batch = queue->batches[i];
        const bool is_old = batch->ended_ms < before_ms || n_closed > most;
        if (!batch->is_closed || !is_old || batch->n_pins > 0) {
            i++;
            continue;
        }
        if (!forget_one(queue, batch))
            break;
        n_closed--;
        n++;
    }
    return n;
}
