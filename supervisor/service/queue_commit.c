/* The end of a submit, once it is known what of it is there already (queue_compare.c): the file
 * gets its name, the queue the batch, the ledger its record. Killed in between, a client was told
 * nothing and the next start removes what is left. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/names.h"

#include <errno.h>
#include <string.h>

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left for a new batch");
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
    struct queue_batch *batch = submit->batch;
    if (submit->same)
        return answer_same(submit->queue, submit->same, done, context, ret, failure);
    if (submit->n_skipped == batch->n_tasks) {
        *ret = (struct queue_answer){.name = submit->elsewhere->name,
                                     .batch = submit->elsewhere,
                                     .n_already = submit->n_left_out + submit->n_skipped};
        return 0;
    }
    int r = set_name(submit, failure);
    if (r == 0)
        r = enter(submit, done, context, &batch, failure);
    if (r < 0)
        return r;
    *ret = (struct queue_answer){.name = batch->name,
                                 .batch = batch,
                                 .n_queued = batch->n_tasks,
                                 .n_already = submit->n_left_out,
                                 .n_seen = submit->n_seen,
                                 .n_changed = batch->n_tasks};
    return 0;
}

int queue_submit_commit(struct queue_submit *submit, ledger_commit_done_cb done, void *context,
                        struct queue_answer *ret, struct failure *failure) {
    CLEANUP(queue_cleanup_submit) struct queue_submit *owned = submit;
    const struct queue_batch *batch = submit->batch;
    if (batch->n_tasks < submit->n_announced && !submit->is_finished)
        return failure_set(failure, -EINVAL, "only %u of the %u tasks announced were sent",
                           batch->n_tasks, submit->n_announced);
    while (queue_submit_prepare(submit)) {
        const int r = queue_submit_sync(submit);
        if (r < 0)
            return failure_set_errno(failure, r, "cannot write the batch to %s", submit->file.path);
    }
    if (submit->failure.code < 0)
        return failure_set(failure, submit->failure.code, "%s", submit->failure.text);
    return commit(submit, done, context, ret, failure);
}
