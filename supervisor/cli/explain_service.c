/* See explain_service.h. What is done to a batch (pause, priority, ...) is no run of its own: the
 * story is told of the batch as it was submitted. */
#include "supervisor/cli/explain_service.h"

#include "common/names.h"
#include "supervisor/client/ledger_feed.h"
#include "supervisor/report/command_line.h"

#include <errno.h>
#include <string.h>

const char *explain_service_text(const struct explain_service *explain, const char *key) {
    return story_text(explain->task, key);
}

void explain_service_free(struct explain_service *explain) {
    story_clear(&explain->story);
    json_decref(explain->task);
    free(explain->command);
}

static int take(void *context, const json_t *record, struct failure *failure) {
    const bool is_batch = strcmp(story_text(record, "event"), "batch") == 0;
    if (is_batch && strcmp(story_text(record, "state"), "submit") != 0)
        return 0;
    return story_record(context, record, failure);
}

/* What is not ok and does not wait or run may be tried again. */
static int make_command(struct explain_service *explain, const char *id, struct failure *failure) {
    static const char *const no_need[] = {"ok", "waiting", "running"};
    for (size_t i = 0; i < ARRAY_LEN(no_need); i++)
        if (strcmp(explain_service_text(explain, "verdict"), no_need[i]) == 0)
            return 0;
    CLEANUP_FREE char *batch = command_line_quote_word(explain_service_text(explain, "batch"));
    CLEANUP_FREE char *task = command_line_quote_word(id);
    if (batch && task)
        explain->command = names_format("registrar retry %s %s", batch, task);
    return explain->command ? 0 : failure_set(failure, -ENOMEM, "out of memory");
}

int explain_service_read(struct connection *connection, const char *batch, const char *id,
                         struct explain_service *ret, struct failure *failure) {
    CLEANUP(explain_service_free) struct explain_service explain = {0};
    json_t *request = batch ? json_pack("{s:s, s:s}", "batch", batch, "task", id)
                            : json_pack("{s:s}", "task", id);
    explain.story.task = id;
    int r = connection_ask(connection, "logs", request, &explain.task, failure);
    if (r == 0)
        r = ledger_feed_read(connection, explain_service_text(&explain, "batch"), id, take,
                             &explain.story, NULL, failure);
    if (r == 0)
        r = make_command(&explain, id, failure);
    if (r < 0)
        return r;
    *ret = explain;
    explain = (struct explain_service){0};
    return 0;
}
