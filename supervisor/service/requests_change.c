/* Requests that change the queue: cancel, retry, pause, resume, drain, priority. The queue decides
 * who may and records it; the answer goes out when the record is on disk. */
#include "supervisor/service/requests_state.h"

#include "common/json_read.h"

#include <errno.h>

enum { MOST_TASKS = 1000 /* that one request lists: each is looked at on the loop */ };

/* What the queue is asked to do with a batch or one task of it. */
struct change {
    const struct requests_call *call;
    struct queue_batch *batch; /* NULL: the whole queue */
    struct requests_promise *promise;
    int priority;
    int (*make)(const struct change *change, const char *id, struct queue_change *ret,
                struct failure *failure);
    bool is_cancel;
};

static struct queue *queue_of(const struct requests_call *call) {
    return service_queue(call->requests->service);
}

static int make_cancel(const struct change *change, const char *id, struct queue_change *ret,
                       struct failure *failure) {
    return queue_cancel(queue_of(change->call), &change->call->caller, change->batch, id,
                        requests_now_ms(), requests_promise_keep, change->promise, ret, failure);
}

static int make_retry(const struct change *change, const char *id, struct queue_change *ret,
                      struct failure *failure) {
    return queue_retry(queue_of(change->call), &change->call->caller, change->batch, id,
                       requests_promise_keep, change->promise, ret, failure);
}

static int make_pause(const struct change *change, const char *id, struct queue_change *ret,
                      struct failure *failure) {
    (void)id;
    return queue_pause(queue_of(change->call), &change->call->caller, change->batch, true,
                       requests_promise_keep, change->promise, ret, failure);
}

static int make_resume(const struct change *change, const char *id, struct queue_change *ret,
                       struct failure *failure) {
    (void)id;
    return queue_pause(queue_of(change->call), &change->call->caller, change->batch, false,
                       requests_promise_keep, change->promise, ret, failure);
}

static int make_priority(const struct change *change, const char *id, struct queue_change *ret,
                         struct failure *failure) {
    (void)id;
    return queue_prioritise(queue_of(change->call), &change->call->caller, change->batch,
                            change->priority, requests_promise_keep, change->promise, ret, failure);
}

static json_t *make_answer(const struct change *change, uint32_t n_changed, uint32_t n_running) {
    json_t *answer = json_pack("{s:b, s:I, s:I}", "ok", 1, "changed", (json_int_t)n_changed,
                               "running", (json_int_t)n_running);
    if (answer && change->batch &&
        json_object_set_new(answer, "batch", json_string(change->batch->name)) < 0) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

/* One operation. n_changed and n_running go on counting. */
static int apply(struct change *change, const char *id, uint32_t *n_changed, uint32_t *n_running,
                 struct failure *failure) {
    const struct requests_call *call = change->call;
    CLEANUP(queue_change_free) struct queue_change made = {0};
    requests_promise_await(change->promise);
    int r = change->make(change, id, &made, failure);
    if (r < 0 || made.n_changed == 0) /* no record is on its way to disk */
        requests_promise_keep(change->promise, 0);
    if (r < 0)
        return r;
    *n_changed += made.n_changed;
    for (uint32_t i = 0; i < made.n_running; i++)
        *n_running += queue_look(change->batch, made.running[i]).state == QUEUE_RUNNING;
    if (change->is_cancel)
        service_changed(call->requests->service, change->batch, &made, call->caller.user);
    return 0;
}

/* The batch as a whole, or the tasks that are listed. */
static int apply_all(struct change *change, struct failure *failure) {
    const json_t *tasks = json_object_get(change->call->members, "tasks");
    uint32_t n_changed = 0, n_running = 0;
    int r = tasks ? 0 : apply(change, NULL, &n_changed, &n_running, failure);
    for (size_t i = 0; r == 0 && i < json_array_size(tasks); i++)
        r = apply(change, json_string_value(json_array_get(tasks, i)), &n_changed, &n_running,
                  failure);
    if (!change->is_cancel) {
        service_changed(change->call->requests->service, change->batch, NULL, NULL);
        n_running = requests_running(change->call->requests, change->batch);
    }
    requests_promise_answer(change->promise, make_answer(change, n_changed, n_running));
    return r;
}

static int check_tasks(const struct change *change, struct failure *failure) {
    const json_t *tasks = json_object_get(change->call->members, "tasks");
    const char *name = change->batch ? change->batch->name : "";
    uint32_t number;
    if (tasks && json_array_size(tasks) == 0)
        return failure_set(failure, -EINVAL,
                           "the request: \"tasks\" must be a list of at least one task's id");
    if (json_array_size(tasks) > MOST_TASKS)
        return failure_set(
            failure, -EINVAL,
            "%zu tasks are too many for one request, which takes %d; name fewer at a "
            "time, or the whole batch %s",
            json_array_size(tasks), MOST_TASKS, name);
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const char *id = json_string_value(json_array_get(tasks, i));
        if (!id)
            return failure_set(failure, -EINVAL, "the request: \"tasks\" must hold only strings");
        if (queue_find_task(change->batch, id, &number) < 0)
            return failure_set(failure, -ENOENT,
                               "the batch %s has no task %.200s; registrar status %s lists them",
                               name, id, name);
    }
    return 0;
}

