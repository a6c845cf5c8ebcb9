/* status: one line about the service, one per batch, one per task where tasks are asked for, in as
 * many turns of the loop as it takes. What changes meanwhile is told as it is when its turn comes.
 */
#include "supervisor/service/requests_state.h"

#include "common/names.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum {
    RECENT_MS = 24 * 3600 * 1000, /* what ended since then is worth seeing unasked */
    TASKS_A_TURN = 512,
    LOOKS_A_TURN = 1 << 18,
    MANY_TASKS = 60, /* of more, only what matters is told unless all are asked for */
    SHOWN_PROBLEMS = 100,
    SHOWN_WAITING = 5,
    MAX_VIEWS = 1024,
};

enum tasks { TASKS_NONE, TASKS_SOME, TASKS_ALL };

struct answer {
    struct requests *requests;
    struct rights_caller caller; /* without his name */
    char **names;                /* of the batches; owned */
    size_t at;                   /* in names */
    enum tasks tasks;
    bool has_begun; /* the batch's own line is sent */
    uint32_t number;
    uint32_t n_problems, n_waiting; /* told, of the batch */
    struct service_view *views;     /* of what runs; owned */
    size_t n_views;
    struct peer *peer; /* during a turn */
    char why[SERVICE_WHY_BYTES];
};

/* ---- JSON ---- */

/* Drops the object when the member cannot be set. Takes value. */
static void add(json_t **object, const char *key, json_t *value) {
    if (*object && json_object_set_new(*object, key, value) == 0)
        return;
    json_decref(*object);
    *object = NULL;
}

