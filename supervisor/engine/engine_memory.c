/* --memory-trace: a line before and after each attempt, and at the end what it comes to. */
#include "supervisor/engine/engine_state.h"

#include "common/units.h"
#include "supervisor/process/proc_read.h"

#include <errno.h>
#include <unistd.h>

static uint64_t own_bytes(void) {
    uint64_t bytes = 0;
    return proc_read_resident(PROC_READ_ROOT, getpid(), &bytes) == 0 ? bytes : 0;
}

/* "registrar 7.2 MiB, 21 GiB available". Returns text. */
static const char *describe_machine(uint64_t own, char text[3 * UNITS_TEXT_BYTES]) {
    uint64_t total = 0, available = 0;
    char ours[UNITS_TEXT_BYTES], free_text[UNITS_TEXT_BYTES];
    (void)!proc_read_memory(PROC_READ_ROOT, &total, &available); /* then it says 0 */
    (void)snprintf(text, 3 * UNITS_TEXT_BYTES, "registrar %s, %s available",
                   units_format_size(own, ours), units_format_size(available, free_text));
    return text;
}

int engine_memory_open(struct engine *engine, struct failure *failure) {
    if (engine->settings.memory_trace == 0)
        return 0;
    engine->memory_report = trace_report_open(engine->settings.memory_trace);
    return engine->memory_report ? 0
                                 : failure_set(failure, -ENOMEM, "no memory for --memory-trace");
}

void engine_memory_before(struct engine_slot *slot) {
    char machine[3 * UNITS_TEXT_BYTES], forecast[UNITS_TEXT_BYTES], reserved[UNITS_TEXT_BYTES];
    const struct engine *engine = engine_of(slot);
    const bool is_known = slot->forecast.basis != FORECAST_UNKNOWN;
    slot->promised_bytes = is_known ? slot->reserved_bytes : 0;
    if (!engine->memory_report)
        return;
    (void)units_format_size(slot->forecast.predicted_bytes, forecast);
    engine_tell(engine, slot, "memory    %s starts: forecast %s, reserved %s; %s", slot->task->id,
                is_known ? forecast : "unknown", units_format_size(slot->reserved_bytes, reserved),
                describe_machine(own_bytes(), machine));
}

void engine_memory_after(struct engine_slot *slot, const struct attempt_result *result) {
    struct engine *engine = engine_of(slot);
    if (!engine->memory_report || result->peak_rss_bytes == 0)
        return; /* nothing ran */
    const struct task *task = slot->task;
    const struct trace_report_attempt attempt = {
        .kind = task->kind_name,
        .task = task->id,
        .peak_bytes = result->peak_rss_bytes,
        .reserved_bytes = slot->promised_bytes,
    };
    const uint64_t own = own_bytes();
    trace_report_add(engine->memory_report, &attempt, own);
    char machine[3 * UNITS_TEXT_BYTES], least[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES],
        reserved[UNITS_TEXT_BYTES];
    (void)units_format_size(slot->promised_bytes, reserved);
    engine_tell(engine, slot, "memory    %s ended: least %s, peak %s, reserved %s; %s", task->id,
                result->min_rss_bytes > 0 ? units_format_size(result->min_rss_bytes, least)
                                          : "not seen",
                units_format_size(result->peak_rss_bytes, peak),
                slot->promised_bytes > 0 ? reserved : "for an unknown need",
                describe_machine(own, machine));
}

void engine_memory_close(struct engine *engine) {
    struct trace_cost cost = {0};
    if (engine->memory_report && engine->host.trace) {
        trace_tell_cost(engine->host.trace, &cost);
        engine->memory_words = trace_report_words(engine->memory_report, &cost,
                                                  clock_monotonic_ms() - engine->started_ms);
    }
    trace_report_close(STEAL_PTR(engine->memory_report));
}
