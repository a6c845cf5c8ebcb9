/* The end of a submit: what waits or runs already is left out, the file gets its name, the queue
 * the batch, the ledger its record. Killed in between, a client was told nothing and the next start
 * removes what is left. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/names.h"
#include "supervisor/batch/resume.h"
#include "supervisor/batch/task_json.h"
#include "supervisor/service/queue_options.h"

#include <errno.h>
#include <string.h>

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left for a new batch");
}

/* ---- what is there already ---- */

static bool is_same_place(const struct queue_batch *batch, const struct queue_batch *other) {
    return other->uid == batch->uid && strcmp(other->out, batch->out) == 0;
}

static json_t *identity_of(const char *line) {
    CLEANUP(task_free) struct task task = {0};
    struct forecast_task need;
    CLEANUP_JSON json_t *json = json_loads(line, 0, NULL);
    return json && task_json_read(json, "a task", &task, &need, NULL) == 0 ? resume_identity(&task)
                                                                           : NULL;
}

/* Whether two tasks with one id are the same work. */
static bool is_same_work(const struct queue_submit *submit, uint32_t number,
                         const struct queue_batch *other, uint32_t there) {
    CLEANUP_FREE char *line = NULL, *other_line = NULL;
    if (queue_file_read_line(submit->batch, number, &line, NULL) < 0 ||
        queue_file_read_line(other, there, &other_line, NULL) < 0)
        return false;
    if (strcmp(line, other_line) == 0)
        return true;
    CLEANUP_JSON json_t *identity = identity_of(line), *other_identity = identity_of(other_line);
    return identity && json_equal(identity, other_identity);
}

static int refuse_other_work(const struct queue_submit *submit, uint32_t number,
                             const struct queue_batch *other, struct failure *failure) {
    CLEANUP_FREE char *id = queue_id_text(submit->batch, number);
    return failure_set(failure, -EEXIST,
                       "the task %.200s waits or runs in the batch %s with other parameters, for "
                       "the same folder %s; cancel it there first, or give another -o",
                       id ? id : "?", other->name, other->out);
}

/* Notes the tasks that wait or run in one other batch, and counts those that ended there. */
static int compare_with(struct queue_submit *submit, struct queue_batch *other, bool *skip,
                        uint32_t *ret_common, uint32_t *ret_seen, struct failure *failure) {
    for (uint32_t there = 0; there < other->n_tasks; there++) {
        uint32_t number = 0;
        if (queue_index_find_hash(submit->batch, other->tasks[there].hash, &number) < 0)
            continue;
        const bool is_ended = other->tasks[there].state == QUEUE_ENDED;
        const bool is_same = is_same_work(submit, number, other, there);
        if (!is_ended && !is_same)
            return refuse_other_work(submit, number, other, failure);
        *ret_common += is_same;
        *ret_seen += is_ended && !skip[number];
        if (is_ended || skip[number])
            continue;
        skip[number] = true;
        submit->n_skipped++;
        if (!submit->elsewhere)
            submit->elsewhere = other;
    }
    return 0;
}

/* ---- the commit ---- */

static int check_ids(struct queue_submit *submit, struct failure *failure) {
    struct queue_batch *batch = submit->batch;
    uint32_t first = 0, second = 0;
    int r = queue_index_build(batch, &first, &second);
    if (r == -ENOMEM)
        return out_of_memory(failure);
    if (r == 0)
        return 0;
    CLEANUP_FREE char *id = queue_id_text(batch, second);
    return failure_set(failure, -EINVAL, "tasks %u and %u have the same id, %.200s", first + 1,
                       second + 1, id ? id : "?");
}

static bool are_same_options(const struct queue_batch *batch, const struct queue_batch *other) {
    CLEANUP_JSON json_t *a = queue_options_to_json(&batch->options),
                        *b = queue_options_to_json(&other->options);
    return a && json_equal(a, b);
}

