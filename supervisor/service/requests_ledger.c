/* logs and ledger: where a task's log is, and the ledger's lines. The log is not read here: the
 * client opens it with the user's own rights. The ledger is the service's and holds the work of
 * all, so its lines are passed on by us: to administrators all of them, to others those of their
 * own. */
#include "supervisor/service/requests_state.h"

#include "supervisor/engine/launch.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/ledger/ledger_scan.h"

#include <errno.h>
#include <string.h>

enum {
    SCANNED_A_TURN = 1 << 20, /* bytes */
    READINGS_OF_USER = 16,    /* at once: each costs a part of every turn */
};

int requests_logs(const struct requests_call *call, struct failure *failure) {
    struct queue_batch *batch = NULL;
    uint32_t number = 0;
    char what[QUEUE_MAX_NAME_BYTES + 32];
    int r = requests_find_task(call, &batch, &number, failure);
    if (r < 0)
        return r;
    (void)snprintf(what, sizeof(what), "the batch %s", batch->name);
    r = rights_policy_check(RIGHTS_READ_LOG, &call->caller, batch->uid, batch->user, what, failure);
    if (r < 0)
        return r;
    const char *id = json_string_value(json_object_get(call->members, "task"));
    const struct queue_task_view view = queue_look(batch, number);
    CLEANUP_FREE char *path = launch_log_path(batch->out, id);
    char why[SERVICE_WHY_BYTES] = "";
    if (view.state == QUEUE_WAITING || view.state == QUEUE_TAKEN)
        (void)service_why(call->requests->service, batch, id, why);
    peer_send(call->peer,
              json_pack("{s:b, s:s, s:s, s:s, s:s, s:i, s:s}", "ok", 1, "batch", batch->name, "out",
                        batch->out, "path", path ? path : "", "verdict",
                        view.state == QUEUE_ENDED     ? verdict_name(view.verdict)
                        : view.state == QUEUE_RUNNING ? "running"
                                                      : "waiting",
                        "attempts", view.attempts, "why", why));
    return 0;
}

/* ---- the ledger ---- */

struct requests_reading {
    struct requests_reading *next, **slot; /* *slot is this one */
    uid_t uid;
    int fd;
    struct ledger_scan scan;
    /* what a line must hold, as it stands in a record: "user":"ada"; owned; NULL: anything */
    char *user, *batch, *task;
};

static void end(void *context) {
    struct requests_reading *reading = context;
    if (reading->slot) {
        *reading->slot = reading->next;
        if (reading->next)
            reading->next->slot = reading->slot;
    }
    ledger_scan_close(&reading->scan);
    if (reading->fd >= 0)
        (void)close(reading->fd);
    free(reading->user);
    free(reading->batch);
    free(reading->task);
    free(reading);
}

static bool holds(const struct ledger_scan_line *line, const char *member) {
    return !member || memmem(line->bytes, line->length, member, strlen(member)) != NULL;
}

/* A quote within a string stands there escaped, so a member found like this is one. */
static bool is_wanted(const struct requests_reading *reading, const struct ledger_scan_line *line) {
    static const char of_batches[] = "\"event\":\"batch\"";
    return holds(line, reading->user) && holds(line, reading->batch) &&
           (holds(line, reading->task) || holds(line, of_batches));
}

static void produce(void *context, struct peer *peer) {
    struct requests_reading *reading = context;
    struct ledger_scan_line line;
    uint64_t scanned = 0;
    while (scanned < SCANNED_A_TURN && peer_pending(peer) < PEER_LOW_BYTES) {
        const int r = ledger_scan_next(&reading->scan, &line);
        /* a last line without its newline is being written */
        if (r <= 0 || !line.has_newline) {
            peer_send(peer, json_pack("{s:b, s:b}", "end", 1, "whole", r >= 0));
            peer_finish(peer);
            return;
        }
        scanned += line.length + 1;
        if (line.cut || line.all_zero || !is_wanted(reading, &line))
            continue;
        peer_send_bytes(peer, line.bytes, line.length);
        peer_send_bytes(peer, "\n", 1);
    }
}

static const struct peer_activity telling = {.produce = produce, .end = end};

/* "key":"value" as the ledger writes it. False: out of memory. */
static bool make_member(const char *key, const char *value, char **ret) {
    CLEANUP_JSON json_t *object = json_pack("{s:s}", key, value);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (!text)
        return false;
    const size_t length = strlen(text); /* without its braces */
    memmove(text, text + 1, length - 2);
    text[length - 2] = '\0';
    *ret = text;
    return true;
}

static bool make_members(const struct requests_call *call, const struct queue_batch *batch,
                         struct requests_reading *reading) {
    const char *id = json_string_value(json_object_get(call->members, "task"));
    return (call->caller.is_admin || make_member("user", call->caller.user, &reading->user)) &&
           (!batch || make_member("batch", batch->name, &reading->batch)) &&
           (!id || make_member("task", id, &reading->task));
}

/* Rights, and which batch; the answer's first line is sent. */
static int begin(const struct requests_call *call, struct queue_batch **ret,
                 struct failure *failure) {
    uint32_t number = 0;
    char what[QUEUE_MAX_NAME_BYTES + 32];
    const bool has_task = json_object_get(call->members, "task") != NULL;
    int r = has_task ? requests_find_task(call, ret, &number, failure)
                     : requests_find_batch(call, false, ret, failure);
    if (r == 0 && *ret) {
        (void)snprintf(what, sizeof(what), "the batch %s", (*ret)->name);
        r = rights_policy_check(RIGHTS_EXPLAIN, &call->caller, (*ret)->uid, (*ret)->user, what,
                                failure);
    }
    return r;
}

static int check_turns(const struct requests_call *call, struct failure *failure) {
    size_t n = 0;
    for (const struct requests_reading *one = call->requests->readings; one; one = one->next)
        n += one->uid == call->caller.uid;
    return n < READINGS_OF_USER || call->caller.is_admin
               ? 0
               : failure_set(
                     failure, -EBUSY,
                     "%s reads the ledger %zu times at once already; wait until one of them "
                     "is done",
                     call->caller.user, n);
}

/* end takes it out again. */
static void take_in(struct requests *requests, struct requests_reading *reading) {
    reading->next = requests->readings;
    reading->slot = &requests->readings;
    if (reading->next)
        reading->next->slot = &reading->next;
    requests->readings = reading;
}

int requests_ledger(const struct requests_call *call, struct failure *failure) {
    struct queue_batch *batch = NULL;
    int r = begin(call, &batch, failure);
    if (r == 0)
        r = check_turns(call, failure);
    if (r < 0)
        return r;
    struct requests_reading *reading = calloc(1, sizeof(*reading));
    if (!reading)
        return failure_set(failure, -ENOMEM, "the service is out of memory");
    reading->fd = -1;
    r = make_members(call, batch, reading)
            ? ledger_lock_open_to_read(call->requests->ledger_path, &reading->fd, failure)
            : failure_set(failure, -ENOMEM, "the service is out of memory");
    if (r == 0 && ledger_scan_open(reading->fd, &reading->scan) < 0)
        r = failure_set(failure, -ENOMEM, "the service is out of memory");
    if (r < 0) {
        end(reading);
        return r;
    }
    peer_send(call->peer,
              batch ? json_pack("{s:b, s:o}", "ok", 1, "batch",
                                requests_batch_to_json(call->requests, &call->caller, batch))
                    : json_pack("{s:b}", "ok", 1));
    reading->uid = call->caller.uid;
    take_in(call->requests, reading);
    peer_begin(call->peer, &telling, reading);
    return 0;
}
