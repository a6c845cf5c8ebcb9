/* See requests.h. A request is one JSON object on a line; the table below says who takes it and
 * what members it may have. */
#include "supervisor/service/requests_state.h"

#include "common/json_read.h"
#include "common/names.h"
#include "common/version.h"
#include "supervisor/cli/commands.h"
#include "supervisor/client/connection.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <time.h>

#define WHERE "the request"
#define COMMON "v", "do"

static const char *const no_keys[] = {COMMON, NULL};
static const char *const batch_keys[] = {COMMON, "batch", NULL};
static const char *const tasks_keys[] = {COMMON, "batch", "tasks", NULL};
static const char *const task_keys[] = {COMMON, "batch", "task", NULL};
static const char *const priority_keys[] = {COMMON, "batch", "priority", NULL};
static const char *const status_keys[] = {COMMON, "batch", "all", "tasks", NULL};
static const char *const submit_keys[] = {COMMON,    "out",        "tasks",    "command",   "name",
                                          "options", "not_before", "priority", "on_finish", NULL};

static const struct {
    const char *what;
    int (*answer)(const struct requests_call *call, struct failure *failure);
    const char *const *keys;
} handlers[] = {
    {"hello", requests_hello, no_keys},       {"submit", requests_submit, submit_keys},
    {"status", requests_status, status_keys}, {"watch", requests_watch, batch_keys},
    {"cancel", requests_cancel, tasks_keys},  {"retry", requests_retry, tasks_keys},
    {"pause", requests_pause, batch_keys},    {"resume", requests_resume, batch_keys},
    {"drain", requests_drain, no_keys},       {"priority", requests_priority, priority_keys},
    {"logs", requests_logs, task_keys},       {"ledger", requests_ledger, task_keys},
};

/* ---- one request ---- */

/* A server's is_privileged too. */
static bool is_admin(void *context, const struct caller *caller) {
    const struct requests *requests = context;
    return caller->uid == 0 || caller->uid == geteuid() ||
           (requests->has_admin_group && caller_in_group(caller, requests->admin_group));
}

int requests_exit_status(int code) {
    switch (code) {
    case -EFBIG:
        return EXIT_REFUSED;
    case -EBADMSG:
        return EXIT_LEDGER;
    case -ENOMEM:
    case -EIO:
    case -ENOSPC:
    case -EDQUOT:
    case -EBUSY:
    case -EMFILE:
        return EXIT_INTERNAL;
    default:
        return EXIT_USAGE;
    }
}

static int refuse_unknown(const char *what, struct failure *failure) {
    char known[256] = "";
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        const size_t used = strlen(known);
        (void)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", handlers[i].what);
    }
    return failure_set(failure, -EINVAL, "the service cannot \"%.60s\"; it knows %s", what, known);
}

static int answer(struct requests_call *call, struct failure *failure) {
    const char *what = NULL;
    int64_t version = 0;
    if (!json_is_object(call->members))
        return failure_set(failure, -EINVAL,
                           "a request is a JSON object on one line, like "
                           "{\"v\":1,\"do\":\"status\"}; see registrar-protocol(5)");
    int r = json_read_int(call->members, "v", WHERE, 1, INT64_MAX, &version, failure);
    if (r == 0 && version != CONNECTION_PROTOCOL_VERSION)
        r = failure_set(failure, -EPROTO,
                        "the request is of version %lld of the protocol and the service speaks "
                        "version %d: registrar " REGISTRAR_VERSION " runs here",
                        (long long)version, CONNECTION_PROTOCOL_VERSION);
    if (r == 0)
        r = json_read_string(call->members, "do", WHERE, &what, failure);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (strcmp(handlers[i].what, what) != 0)
            continue;
        r = json_read_known_keys(call->members, handlers[i].keys, WHERE, failure);
        return r < 0 ? r : handlers[i].answer(call, failure);
    }
    return refuse_unknown(what, failure);
}

static void on_request(void *context, struct peer *peer, const char *bytes, size_t length) {
    struct requests *requests = context;
    const struct caller *caller = peer_caller(peer);
    json_error_t error;
    CLEANUP_JSON json_t *members = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);
    struct requests_call call = {
        .requests = requests,
        .peer = peer,
        .caller = {.uid = caller->uid,
                   .gid = caller->gid,
                   .user = caller->user,
                   .is_admin = is_admin(requests, caller)},
        .members = members,
    };
    struct failure failure = {0};
    int r = members ? answer(&call, &failure)
                    : failure_set(&failure, -EINVAL, "the request is no JSON: %.100s", error.text);
    if (r < 0)
        peer_refuse(peer, requests_exit_status(r), failure.text);
}

int requests_hello(const struct requests_call *call, struct failure *failure) {
    char sentence[SERVICE_SENTENCE_BYTES];
    (void)failure;
    peer_send(call->peer, json_pack("{s:b, s:s, s:i, s:s, s:b, s:s}", "ok", 1, "version",
                                    REGISTRAR_VERSION, "pid", (int)getpid(), "user",
                                    call->caller.user, "admin", call->caller.is_admin, "sentence",
                                    service_sentence(call->requests->service, sentence)));
    return 0;
}

/* ---- for all of them ---- */

