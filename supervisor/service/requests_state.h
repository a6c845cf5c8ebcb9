/* Shared by the files that answer requests (requests.c, requests_*.c); nobody else includes it. */
#ifndef SUPERVISOR_SERVICE_REQUESTS_STATE_H
#define SUPERVISOR_SERVICE_REQUESTS_STATE_H

#include "supervisor/service/requests.h"
#include "supervisor/service/server.h"

struct requests_watcher;
struct requests_reading;
struct requests_promise;

struct requests {
    struct service *service;
    uv_loop_t *loop;
    char *ledger_path;
    struct server *server;
    gid_t admin_group;
    bool has_admin_group;
    struct requests_watcher *watchers;
    struct requests_reading *readings;
    struct requests_promise *promises;
};

/* One request. */
struct requests_call {
    struct requests *requests;
    struct peer *peer;
    struct rights_caller caller;
    const json_t *members; /* an object; its keys are known ones */
};

/* The requests. Each answers the peer, at once or later, or fails with a sentence for it. */
int requests_hello(const struct requests_call *call, struct failure *failure);
int requests_submit(const struct requests_call *call, struct failure *failure);
int requests_status(const struct requests_call *call, struct failure *failure);
int requests_watch(const struct requests_call *call, struct failure *failure);
int requests_cancel(const struct requests_call *call, struct failure *failure);
int requests_retry(const struct requests_call *call, struct failure *failure);
int requests_pause(const struct requests_call *call, struct failure *failure);
int requests_resume(const struct requests_call *call, struct failure *failure);
int requests_drain(const struct requests_call *call, struct failure *failure);
int requests_priority(const struct requests_call *call, struct failure *failure);
int requests_logs(const struct requests_call *call, struct failure *failure);
int requests_ledger(const struct requests_call *call, struct failure *failure);

/* ---- for all of them ---- */

int64_t requests_now_ms(void); /* wall-clock time since 1970 */
/* The exit status that a client has for such a failure. */
int requests_exit_status(int code);
/* The batch that "batch" names. is_needed: -EINVAL without one; else *ret is NULL then. */
MUST_USE int requests_find_batch(const struct requests_call *call, bool is_needed,
                                 struct queue_batch **ret, struct failure *failure);
/* The task that "task" names, in "batch" or in the caller's newest batch that has one. */
MUST_USE int requests_find_task(const struct requests_call *call, struct queue_batch **ret,
                                uint32_t *ret_number, struct failure *failure);
/* A batch as the caller may see it: another's folders are not told. NULL when out of memory. */
json_t *requests_batch_to_json(const struct requests *requests, const struct rights_caller *caller,
                               const struct queue_batch *batch);
/* How many processes of the batch run, or of all batches (NULL). */
uint32_t requests_running(const struct requests *requests, const struct queue_batch *batch);

/* An answer that waits for the disk: the peer is not heard meanwhile, and may go. It is kept when
 * every await, and the open itself, has had its keep. NULL: out of memory. */
struct requests_promise *requests_promise_open(const struct requests_call *call);
void requests_promise_await(struct requests_promise *promise);
/* A ledger_commit_done_cb, with the promise as context. The last one sends the answer. */
void requests_promise_keep(void *promise, uint64_t seq);
void requests_promise_answer(struct requests_promise *promise, json_t *answer); /* takes it */
/* Nothing is sent; only while nothing is awaited. */
void requests_promise_drop(struct requests_promise *promise);

/* A service_event_cb: tells the watchers. */
void requests_watch_event(void *requests, const json_t *event);

#endif
