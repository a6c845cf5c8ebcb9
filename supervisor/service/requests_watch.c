/* watch: what happens, as it happens, until a batch has ended or the client hangs up. A watcher
 * that does not read what it is sent is dropped by the bound of its peer. */
#include "supervisor/service/requests_state.h"

#include <errno.h>
#include <string.h>

enum {
    MAX_VIEWS = 1024,          /* of what runs when a watch begins */
    MAX_WATCHES_OF_USER = 128, /* they last: the other places are for what is quick */
};

struct requests_watcher {
    struct requests *requests;
    struct peer *peer;
    struct rights_caller caller;           /* without his name */
    char *batch;                           /* NULL: everything; owned */
    struct requests_watcher *next, **slot; /* *slot is this one */
};

static void end(void *context) {
    struct requests_watcher *watcher = context;
    if (watcher->slot) {
        *watcher->slot = watcher->next;
        if (watcher->next)
            watcher->next->slot = watcher->slot;
    }
    free(watcher->batch);
    free(watcher);
}

static const struct peer_activity watching = {.end = end, .is_watch = true};

/* Tells the end of the watched batch, if it has come. The watcher is freed then. */
static void end_with_batch(struct requests_watcher *watcher) {
    if (!watcher->batch)
        return;
    const struct queue_batch *batch =
        queue_find(service_queue(watcher->requests->service), watcher->batch);
    if (batch && batch->ended_ms == 0)
        return;
    struct peer *peer = watcher->peer;
    if (batch)
        peer_send(peer,
                  json_pack("{s:b, s:o}", "end", 1, "batch",
                            requests_batch_to_json(watcher->requests, &watcher->caller, batch)));
    else
        peer_send(peer, json_pack("{s:b}", "end", 1));
    peer_finish(peer);
}

/* Why another's task ended so is his affair. */
static json_t *copy_for(const struct requests_watcher *watcher, const json_t *event) {
    const char *name = json_string_value(json_object_get(event, "batch"));
    const struct queue_batch *batch =
        name ? queue_find(service_queue(watcher->requests->service), name) : NULL;
    json_t *copy = json_deep_copy(event);
    if (batch && !rights_policy_allows(RIGHTS_EXPLAIN, &watcher->caller, batch->uid))
        (void)json_object_del(copy, "reason"); /* not there is as good */
    return copy;
}

static size_t count_of_user(const struct requests *requests, uid_t uid) {
    size_t n = 0;
    for (const struct requests_watcher *one = requests->watchers; one; one = one->next)
        n += one->caller.uid == uid;
    return n;
}

void requests_watch_event(void *context, const json_t *event) {
    struct requests *requests = context;
    const char *name = json_string_value(json_object_get(event, "batch"));
    struct requests_watcher *next;
    for (struct requests_watcher *watcher = requests->watchers; watcher; watcher = next) {
        next = watcher->next;
        if (watcher->batch && (!name || strcmp(name, watcher->batch) != 0))
            continue;
        peer_send(watcher->peer, copy_for(watcher, event));
        end_with_batch(watcher);
    }
}

/* What was begun before anybody watched. */
static void tell_running(const struct requests_call *call, const struct queue_batch *batch) {
    CLEANUP_FREE struct service_view *views = calloc(MAX_VIEWS, sizeof(*views));
    const size_t n = views ? service_look(call->requests->service, views, MAX_VIEWS) : 0;
    for (size_t i = 0; i < n && i < MAX_VIEWS; i++)
        if (!batch || views[i].batch == batch)
            peer_send(call->peer,
                      json_pack("{s:s, s:s, s:s, s:s, s:i, s:f}", "event", "running", "batch",
                                views[i].batch->name, "user", views[i].batch->user, "task",
                                views[i].engine.task->id, "attempt", views[i].engine.attempt,
                                "elapsed_s", (double)views[i].engine.elapsed_ms / 1e3));
}

int requests_watch(const struct requests_call *call, struct failure *failure) {
    struct queue_batch *batch = NULL;
    int r = requests_find_batch(call, false, &batch, failure);
    if (r < 0)
        return r;
    if (!call->caller.is_admin &&
        count_of_user(call->requests, call->caller.uid) >= MAX_WATCHES_OF_USER)
        return failure_set(failure, -EBUSY,
                           "%s watches the queue %d times already, which is the most; end some of "
                           "them",
                           call->caller.user, MAX_WATCHES_OF_USER);
    struct requests_watcher *watcher = calloc(1, sizeof(*watcher));
    char *name = batch ? strdup(batch->name) : NULL;
    if (!watcher || (batch && !name)) {
        free(watcher);
        return failure_set(failure, -ENOMEM, "the service is out of memory");
    }
    *watcher = (struct requests_watcher){
        .requests = call->requests, .peer = call->peer, .caller = call->caller, .batch = name};
    watcher->caller.user = NULL; /* lasts no longer than the call */
    watcher->next = call->requests->watchers;
    watcher->slot = &call->requests->watchers;
    if (watcher->next)
        watcher->next->slot = &watcher->next;
    call->requests->watchers = watcher;
    peer_begin(call->peer, &watching, watcher);
    peer_send(call->peer,
              batch ? json_pack("{s:b, s:o}", "ok", 1, "batch",
                                requests_batch_to_json(call->requests, &call->caller, batch))
                    : json_pack("{s:b}", "ok", 1));
    tell_running(call, batch);
    end_with_batch(watcher);
    return 0;
}