int64_t requests_now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int requests_find_batch(const struct requests_call *call, bool is_needed, struct queue_batch **ret,
                        struct failure *failure) {
    const char *name = NULL;
    int r = is_needed ? json_read_string(call->members, "batch", WHERE, &name, failure)
                      : json_read_optional_string(call->members, "batch", WHERE, &name, failure);
    if (r < 0)
        return r;
    struct queue_batch *batch =
        name ? queue_find(service_queue(call->requests->service), name) : NULL;
    if (name && !batch)
        return failure_set(failure, -ENOENT,
                           "there is no batch %.150s; registrar status --all lists what there is",
                           name);
    *ret = batch;
    return 0;
}

int requests_find_task(const struct requests_call *call, struct queue_batch **ret,
                       uint32_t *ret_number, struct failure *failure) {
    const char *id = NULL;
    struct queue_batch *batch = NULL;
    int r = json_read_string(call->members, "task", WHERE, &id, failure);
    if (r == 0)
        r = requests_find_batch(call, false, &batch, failure);
    if (r < 0)
        return r;
    if (!batch) {
        batch = queue_find_by_task(service_queue(call->requests->service), &call->caller, id,
                                   ret_number);
        if (!batch)
            return failure_set(failure, -ENOENT,
                               "none of your batches has a task %.200s; registrar status NAME "
                               "lists the tasks of one",
                               id);
    } else if (queue_find_task(batch, id, ret_number) < 0) {
        return failure_set(failure, -ENOENT,
                           "the batch %s has no task %.200s; registrar status %s lists them",
                           batch->name, id, batch->name);
    }
    *ret = batch;
    return 0;
}

/* ---- promises ---- */

struct requests_promise {
    struct requests_promise *next, **slot; /* *slot is this one */
    struct peer *peer;                     /* NULL: it has gone */
    json_t *answer;                        /* owned */
    int n_awaited; /* records that are not on disk, and whoever still adds to them */
};

static void on_promise_end(void *context) {
    struct requests_promise *promise = context;
    promise->peer = NULL;
}

static const struct peer_activity waiting_for_disk = {.end = on_promise_end};

struct requests_promise *requests_promise_open(const struct requests_call *call) {
    struct requests *requests = call->requests;
    struct requests_promise *promise = calloc(1, sizeof(*promise));
    if (!promise)
        return NULL;
    promise->n_awaited = 1;
    promise->next = requests->promises;
    promise->slot = &requests->promises;
    if (promise->next)
        promise->next->slot = &promise->next;
    requests->promises = promise;
    peer_begin(call->peer, &waiting_for_disk, promise);
    promise->peer = call->peer; /* begin ends what was before, a submit of ours perhaps */
    return promise;
}

void requests_promise_answer(struct requests_promise *promise, json_t *given) {
    json_decref(promise->answer);
    promise->answer = given;
}

void requests_promise_drop(struct requests_promise *promise) {
    if (promise->peer)
        peer_finish(promise->peer);
    *promise->slot = promise->next;
    if (promise->next)
        promise->next->slot = promise->slot;
    json_decref(promise->answer);
    free(promise);
}

void requests_promise_await(struct requests_promise *promise) { promise->n_awaited++; }

void requests_promise_keep(void *context, uint64_t seq) {
    struct requests_promise *promise = context;
    (void)seq;
    if (--promise->n_awaited > 0)
        return;
    if (promise->peer)
        peer_send(promise->peer, STEAL_PTR(promise->answer));
    requests_promise_drop(promise);
}

/* ---- the whole ---- */

bool requests_set_admin_group(struct requests *requests, const char *group) {
    /* asked once, not for each client: the group database may be slow */
    const struct group *entry = group ? getgrnam(group) : NULL;
    requests->has_admin_group = entry != NULL;
    requests->admin_group = entry ? entry->gr_gid : 0;
    return entry || !group;
}

int requests_open(const struct requests_settings *settings, struct requests **ret,
                  struct failure *failure) {
    struct requests *requests = calloc(1, sizeof(*requests));
    char *ledger_path = strdup(settings->ledger_path);
    if (!requests || !ledger_path) {
        free(requests);
        free(ledger_path);
        return failure_set(failure, -ENOMEM, "out of memory for the control socket");
    }
    requests->service = settings->service;
    requests->loop = settings->loop;
    requests->ledger_path = ledger_path;
    const struct server_settings server = {.listen_fd = settings->listen_fd,
                                           .request = on_request,
                                           .is_privileged = is_admin,
                                           .context = requests};
    int r = server_open(settings->loop, &server, &requests->server, failure);
    if (r < 0) {
        requests_free(requests);
        return r;
    }
    service_listen(settings->service, requests_watch_event, requests);
    *ret = requests;
    return 0;
}

void requests_stop(struct requests *requests) { server_stop(requests->server); }

void requests_close(struct requests *requests) {
    if (!requests || !requests->server)
        return;
    service_listen(requests->service, NULL, NULL);
    server_close(STEAL_PTR(requests->server));
}

void requests_free(struct requests *requests) {
    if (!requests)
        return;
    while (requests->promises) /* their records were not on disk when the service ended */
        requests_promise_drop(requests->promises);
    free(requests->ledger_path);
    free(requests);
}
