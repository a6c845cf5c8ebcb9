/* What a submit has in common with batches that are there, found out where it holds nobody up: the
 * loop lists the batches and decides, a thread reads and compares the lines of a million tasks, and
 * writes the batch anew where some of them wait or run elsewhere. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/names.h"
#include "supervisor/batch/resume.h"
#include "supervisor/batch/task_json.h"
#include "supervisor/service/queue_options.h"

#include <errno.h>
#include <string.h>

/* A task that is in both. */
struct match {
    uint32_t number, there;
    bool is_same; /* work */
};

/* With one other batch, which is not forgotten meanwhile. */
struct queue_comparison {
    struct queue_comparison *next;
    struct queue_batch *other;
    struct match *matches; /* owned */
    uint32_t n_matches, capacity;
    bool is_made;
    bool is_settled; /* what it has in common was left out */
};

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left for a new batch");
}

void queue_compare_free(struct queue_submit *submit) {
    while (submit->comparisons) {
        struct queue_comparison *one = submit->comparisons;
        submit->comparisons = one->next;
        one->other->n_pins--;
        free(one->matches);
        free(one);
    }
    free(STEAL_PTR(submit->skip));
}

/* ---- in a thread ---- */

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

/* No ids are compared, but their hashes: of one queue they are keyed alike. */
static int add_match(struct queue_comparison *one, const struct match *match) {
    if (one->n_matches == one->capacity) {
        const uint32_t capacity = one->capacity ? 2 * one->capacity : 64;
        struct match *grown = reallocarray(one->matches, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        one->matches = grown;
        one->capacity = capacity;
    }
    one->matches[one->n_matches++] = *match;
    return 0;
}

static int make(const struct queue_submit *submit, struct queue_comparison *one,
                struct failure *failure) {
    const struct queue_batch *other = one->other;
    struct match match = {0};
    for (; match.there < other->n_tasks; match.there++) {
        if (queue_index_find_hash(submit->batch, other->tasks[match.there].hash, &match.number) < 0)
            continue;
        match.is_same = is_same_work(submit, match.number, other, match.there);
        if (add_match(one, &match) < 0)
            return out_of_memory(failure);
    }
    one->is_made = true;
    return 0;
}

/* Once more without the tasks that wait or run elsewhere. */
static int write_anew(struct queue_submit *submit, struct failure *failure) {
    const bool *skip = submit->skip;
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

/* What was left out is dealt with; what comes later is compared with the rest. */
static void settle(struct queue_submit *submit) {
    for (struct queue_comparison *one = submit->comparisons; one; one = one->next) {
        one->is_settled = true;
        free(STEAL_PTR(one->matches));
    }
    submit->n_left_out += submit->n_skipped;
    submit->n_seen_then = submit->n_seen;
    submit->n_skipped = 0;
    submit->is_due_anew = false;
}

int queue_submit_sync(struct queue_submit *submit) {
    struct failure *failure = &submit->failure;
    if (submit->batch->n_tasks < submit->n_announced && !submit->is_finished)
        return 0; /* commit says what is wrong */
    int r = submit->is_finished ? 0 : queue_file_finish(&submit->file, NULL);
    if (r < 0)
        return r;
    submit->batch->fd = submit->file.fd; /* the submit's until the batch is in the queue */
    if (!submit->is_finished)
        r = check_ids(submit, failure);
    submit->is_finished = true;
    for (struct queue_comparison *one = submit->comparisons; r == 0 && one; one = one->next)
        r = one->is_made ? 0 : make(submit, one, failure);
    if (r == 0 && submit->is_due_anew && write_anew(submit, failure) == 0)
        settle(submit);
    return 0; /* the disk has done its part; commit says what else is wrong */
}

/* ---- on the loop ---- */

static const struct queue_comparison *find(const struct queue_submit *submit,
                                           const struct queue_batch *other) {
    const struct queue_comparison *one = submit->comparisons;
    while (one && one->other != other)
        one = one->next;
    return one;
}

/* Returns how many batches there are to compare with that were not known yet. */
static size_t list_others(struct queue_submit *submit) {
    size_t n = 0;
    for (size_t i = 0; i < submit->queue->count; i++) { /* the newest becomes the first */
        struct queue_batch *other = submit->queue->batches[i];
        if (!is_same_place(submit->batch, other) || other->damage || find(submit, other))
            continue;
        struct queue_comparison *one = calloc(1, sizeof(*one));
        if (!one) {
            (void)out_of_memory(&submit->failure);
            return 0;
        }
        one->other = other;
        one->next = submit->comparisons;
        submit->comparisons = one;
        other->n_pins++;
        n++;
    }
    return n;
}

/* Notes the tasks that wait or run in the other batch, and counts those that ended there. */
static int look_at(struct queue_submit *submit, struct queue_comparison *one) {
    uint32_t common = 0;
    for (uint32_t i = 0; i < one->n_matches; i++) {
        const struct match *match = &one->matches[i];
        const bool is_ended = one->other->tasks[match->there].state == QUEUE_ENDED;
        if (!is_ended && !match->is_same)
            return refuse_other_work(submit, match->number, one->other, &submit->failure);
        common += match->is_same;
        submit->n_seen += is_ended && !submit->skip[match->number];
        if (is_ended || submit->skip[match->number])
            continue;
        submit->skip[match->number] = true;
        submit->n_skipped++;
        if (!submit->elsewhere)
            submit->elsewhere = one->other;
    }
    if (common == submit->batch->n_tasks && common == one->other->n_tasks &&
        submit->n_left_out == 0 && !submit->batch->options.redo &&
        are_same_options(submit->batch, one->other))
        submit->same = one->other;
    return 0;
}

/* Of what was left out nothing waits that was to be done by another's batch, and the other way
 * round: a task that was wanted again meanwhile would be done twice at once. */
static int check_settled(struct queue_submit *submit, const struct queue_comparison *one) {
    uint32_t number = 0;
    for (uint32_t there = 0; there < one->other->n_tasks; there++)
        if (one->other->tasks[there].state != QUEUE_ENDED &&
            queue_index_find_hash(submit->batch, one->other->tasks[there].hash, &number) == 0)
            return failure_set(&submit->failure, -EBUSY,
                               "tasks of the batch %s for the same folder were retried while this "
                               "one was submitted; submit it again",
                               one->other->name);
    return 0;
}

static int decide(struct queue_submit *submit) {
    free(submit->skip);
    submit->skip = calloc(submit->batch->n_tasks + 1, sizeof(*submit->skip));
    submit->n_skipped = 0;
    submit->n_seen = submit->n_seen_then;
    submit->same = NULL;
    if (!submit->skip)
        return out_of_memory(&submit->failure);
    int r = 0;
    for (struct queue_comparison *one = submit->comparisons; r == 0 && one && !submit->same;
         one = one->next)
        r = one->is_settled ? check_settled(submit, one) : look_at(submit, one);
    return r;
}

bool queue_submit_prepare(struct queue_submit *submit) {
    const struct queue_batch *batch = submit->batch;
    if (submit->failure.code < 0)
        return false;
    if (list_others(submit) > 0 || !submit->is_finished)
        return submit->failure.code == 0;
    submit->is_due_anew = decide(submit) == 0 && !submit->same && submit->n_skipped > 0 &&
                          submit->n_skipped < batch->n_tasks;
    return submit->is_due_anew;
}
