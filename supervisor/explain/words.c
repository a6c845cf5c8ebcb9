/* See words.h. What a record does not have is not spoken of: ledgers of earlier versions, and
 * attempts that never began, have less. */
#include "supervisor/explain/words.h"

#include "common/names.h"
#include "common/protocol.h"
#include "common/units.h"

#include <string.h>

enum {
    LEAST_MS = 50,           /* less is "0.0 s" and not worth a word */
    LOW_MEMORY_DIVISOR = 10, /* with a tenth of it available, a machine is not short */
};

int64_t words_ms(const json_t *object, const char *key) {
    const double seconds = json_number_value(json_object_get(object, key));
    return seconds > 0 && seconds < 1e12 ? (int64_t)(1e3 * seconds + 0.5) : 0;
}

uint64_t words_bytes(const json_t *object, const char *key) {
    const json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static const json_t *evidence_of(const json_t *end) { return json_object_get(end, "evidence"); }

/* Whether it died in a way that speaks for itself: then how it ended is worth telling. */
static bool was_killed(const json_t *end) {
    return json_object_get(evidence_of(end), "signal") || json_object_get(evidence_of(end), "sent");
}

char *words_verdict(const json_t *end) {
    const char *verdict = story_text(end, "verdict"), *reason = story_text(end, "reason");
    const char *why = story_text(evidence_of(end), "why");
    if (*why && strstr(reason, why))
        why = "";
    if (*reason && strncmp(reason, verdict, strlen(verdict)) == 0)
        verdict = ""; /* "crashed with SIGSEGV" */
    return names_format("%s%s%s%s%s", verdict, *verdict && *reason ? ": " : "", reason,
                        *why ? "; " : "", why);
}

char *words_predicted(const json_t *record) {
    char size[UNITS_TEXT_BYTES];
    const char *basis = story_text(record, "basis"), *kind = story_text(record, "kind");
    const unsigned long long n = words_bytes(record, "basis_attempts");
    const uint64_t bytes = words_bytes(record, "predicted_bytes");
    const char *plural = n == 1 ? "" : "s";
    if (bytes == 0)
        return names_format("nothing: no attempt of its kind (%s) was known yet", kind);
    (void)units_format_size(bytes, size);
    if (strcmp(basis, "declared") == 0 && n == 0)
        return names_format("%s, as the manifest declares", size);
    if (strcmp(basis, "declared") == 0)
        return names_format("%s, from %llu attempt%s of its kind (%s); what is reserved stands in "
                            "the manifest",
                            size, n, plural, kind);
    if (strcmp(basis, "headers") == 0 && n == 0)
        return names_format("%s, from the headers of its images", size);
    if (strcmp(basis, "headers") == 0)
        return names_format("%s, from the headers of its images, corrected by %llu attempt%s", size,
                            n, plural);
    if (strcmp(basis, "history") == 0 || strcmp(basis, "one-size") == 0)
        return names_format("%s, from %llu attempt%s of its kind (%s)%s", size, n, plural, kind,
                            strcmp(basis, "one-size") == 0 ? ", all with inputs of one size" : "");
    return names_format("%s", size);
}

char *words_reserved(const json_t *record, const json_t *end, const json_t *batch) {
    char size[UNITS_TEXT_BYTES], held[UNITS_TEXT_BYTES];
    const json_t *group = json_object_get(evidence_of(end), "cgroup");
    const uint64_t bytes = words_bytes(record, "reserved_bytes");
    const uint64_t limit = words_bytes(group, "limit_bytes");
    (void)units_format_size(bytes, size);
    (void)units_format_size(limit, held);
    const bool is_unknown = strcmp(story_text(record, "basis"), "unknown") == 0;
    const char *alone = is_unknown ? ", all of the batch's: the first of a kind runs alone" : "";
    if (bytes == 0)
        return NULL;
    if (limit > 0)
        return names_format("%s%s; the kernel's limit was %s", size, alone, held);
    const char *level = story_text(json_object_get(batch, "cgroup"), "level");
    const char *held_to = "";
    if (group)
        held_to = "; no limit was set";
    else if (strcmp(level, "none") == 0)
        held_to = "; without control groups nothing held it to that";
    return names_format("%s%s%s", size, alone, held_to);
}

/* ", 37 % above the forecast" */
static void compare(uint64_t peak, uint64_t predicted, char *text, size_t size) {
    const double ratio = predicted > 0 ? (double)peak / (double)predicted : 0;
    text[0] = '\0';
    if (predicted == 0 || peak == 0)
        return;
    if (ratio >= 2)
        (void)snprintf(text, size, ", %.1f times the forecast", ratio);
    else if (ratio >= 1.02)
        (void)snprintf(text, size, ", %.0f %% above the forecast", 100 * (ratio - 1));
    else if (ratio <= 0.98)
        (void)snprintf(text, size, ", %.0f %% below the forecast", 100 * (1 - ratio));
    else
        (void)snprintf(text, size, ", as forecast");
}

char *words_measured(const json_t *end, uint64_t predicted_bytes) {
    char text[UNITS_TEXT_BYTES], compared[64], least[UNITS_TEXT_BYTES], cpu[UNITS_TEXT_BYTES];
    char among[96] = "";
    const uint64_t peak = words_bytes(end, "peak_rss_bytes");
    const uint64_t largest = words_bytes(end, "largest_rss_bytes");
    const uint64_t min = words_bytes(end, "min_rss_bytes");
    const int64_t cpu_ms = words_ms(end, "cpu_s");
    const bool has_cpu = cpu_ms >= LEAST_MS;
    if (peak == 0)
        return NULL;
    compare(peak, predicted_bytes, compared, sizeof(compared));
    if (largest > 0 && largest < peak - peak / 50)
        (void)snprintf(among, sizeof(among), " of all its processes together, the largest had %s",
                       units_format_size(largest, text));
    return names_format("peak %s%s%s%s%s%s%s%s", units_format_size(peak, text), among, compared,
                        min > 0 ? "; least " : "", min > 0 ? units_format_size(min, least) : "",
                        has_cpu ? "; " : "", has_cpu ? units_format_duration(cpu_ms, cpu) : "",
                        has_cpu ? " of CPU time" : "");
}

char *words_exit(const json_t *end) {
    const json_t *evidence = evidence_of(end), *status = json_object_get(evidence, "exit_status");
    const char *sent = story_text(evidence, "sent"), *signal = story_text(evidence, "signal");
    const char *left = story_text(evidence, "left_behind");
    char how[64] = "";
    if (!was_killed(end) && !*left)
        return NULL; /* the reason has said it */
    if (json_is_integer(status))
        (void)snprintf(
            how, sizeof(how), "exit status %lld%s", (long long)json_integer_value(status),
            json_integer_value(status) == PROTOCOL_EXIT_STOPPED ? " (at a checkpoint)" : "");
    else
        (void)snprintf(how, sizeof(how), "ended by %s%s", signal,
                       json_is_true(json_object_get(evidence, "core_dumped")) ? ", core dumped"
                                                                              : "");
    const char *call = story_text(json_object_get(evidence, "blocked"), "call");
    if (*call)
        return names_format("%s: its sandbox stopped the system call %s", how, call);
    return names_format("%s%s%s%s%s", how, *sent ? "; registrar had sent " : "", sent,
                        *left ? "; could not be ended and may still run: " : "", left);
}

/* What it held came back with its death, so at its death that much less was available. */
bool words_is_group_above(const json_t *end) {
    const json_t *machine = json_object_get(evidence_of(end), "machine");
    const uint64_t total = words_bytes(machine, "memory_total_bytes");
    const uint64_t available = words_bytes(machine, "memory_available_bytes");
    const uint64_t peak = words_bytes(end, "peak_rss_bytes");
    return strcmp(story_text(end, "verdict"), "oom-machine") == 0 && total > 0 &&
           available > peak && available - peak > total / LOW_MEMORY_DIVISOR;
}

char *words_group(const json_t *end) {
    const json_t *group = json_object_get(evidence_of(end), "cgroup");
    const char *error = story_text(evidence_of(end), "cgroup_error");
    const unsigned long long oom_before = words_bytes(group, "oom_before");
    const unsigned long long oom_after = words_bytes(group, "oom_after");
    const unsigned long long kill_before = words_bytes(group, "oom_kill_before");
    const unsigned long long kill_after = words_bytes(group, "oom_kill_after");
    const char *means = "";
    if (!group)
        return *error ? names_format("it had no control group of its own: %s", error) : NULL;
    if (kill_after > kill_before && oom_after > oom_before)
        means = "so it hit its own limit";
    else if (kill_after > kill_before && words_is_group_above(end))
        means = "so a group above its own ran out; the machine had memory left";
    else if (kill_after > kill_before)
        means = "so the machine, or a group above its own, ran out";
    else if (oom_after > oom_before)
        means = "so it was at its limit, and nothing was killed";
    else if (!was_killed(end) || *story_text(evidence_of(end), "stopped_for"))
        return NULL; /* nothing happened, and nobody asks */
    else
        return names_format("its own group's oom and oom_kill did not move: memory did not end it");
    return names_format("its own group's oom %llu -> %llu, oom_kill %llu -> %llu: %s", oom_before,
                        oom_after, kill_before, kill_after, means);
}

char *words_machine(const json_t *end) {
    const json_t *machine = json_object_get(evidence_of(end), "machine");
    const json_t *after = json_object_get(machine, "oom_kill_after");
    char available[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES], counter[96] = "";
    const uint64_t bytes = words_bytes(machine, "memory_total_bytes");
    if (!machine)
        return NULL;
    (void)units_format_size(words_bytes(machine, "memory_available_bytes"), available);
    (void)units_format_size(bytes, total);
    if (json_is_integer(after))
        (void)snprintf(counter, sizeof(counter), "the machine's oom_kill %llu -> %llu%s",
                       (unsigned long long)words_bytes(machine, "oom_kill_before"),
                       (unsigned long long)words_bytes(machine, "oom_kill_after"),
                       bytes > 0 ? "; " : "");
    if (bytes == 0)
        return *counter ? names_format("%s", counter) : NULL;
    return names_format("%s%s of its %s were available just after", counter, available, total);
}

char *words_then(const json_t *end) {
    const json_t *next = json_object_get(evidence_of(end), "next");
    const char *step = story_text(next, "step");
    char size[UNITS_TEXT_BYTES];
    if (!*step)
        return NULL;
    (void)units_format_size(words_bytes(next, "reserved_bytes"), size);
    if (strcmp(step, "alone") == 0)
        return names_format("to be tried again alone, with all %s that the batch may use", size);
    return names_format("to be tried again with %s", size);
}
