/* What is told as it happens: a line per event, a notice while something holds everything up. A
 * line of an attempt is made when it is judged and told when its record is on disk. */
#include "supervisor/engine/engine_state.h"

#include "common/units.h"

#include <stdarg.h>
#include <string.h>

void engine_tell(const struct engine *engine, const struct engine_slot *slot, const char *format,
                 ...) {
    const struct engine_handlers *handlers = &engine->handlers;
    CLEANUP_FREE char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    const int r = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (r < 0)
        text = NULL; /* out of memory: it is not told */
    if (text && handlers->event)
        handlers->event(handlers->context, slot ? slot->line : NULL, slot ? slot->task : NULL,
                        text);
}

void engine_tell_prepare(struct engine_slot *slot, const struct attempt_result *result,
                         const char *more) {
    char wall[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES], used[2 * UNITS_TEXT_BYTES + 8] = "";
    const char *reason = result->judgement.reason;
    if (result->peak_rss_bytes > 0) /* something ran */
        (void)snprintf(used, sizeof(used), "  %s  %s", units_format_duration(result->wall_ms, wall),
                       units_format_size(result->peak_rss_bytes, peak));
    free(slot->words);
    if (asprintf(&slot->words, "%-9s %s%s%s%s%s", verdict_name(result->judgement.verdict),
                 slot->task->id, used, reason[0] ? "  " : "", reason, more) < 0)
        slot->words = NULL;
}

void engine_tell_now(struct engine_slot *slot) {
    CLEANUP_FREE char *words = STEAL_PTR(slot->words);
    if (words)
        engine_tell(engine_of(slot), slot, "%s", words);
}

void engine_tell_notice(struct engine *engine, const char *text) {
    if (strcmp(engine->notice, text) == 0)
        return;
    (void)snprintf(engine->notice, sizeof(engine->notice), "%s", text);
    engine_tell(engine, NULL, "%s", text);
}

void engine_tell_end_notice(struct engine *engine, const char *text) {
    engine_tell_notice(engine, text);
    engine->notice[0] = '\0';
}