/* ret_same: the batch that is this one. */
static int compare_with_all(struct queue_submit *submit, bool *skip, struct queue_batch **ret_same,
                            uint32_t *ret_seen, struct failure *failure) {
    const struct queue *queue = submit->queue;
    const struct queue_batch *batch = submit->batch;
    for (size_t i = queue->count; i-- > 0;) {
        struct queue_batch *other = queue->batches[i];
        uint32_t common = 0;
        if (!is_same_place(batch, other) || other->damage)
            continue;
        int r = compare_with(submit, other, skip, &common, ret_seen, failure);
        if (r < 0)
            return r;
        if (common == batch->n_tasks && common == other->n_tasks && !batch->options.redo &&
            are_same_options(batch, other)) {
            *ret_same = other;
            return 0;
        }
    }
    return 0;
}

/* Once more without the tasks that wait or run elsewhere. */
static int write_anew(struct queue_submit *submit, const bool *skip, struct failure *failure) {
    struct queue_batch *batch = submit->batch;
    CLEANUP(queue_file_close) struct queue_file file = {.fd = -1};
    CLEANUP_FREE char *path = names_format("%s+", submit->file.path);
    int r = path
                ? queue_file_create(&file, path, batch, batch->n_tasks - submit->n_skipped, failure)
                : out_of_memory(failure);
    uint32_t kept = 0;
    for (uint32_t i = 0; r == 0 && i < batch->n_tasks; i++) {
        CLEANUP_FREE char *line = NULL;
        uint64_t offset = 0;
        if (skip[i])
            continue;
        r = queue_file_read_line(batch, i, &line, failure);
        if (r == 0)
            r = queue_file_line(&file, line, strlen(line), &offset, failure);
        batch->tasks[kept] = batch->tasks[i];
        batch->tasks[kept++].offset = offset & ((UINT64_C(1) << 42) - 1);
    }
    if (r == 0)
        r = queue_file_finish(&file, failure);
    if (r < 0)
        return r;
    batch->n_tasks = kept;
    queue_file_close(&submit->file);
    submit->file = file;
    file = (struct queue_file){.fd = -1};
    batch->fd = submit->file.fd;
    return check_ids(submit, failure);
}

static bool is_taken(const struct queue *queue, const char *name) {
    CLEANUP_FREE char *path = names_format("%s/%s" QUEUE_FILE_SUFFIX, queue->folder, name);
    return queue_find(queue, name) || !path || access(path, F_OK) == 0;
}

/* After OUT, with a number where that is taken. NULL: out of memory. */
static char *choose_name(const struct queue *queue, const char *out) {
    enum { MOST_NAMES = 2 * QUEUE_MAX_BATCHES };
    const char *last = strrchr(out, '/') + 1;
    const char *base =
        queue_submit_check_name(last, NULL) == 0 && strlen(last) < QUEUE_MAX_NAME_BYTES - 8
            ? last
            : "batch";
    for (int i = 1; i < MOST_NAMES; i++) {
        CLEANUP_FREE char *name = i == 1 ? strdup(base) : names_format("%s-%d", base, i);
        if (!name || !is_taken(queue, name))
            return STEAL_PTR(name);
    }
    return NULL;
}

static int set_name(struct queue_submit *submit, struct failure *failure) {
    if (submit->wanted_name && is_taken(submit->queue, submit->wanted_name))
        return failure_set(failure, -EEXIST,
                           "there is a batch %s already; give another --name, or none",
                           submit->wanted_name);
    submit->batch->name = submit->wanted_name ? STEAL_PTR(submit->wanted_name)
                                              : choose_name(submit->queue, submit->batch->out);
    return submit->batch->name ? 0 : out_of_memory(failure);
}

static json_t *submit_record(const struct queue_batch *batch) {
    return json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:I, s:s}", "state", "submit", "batch",
                     batch->name, "order", (json_int_t)batch->order, "user", batch->user, "uid",
                     (json_int_t)batch->uid, "gid", (json_int_t)batch->gid, "out", batch->out,
                     "tasks", (json_int_t)batch->n_tasks, "by", batch->user);
}

