/* submit: a header, then a line for each task, then one answer. The lines go to the queue's file as
 * they come; the disk is waited for, and what is there already is compared, in the thread pool, so
 * that a million tasks do not hold up the loop. A client that leaves before the last line has
 * submitted nothing. */
#include "supervisor/service/requests_state.h"

#include "supervisor/cli/commands.h"

#include "common/json_read.h"
#include "supervisor/service/credentials.h"

#include <errno.h>

struct submission {
    struct requests *requests;
    struct peer *peer; /* NULL: it has gone */
    struct queue_submit *submit;
    int64_t n_left; /* lines to come */
    uv_work_t work; /* the sync */
    int synced;     /* its result */
    bool is_working;
};

static void submission_free(struct submission *submission) {
    queue_submit_abort(submission->submit);
    free(submission);
}

/* The client has gone, or has its answer. */
static void on_end(void *context) {
    struct submission *submission = context;
    submission->peer = NULL;
    if (!submission->is_working) /* else the work's end finds nobody there */
        submission_free(submission);
}

static void refuse(struct peer *peer, int code, const struct failure *failure) {
    peer_refuse(peer, requests_exit_status(code), failure->text);
}

static json_t *make_answer(const struct queue_answer *answer) {
    return json_pack("{s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:b}", "ok", 1, "batch", answer->name,
                     "out", answer->batch->out, "tasks", (json_int_t)answer->batch->n_tasks,
                     "queued", (json_int_t)answer->n_queued, "already",
                     (json_int_t)answer->n_already, "seen", (json_int_t)answer->n_seen, "same",
                     answer->is_same);
}

/* Everything is written: it becomes a batch, and the client hears when that is recorded. */
static void commit(struct submission *submission) {
    struct requests *requests = submission->requests;
    struct peer *peer = submission->peer;
    struct queue_submit *submit = STEAL_PTR(submission->submit);
    struct failure failure = {0};
    struct queue_answer answer;
    const struct requests_call call = {.requests = requests, .peer = peer};
    struct requests_promise *promise = requests_promise_open(&call); /* ends the submission */
    if (!promise) {
        queue_submit_abort(submit);
        peer_refuse(peer, EXIT_INTERNAL, "the service is out of memory");
        peer_finish(peer);
        return;
    }
    requests_promise_await(promise);
    int r = queue_submit_commit(submit, requests_promise_keep, promise, &answer, &failure);
    if (r < 0)
        requests_promise_answer(promise,
                                json_pack("{s:b, s:i, s:s}", "ok", 0, "exit",
                                          requests_exit_status(r), "sentence", failure.text));
    else
        requests_promise_answer(promise, make_answer(&answer));
    if (r < 0 || answer.n_changed == 0)
        requests_promise_keep(promise, 0);
    requests_promise_keep(promise, 0);
    if (r == 0)
        service_changed(requests->service, NULL, NULL, NULL);
}

static void sync_lines(struct submission *submission);

/* In a thread of the pool. */
static void sync_work(uv_work_t *work) {
    struct submission *submission = work->data;
    submission->synced = queue_submit_sync(submission->submit);
}

static void on_synced(uv_work_t *work, int status) {
    struct submission *submission = work->data;
    struct failure failure = {0};
    submission->is_working = false;
    if (!submission->peer) {
        submission_free(submission);
        return;
    }
    const int r = status < 0 ? status : submission->synced;
    if (r == 0) {
        sync_lines(submission);
        return;
    }
    (void)failure_set_errno(&failure, r, "the service cannot write the batch to its state folder");
    refuse(submission->peer, -EIO, &failure);
    peer_finish(submission->peer);
}

static const struct peer_activity syncing = {.end = on_end};

static void sync_lines(struct submission *submission) {
    const bool is_more = queue_submit_prepare(submission->submit);
    submission->work.data = submission;
    submission->is_working = is_more && uv_queue_work(submission->requests->loop, &submission->work,
                                                      sync_work, on_synced) == 0;
    if (submission->is_working)
        peer_go_on(submission->peer, &syncing);
    else
        commit(submission); /* which does itself what could not be handed over */
}

static void on_line(void *context, struct peer *peer, const char *bytes, size_t length) {
    struct submission *submission = context;
    struct failure failure = {0};
    const int r = queue_submit_line(submission->submit, bytes, length, &failure);
    if (r < 0) {
        /* what it still sends are tasks, no requests: better to part */
        peer_dismiss(peer, requests_exit_status(r), failure.text);
        peer_finish(peer);
        return;
    }
    if (--submission->n_left == 0)
        sync_lines(submission);
}

static const struct peer_activity taking_tasks = {.line = on_line, .end = on_end};

/* Whom the user database does not know nothing can be run for. */
static int check_user(const struct requests_call *call, struct failure *failure) {
    struct credentials *credentials = NULL;
    int r = service_credentials(call->requests->service, call->caller.uid, &credentials, failure);
    credentials_unref(credentials);
    return r;
}

int requests_submit(const struct requests_call *call, struct failure *failure) {
    int64_t n = 0;
    int r = json_read_int(call->members, "tasks", "the request", 1, QUEUE_MAX_TASKS, &n, failure);
    if (r == 0)
        r = check_user(call, failure);
    struct submission *submission = r == 0 ? calloc(1, sizeof(*submission)) : NULL;
    if (r == 0 && !submission)
        r = failure_set(failure, -ENOMEM, "the service is out of memory");
    if (r == 0)
        r = queue_submit_begin(service_queue(call->requests->service), &call->caller, call->members,
                               requests_now_ms(), &submission->submit, failure);
    if (r < 0) {
        free(submission);
        /* the tasks are on their way already and must not be taken for requests */
        peer_dismiss(call->peer, requests_exit_status(r), failure->text);
        return 0;
    }
    submission->requests = call->requests;
    submission->peer = call->peer;
    submission->n_left = n;
    peer_begin(call->peer, &taking_tasks, submission);
    return 0;
}