static json_t *time_to_json(int64_t ms) {
    char text[40], whole[32];
    struct tm utc;
    const time_t seconds = (time_t)(ms / 1000);
    if (ms <= 0 || !gmtime_r(&seconds, &utc) ||
        strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        return json_null();
    (void)snprintf(text, sizeof(text), "%s.%03dZ", whole, (int)(ms % 1000));
    return json_string(text);
}

static const char *state_of(const struct queue_batch *batch) {
    if (batch->damage)
        return "damaged";
    if (batch->ended_ms > 0)
        return "done";
    if (batch->n_state[QUEUE_RUNNING] > 0)
        return "running";
    return batch->is_paused ? "paused" : "waiting";
}

static json_t *counts_to_json(const struct queue_batch *batch) {
    const uint32_t waiting = batch->n_state[QUEUE_WAITING] + batch->n_state[QUEUE_TAKEN];
    json_t *counts = json_object();
    for (size_t v = 0; v < VERDICT_COUNT; v++)
        if (batch->n_verdict[v] > 0)
            add(&counts, verdict_name((enum verdict)v), json_integer(batch->n_verdict[v]));
    if (batch->n_state[QUEUE_RUNNING] > 0)
        add(&counts, "running", json_integer(batch->n_state[QUEUE_RUNNING]));
    if (waiting > 0)
        add(&counts, "waiting", json_integer(waiting));
    return counts;
}

/* How long the rest takes if it goes on as it went; 0: that cannot be told. */
static int64_t remaining_ms(const struct queue_batch *batch, int64_t now) {
    const uint32_t n_ended = batch->n_state[QUEUE_ENDED];
    if (batch->ended_ms > 0 || batch->first_start_ms == 0 || n_ended == 0 ||
        batch->n_state[QUEUE_RUNNING] == 0 || now <= batch->first_start_ms)
        return 0;
    const double each = (double)(now - batch->first_start_ms) / n_ended;
    return (int64_t)(each * (batch->n_tasks - n_ended));
}

json_t *requests_batch_to_json(const struct requests *requests, const struct rights_caller *caller,
                               const struct queue_batch *batch) {
    const bool is_his = rights_policy_allows(RIGHTS_EXPLAIN, caller, batch->uid);
    const int64_t now = requests_now_ms();
    const int64_t end = batch->ended_ms > 0 ? batch->ended_ms : now;
    const double wall_s =
        batch->first_start_ms > 0 ? (double)(end - batch->first_start_ms) / 1e3 : 0;
    json_t *object =
        json_pack("{s:s, s:s, s:s*, s:s, s:I, s:o, s:f, s:i}", "name", batch->name, "user",
                  batch->user, "out", is_his ? batch->out : NULL, "state", state_of(batch),
                  "n_tasks", (json_int_t)batch->n_tasks, "counts", counts_to_json(batch), "wall_s",
                  wall_s, "priority", batch->priority);
    add(&object, "submitted", time_to_json(batch->submitted_ms));
    add(&object, "first_start", time_to_json(batch->first_start_ms));
    add(&object, "ended", time_to_json(batch->ended_ms));
    if (batch->not_before_ms > now)
        add(&object, "not_before", time_to_json(batch->not_before_ms));
    if (batch->is_paused && batch->paused_by)
        add(&object, "paused_by", json_string(batch->paused_by));
    if (batch->damage && is_his)
        add(&object, "damage", json_string(batch->damage));
    if (remaining_ms(batch, now) > 0)
        add(&object, "remaining_s", json_real((double)remaining_ms(batch, now) / 1e3));
    if (batch->n_state[QUEUE_WAITING] + batch->n_state[QUEUE_TAKEN] > 0) {
        char why[SERVICE_WHY_BYTES];
        add(&object, "why", json_string(service_why(requests->service, batch, NULL, why)));
    }
    return object;
}

static json_t *service_to_json(const struct requests *requests) {
    char sentence[SERVICE_SENTENCE_BYTES];
    const struct queue *queue = service_queue(requests->service);
    struct engine_totals totals;
    service_totals(requests->service, &totals);
    return json_pack("{s:b, s:{s:s, s:I, s:I, s:I, s:b, s:s*, s:s*}}", "ok", 1, "service",
                     "sentence", service_sentence(requests->service, sentence), "running",
                     (json_int_t)totals.n_running, "reserved_bytes",
                     (json_int_t)totals.reserved_bytes, "budget_bytes",
                     (json_int_t)totals.budget_bytes, "drained", queue_is_drained(queue),
                     "paused_by", queue_paused_by(queue), "notice", totals.notice);
}

/* ---- tasks ---- */

static const struct service_view *find_view(const struct answer *answer,
                                            const struct queue_batch *batch, uint32_t number) {
    for (size_t i = 0; i < answer->n_views; i++)
        if (answer->views[i].batch == batch && answer->views[i].number == number)
            return &answer->views[i];
    return NULL;
}

static json_t *running_to_json(const struct answer *answer, const struct queue_batch *batch,
                               uint32_t number) {
    const struct service_view *view = find_view(answer, batch, number);
    if (!view)
        return NULL;
    const struct engine_view *engine = &view->engine;
    return json_pack("{s:s*, s:o*, s:I, s:I, s:f, s:i}", "stage", engine->stage, "fraction",
                     engine->fraction >= 0 ? json_real(engine->fraction) : NULL, "memory_bytes",
                     (json_int_t)engine->memory_bytes, "reserved_bytes",
                     (json_int_t)engine->reserved_bytes, "elapsed_s",
                     (double)engine->elapsed_ms / 1e3, "attempts", engine->attempt);
}

/* Caller owns; NULL when out of memory. */
static char *reason_of(struct answer *answer, const struct queue_batch *batch, uint32_t number,
                       const char *id, enum queue_state state) {
    char why[SERVICE_WHY_BYTES];
    if (!rights_policy_allows(RIGHTS_EXPLAIN, &answer->caller, batch->uid))
        return strdup(""); /* it may name his files */
    switch (state) {
    case QUEUE_ENDED:
        return queue_reason(service_queue(answer->requests->service), batch, number);
    case QUEUE_WAITING:
        return strdup(answer->why);
    case QUEUE_TAKEN: /* the engine knows of it alone */
        return strdup(service_why(answer->requests->service, batch, id, why));
    default:
        return strdup("");
    }
}

static int send_task(void *context, uint32_t number, const char *id,
                     const struct queue_task_view *view) {
    struct answer *answer = context;
    const struct queue_batch *batch =
        queue_find(service_queue(answer->requests->service), answer->names[answer->at]);
    CLEANUP_FREE char *reason = reason_of(answer, batch, number, id, view->state);
    const char *verdict = view->state == QUEUE_ENDED     ? verdict_name(view->verdict)
                          : view->state == QUEUE_RUNNING ? "running"
                                                         : "waiting";
    json_t *task = json_pack("{s:s, s:s, s:i, s:f, s:I, s:s, s:s}", "id", id, "verdict", verdict,
                             "attempts", view->attempts, "wall_s", (double)view->wall_ms / 1e3,
                             "peak_rss_bytes", (json_int_t)view->peak_rss_bytes, "reason",
                             reason ? reason : "", "batch", batch->name);
    CLEANUP_JSON json_t *running =
        view->state == QUEUE_RUNNING ? running_to_json(answer, batch, number) : NULL;
    if (task && running)
        (void)json_object_update(task, running); /* at worst it is not told how far it is */
    peer_send(answer->peer, json_pack("{s:o}", "task", task));
    return 0;
}

/* Whether a task of a large batch is worth a line of its own. */
static bool is_shown(struct answer *answer, const struct queue_batch *batch, uint32_t number) {
    const struct queue_task_view view = queue_look(batch, number);
    if (batch->n_tasks <= MANY_TASKS || view.state == QUEUE_RUNNING)
        return true;
    if (view.state == QUEUE_ENDED)
        return view.verdict != VERDICT_OK && answer->n_problems++ < SHOWN_PROBLEMS;
    return answer->n_waiting++ < SHOWN_WAITING;
}

static void send_some_tasks(struct answer *answer, const struct queue_batch *batch) {
    struct failure failure;
    for (int i = 0; i < LOOKS_A_TURN && answer->number < batch->n_tasks &&
                    peer_pending(answer->peer) < PEER_LOW_BYTES;
         i++, answer->number++)
        if (is_shown(answer, batch, answer->number) &&
            queue_walk(batch, answer->number, 1, send_task, answer, &failure) < 0)
            answer->number = batch->n_tasks; /* the batch's own line says what is damaged */
}

static void send_all_tasks(struct answer *answer, const struct queue_batch *batch) {
    struct failure failure;
    if (queue_walk(batch, answer->number, TASKS_A_TURN, send_task, answer, &failure) < 0)
        answer->number = batch->n_tasks;
    else
        answer->number += TASKS_A_TURN;
}

/* ---- turns ---- */

static void look_at_running(struct answer *answer) {
    const size_t n = service_look(answer->requests->service, answer->views, MAX_VIEWS);
    answer->n_views = n < MAX_VIEWS ? n : MAX_VIEWS;
}

static void begin_batch(struct answer *answer, const struct queue_batch *batch) {
    answer->has_begun = true;
    answer->number = answer->n_problems = answer->n_waiting = 0;
    peer_send(answer->peer,
              json_pack("{s:o}", "batch",
                        requests_batch_to_json(answer->requests, &answer->caller, batch)));
}

/* The batch that is in turn is told as far as there is room. */
static void go_on_with(struct answer *answer, const struct queue_batch *batch) {
    if (!answer->has_begun)
        begin_batch(answer, batch);
    if (answer->tasks == TASKS_NONE)
        answer->number = batch->n_tasks;
    else if (answer->number < batch->n_tasks)
        (void)service_why(answer->requests->service, batch, NULL, answer->why);
    if (answer->number < batch->n_tasks && answer->tasks == TASKS_ALL)
        send_all_tasks(answer, batch);
    else if (answer->number < batch->n_tasks)
        send_some_tasks(answer, batch);
    if (answer->number < batch->n_tasks)
        return;
    answer->at++;
    answer->has_begun = false;
}

static void produce(void *context, struct peer *peer) {
    struct answer *answer = context;
    const struct queue *queue = service_queue(answer->requests->service);
    answer->peer = peer;
    look_at_running(answer);
    do {
        const char *name = answer->names ? answer->names[answer->at] : NULL;
        if (!name) {
            peer_send(peer, json_pack("{s:b}", "end", 1));
            peer_finish(peer);
            return;
        }
        const struct queue_batch *batch = queue_find(queue, name);
        if (batch) {
            go_on_with(answer, batch);
        } else { /* forgotten meanwhile */
            answer->at++;
            answer->has_begun = false;
        }
    } while (answer->tasks == TASKS_NONE && peer_pending(peer) < PEER_LOW_BYTES);
}

static void end(void *context) {
    struct answer *answer = context;
    names_free(answer->names);
    free(answer->views);
    free(answer);
}

static const struct peer_activity telling = {.produce = produce, .end = end};

/* ---- the request ---- */

/* In one piece: there may be ten thousand. */
static int list_batches(const struct requests *requests, bool all, struct answer *answer) {
    const struct queue *queue = service_queue(requests->service);
    const int64_t now = requests_now_ms();
    const size_t n = queue_count(queue);
    size_t n_names = 0;
    answer->names = calloc(n + 1, sizeof(*answer->names));
    for (size_t i = 0; answer->names && i < n; i++) {
        const struct queue_batch *batch = queue_at(queue, i);
        if (!all && batch->ended_ms > 0 && batch->ended_ms + RECENT_MS < now)
            continue;
        answer->names[n_names] = strdup(batch->name);
        if (!answer->names[n_names++])
            return -ENOMEM;
    }
    return answer->names ? 0 : -ENOMEM;
}

int requests_status(const struct requests_call *call, struct failure *failure) {
    const bool all = json_is_true(json_object_get(call->members, "all"));
    const bool wants_tasks = json_is_true(json_object_get(call->members, "tasks"));
    struct queue_batch *batch = NULL;
    int r = requests_find_batch(call, false, &batch, failure);
    if (r < 0)
        return r;
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return failure_set(failure, -ENOMEM, "the service is out of memory");
    answer->requests = call->requests;
    answer->caller = call->caller;
    answer->caller.user = NULL; /* lasts no longer than the call */
    answer->tasks = !wants_tasks ? TASKS_NONE : all || !batch ? TASKS_ALL : TASKS_SOME;
    answer->views = calloc(MAX_VIEWS, sizeof(*answer->views));
    r = batch ? names_append(&answer->names, batch->name)
              : list_batches(call->requests, all, answer);
    if (r < 0 || !answer->views) {
        end(answer);
        return failure_set(failure, -ENOMEM, "the service is out of memory");
    }
    peer_send(call->peer, service_to_json(call->requests));
    peer_begin(call->peer, &telling, answer);
    return 0;
}

uint32_t requests_running(const struct requests *requests, const struct queue_batch *batch) {
    const struct queue *queue = service_queue(requests->service);
    if (batch)
        return batch->n_state[QUEUE_RUNNING];
    uint32_t n = 0;
    for (size_t i = 0; i < queue_count(queue); i++)
        n += queue_at(queue, i)->n_state[QUEUE_RUNNING];
    return n;
}