/* The file gets its name, the queue the batch, the ledger the record. */
static int enter(struct queue_submit *submit, ledger_commit_done_cb done, void *context,
                 struct queue_batch **ret, struct failure *failure) {
    struct queue *queue = submit->queue;
    struct queue_batch *batch = submit->batch;
    CLEANUP_FREE char *path = names_format("%s/%s" QUEUE_FILE_SUFFIX, queue->folder, batch->name);
    batch->n_state[QUEUE_WAITING] = batch->n_tasks;
    int r = path ? queue_file_publish(&submit->file, path, failure) : out_of_memory(failure);
    if (r == 0)
        r = queue_add_batch(queue, batch, failure);
    if (r < 0) {
        if (path && !submit->file.path)
            (void)unlink(path); /* nobody was told of it; the next start sets it aside */
        return r;
    }
    submit->batch = NULL;
    submit->file.fd = -1; /* the batch's now */
    r = queue_record(queue, submit_record(batch), done, context, &batch->seq, failure);
    if (r < 0) {
        (void)unlink(path);
        queue_drop_batch(queue, batch);
        return r;
    }
    *ret = batch;
    return 0;
}

static int answer_same(struct queue *queue, struct queue_batch *same, ledger_commit_done_cb done,
                       void *context, struct queue_answer *ret, struct failure *failure) {
    *ret = (struct queue_answer){.name = same->name, .batch = same, .is_same = true};
    ret->n_already = same->n_tasks - same->n_state[QUEUE_ENDED];
    if (same->n_state[QUEUE_ENDED] == 0)
        return 0;
    int r = queue_record(
        queue,
        json_pack("{s:s, s:s, s:s}", "state", "again", "batch", same->name, "by", same->user), done,
        context, &same->seq, failure);
    if (r < 0)
        return r;
    ret->n_queued = ret->n_seen = ret->n_changed = queue_apply_again(same);
    return 0;
}

static int commit(struct queue_submit *submit, ledger_commit_done_cb done, void *context,
                  struct queue_answer *ret, struct failure *failure) {
    struct queue_batch *batch = submit->batch, *same = NULL;
    uint32_t n_seen = 0;
    CLEANUP_FREE bool *skip = calloc(batch->n_tasks + 1, sizeof(*skip));
    if (!skip)
        return out_of_memory(failure);
    int r = compare_with_all(submit, skip, &same, &n_seen, failure);
    if (r < 0)
        return r;
    if (same)
        return answer_same(submit->queue, same, done, context, ret, failure);
    const uint32_t n_skipped = submit->n_skipped;
    if (n_skipped == batch->n_tasks) {
        *ret = (struct queue_answer){
            .name = submit->elsewhere->name, .batch = submit->elsewhere, .n_already = n_skipped};
        return 0;
    }
    if (n_skipped > 0)
        r = write_anew(submit, skip, failure);
    if (r == 0)
        r = set_name(submit, failure);
    if (r == 0)
        r = enter(submit, done, context, &batch, failure);
    if (r < 0)
        return r;
    *ret = (struct queue_answer){.name = batch->name,
                                 .batch = batch,
                                 .n_queued = batch->n_tasks,
                                 .n_already = n_skipped,
                                 .n_seen = n_seen,
                                 .n_changed = batch->n_tasks};
    return 0;
}

int queue_submit_commit(struct queue_submit *submit, ledger_commit_done_cb done, void *context,
                        struct queue_answer *ret, struct failure *failure) {
    CLEANUP(queue_cleanup_submit) struct queue_submit *owned = submit;
    struct queue_batch *batch = submit->batch;
    if (batch->n_tasks < submit->n_announced)
        return failure_set(failure, -EINVAL, "only %u of the %u tasks announced were sent",
                           batch->n_tasks, submit->n_announced);
    int r = submit->is_finished ? 0 : queue_file_finish(&submit->file, failure);
    if (r < 0)
        return r;
    submit->is_finished = true;
    batch->fd = submit->file.fd; /* the submit's until the batch is in the queue */
    r = check_ids(submit, failure);
    if (r == 0)
        r = commit(submit, done, context, ret, failure);
    if (submit->batch)
        submit->batch->fd = -1; /* it stays the submit's, who removes it */
    return r;
}
