/* What the service tells: the journal, whoever watches, and why things wait. */
#include "supervisor/service/service_state.h"

#include <string.h>

/* ---- as it happens ---- */

void service_listen(struct service *service, service_event_cb event, void *context) {
    service->event = event;
    service->event_context = context;
}

/* Takes event; NULL, out of memory: it is not told. */
static void tell(const struct service *service, json_t *event) {
    CLEANUP_JSON json_t *owned = event;
    if (owned && service->event)
        service->event(service->event_context, owned);
}

void service_tell_start(struct service *service, const struct service_task *task) {
    const struct queue_batch *batch = task->of->batch;
    if (service->event)
        tell(service, json_pack("{s:s, s:s, s:s, s:s}", "event", "start", "batch", batch->name,
                                "user", batch->user, "task", task->taken.task.id));
}

void service_tell_task(struct service *service, const struct service_task *task,
                       const struct engine_result *result) {
    const struct queue_batch *batch = task->of->batch;
    const struct journal_task end = {
        .id = task->taken.task.id,
        .batch = batch->name,
        .user = batch->user,
        .verdict = result->verdict,
        .attempts = result->attempts,
        .wall_ms = result->wall_ms,
        .peak_rss_bytes = result->peak_rss_bytes,
        .reason = result->reason,
    };
    journal_task(service->settings.journal, &end);
    if (service->event)
        tell(service, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:i, s:I}", "event", "end",
                                "batch", batch->name, "user", batch->user, "task",
                                task->taken.task.id, "verdict", verdict_name(result->verdict),
                                "reason", result->reason ? result->reason : "", "wall_s",
                                (double)result->wall_ms / 1000, "attempts", result->attempts,
                                "peak_rss_bytes", (json_int_t)result->peak_rss_bytes));
}

void service_tell_batch(struct service *service, const struct queue_batch *batch) {
    const uint32_t *n = batch->n_verdict;
    const struct journal_batch end = {
        .name = batch->name,
        .user = batch->user,
        .n_ok = n[VERDICT_OK],
        .n_doubtful = n[VERDICT_DOUBTFUL],
        .n_cancelled = n[VERDICT_CANCELLED],
        .n_failed = batch->n_state[QUEUE_ENDED] - n[VERDICT_OK] - n[VERDICT_DOUBTFUL] -
                    n[VERDICT_CANCELLED],
    };
    journal_batch(service->settings.journal, &end);
    if (service->event)
        tell(service, json_pack("{s:s, s:s, s:s}", "event", "batch", "batch", batch->name, "user",
                                batch->user));
}

/* Of a task the journal has its end; here it is what concerns all of them. */
void service_tell_text(void *context, const struct engine_line *line, const struct task *task,
                       const char *text) {
    const struct service *service = context;
    (void)line;
    if (task)
        return;
    journal_say(service->settings.journal, LOG_NOTICE, "%s", text);
    if (service->event)
        tell(service, json_pack("{s:s, s:s}", "event", "text", "text", text));
}

/* ---- when asked ---- */

size_t service_look(const struct service *service, struct service_view *ret, size_t most) {
    CLEANUP_FREE struct engine_view *views = calloc(most + 1, sizeof(*views));
    if (!views)
        return 0;
    const size_t n = engine_look(service->engine, views, most);
    for (size_t i = 0; i < n && i < most; i++) {
        const struct service_task *task = views[i].context;
        ret[i] = (struct service_view){
            .batch = task->of->batch, .number = task->taken.number, .engine = views[i]};
    }
    return n;
}

void service_totals(const struct service *service, struct engine_totals *ret) {
    engine_tell_totals(service->engine, ret);
}

const char *service_sentence(const struct service *service, char text[SERVICE_SENTENCE_BYTES]) {
    uint64_t waiting = 0, running = 0;
    size_t batches = 0;
    for (size_t i = 0; i < queue_count(service->queue); i++) {
        const uint32_t *n = queue_at(service->queue, i)->n_state;
        const uint64_t left = (uint64_t)n[QUEUE_WAITING] + n[QUEUE_TAKEN];
        waiting += left;
        running += n[QUEUE_RUNNING];
        batches += left + n[QUEUE_RUNNING] > 0;
    }
    if (batches == 0)
        (void)snprintf(text, SERVICE_SENTENCE_BYTES, "nothing to do");
    else
        (void)snprintf(text, SERVICE_SENTENCE_BYTES, "%llu running, %llu waiting, in %zu batch%s",
                       (unsigned long long)running, (unsigned long long)waiting, batches,
                       batches == 1 ? "" : "es");
    return text;
}

const char *service_why(const struct service *service, const struct queue_batch *batch,
                        const char *id, char text[SERVICE_WHY_BYTES]) {
    const struct service_batch *of = batch->engine_line;
    char queue_words[QUEUE_WHY_BYTES];
    if (service->level > 0)
        (void)snprintf(text, SERVICE_WHY_BYTES,
                       "the service is stopping; it goes on when it is "
                       "started again");
    else if (queue_why(service->queue, batch, clock_wall_ms(), queue_words)[0])
        (void)snprintf(text, SERVICE_WHY_BYTES, "%s", queue_words);
    else if (!of || !id || !engine_why(of->line, id, text))
        (void)snprintf(text, SERVICE_WHY_BYTES, "others of its batch come first");
    return text;
}