static int make(struct change *change, struct failure *failure) {
    int r = check_tasks(change, failure);
    if (r < 0)
        return r;
    change->promise = requests_promise_open(change->call);
    if (!change->promise)
        return failure_set(failure, -ENOMEM, "the service is out of memory");
    r = apply_all(change, failure);
    if (r < 0) /* what was changed before is on its way to disk, and this is its answer */
        requests_promise_answer(change->promise,
                                json_pack("{s:b, s:i, s:s}", "ok", 0, "exit",
                                          requests_exit_status(r), "sentence", failure->text));
    requests_promise_keep(change->promise, 0);
    return 0;
}

static int make_named(struct change *change, bool is_needed, struct failure *failure) {
    int r = requests_find_batch(change->call, is_needed, &change->batch, failure);
    return r < 0 ? r : make(change, failure);
}

int requests_cancel(const struct requests_call *call, struct failure *failure) {
    struct change change = {.call = call, .make = make_cancel, .is_cancel = true};
    return make_named(&change, true, failure);
}

int requests_retry(const struct requests_call *call, struct failure *failure) {
    struct change change = {.call = call, .make = make_retry};
    return make_named(&change, true, failure);
}

int requests_pause(const struct requests_call *call, struct failure *failure) {
    struct change change = {.call = call, .make = make_pause};
    return make_named(&change, false, failure);
}

/* Without a batch: whatever holds the queue as a whole. */
int requests_resume(const struct requests_call *call, struct failure *failure) {
    struct change change = {.call = call, .make = make_resume};
    struct queue *queue = queue_of(call);
    int r = requests_find_batch(call, false, &change.batch, failure);
    if (r < 0)
        return r;
    if (change.batch || !queue_is_drained(queue))
        return make(&change, failure);
    r = queue_set_drained(queue, &call->caller, false, failure);
    if (r < 0 || queue_paused_by(queue))
        return r < 0 ? r : make(&change, failure);
    service_changed(call->requests->service, NULL, NULL, NULL);
    peer_send(call->peer, make_answer(&change, 1, requests_running(call->requests, NULL)));
    return 0;
}

int requests_drain(const struct requests_call *call, struct failure *failure) {
    const struct change change = {.call = call};
    const bool was_drained = queue_is_drained(queue_of(call));
    int r = queue_set_drained(queue_of(call), &call->caller, true, failure);
    if (r < 0)
        return r;
    service_changed(call->requests->service, NULL, NULL, NULL);
    peer_send(call->peer,
              make_answer(&change, was_drained ? 0 : 1, requests_running(call->requests, NULL)));
    return 0;
}

int requests_priority(const struct requests_call *call, struct failure *failure) {
    struct change change = {.call = call, .make = make_priority};
    int64_t priority = 0;
    int r = json_read_int(call->members, "priority", "the request", QUEUE_LEAST_PRIORITY,
                          QUEUE_MOST_PRIORITY, &priority, failure);
    change.priority = (int)priority;
    return r < 0 ? r : make_named(&change, true, failure);
}
