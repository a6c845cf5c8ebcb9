/* See trace_report.h. Registrar itself is judged from when it has warmed up: the first tasks fill
 * its tables and buffers. */
#include "supervisor/memory/trace_report.h"

#include "common/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct kind {
    char *name; /* owned */
    size_t n_judged, n_over;
    char *worst; /* owned; the task that came closest, or went over furthest */
    uint64_t worst_peak_bytes, worst_reserved_bytes;
};

struct trace_report {
    size_t warm_up, n_attempts, n_unknown;
    uint64_t warm_bytes, last_bytes;
    struct kind *kinds; /* owned */
    size_t n_kinds;
    bool is_incomplete; /* out of memory for a kind */
};

struct trace_report *trace_report_open(size_t n_expected) {
    struct trace_report *report = calloc(1, sizeof(*report));
    if (report)
        report->warm_up =
            n_expected / 2 < TRACE_REPORT_WARM_UP ? n_expected / 2 : (size_t)TRACE_REPORT_WARM_UP;
    return report;
}

void trace_report_close(struct trace_report *report) {
    if (!report)
        return;
    for (size_t i = 0; i < report->n_kinds; i++) {
        free(report->kinds[i].name);
        free(report->kinds[i].worst);
    }
    free(report->kinds);
    free(report);
}

/* ---- adding ---- */

static struct kind *kind_of(struct trace_report *report, const char *name) {
    for (size_t i = 0; i < report->n_kinds; i++)
        if (strcmp(report->kinds[i].name, name) == 0)
            return &report->kinds[i];
    CLEANUP_FREE char *copy = strdup(name);
    struct kind *grown =
        copy ? realloc(report->kinds, (report->n_kinds + 1) * sizeof(*report->kinds)) : NULL;
    if (!grown)
        return NULL;
    report->kinds = grown;
    report->kinds[report->n_kinds] = (struct kind){.name = STEAL_PTR(copy)};
    return &report->kinds[report->n_kinds++];
}

static double ratio(uint64_t peak_bytes, uint64_t reserved_bytes) {
    return (double)peak_bytes / (double)reserved_bytes;
}

static void judge(struct trace_report *report, const struct trace_report_attempt *attempt) {
    struct kind *kind = kind_of(report, attempt->kind);
    if (!kind) {
        report->is_incomplete = true;
        return;
    }
    kind->n_judged++;
    kind->n_over += attempt->peak_bytes > attempt->reserved_bytes;
    if (kind->worst && ratio(attempt->peak_bytes, attempt->reserved_bytes) <=
                           ratio(kind->worst_peak_bytes, kind->worst_reserved_bytes))
        return;
    char *copy = strdup(attempt->task);
    if (!copy) {
        report->is_incomplete = true;
        return;
    }
    free(kind->worst);
    kind->worst = copy;
    kind->worst_peak_bytes = attempt->peak_bytes;
    kind->worst_reserved_bytes = attempt->reserved_bytes;
}

void trace_report_add(struct trace_report *report, const struct trace_report_attempt *attempt,
                      uint64_t own_bytes) {
    report->n_attempts++;
    if (own_bytes > 0) {
        report->last_bytes = own_bytes;
        if (report->n_attempts <= report->warm_up || report->warm_bytes == 0)
            report->warm_bytes = own_bytes;
    }
    if (attempt->reserved_bytes == 0)
        report->n_unknown++;
    else if (attempt->peak_bytes > 0)
        judge(report, attempt);
}

/* ---- telling ---- */

static bool grows(const struct trace_report *report) {
    return report->n_attempts >= TRACE_REPORT_FEWEST &&
           report->last_bytes > report->warm_bytes + TRACE_REPORT_GROWTH_BYTES;
}

static void tell_own(const struct trace_report *report, FILE *stream) {
    char warm[UNITS_TEXT_BYTES], last[UNITS_TEXT_BYTES];
    (void)units_format_size(report->warm_bytes, warm);
    (void)units_format_size(report->last_bytes, last);
    if (report->last_bytes == 0)
        (void)fprintf(stream, "What registrar itself holds could not be read.\n");
    else if (report->n_attempts < TRACE_REPORT_FEWEST)
        (void)fprintf(stream,
                      "registrar itself held %s at the end; whether it grows cannot be told from "
                      "fewer than %d attempts.\n",
                      last, TRACE_REPORT_FEWEST);
    else if (grows(report))
        (void)fprintf(stream,
                      "registrar itself grows: it held %s after %zu attempts and %s after %zu; "
                      "that is a fault of registrar, please report it.\n",
                      warm, report->warm_up, last, report->n_attempts);
    else
        (void)fprintf(stream,
                      "registrar itself does not grow: it held %s after %zu attempts and %s after "
                      "%zu.\n",
                      warm, report->warm_up, last, report->n_attempts);
}

static void tell_kind(const struct kind *kind, FILE *stream) {
    char peak[UNITS_TEXT_BYTES], reserved[UNITS_TEXT_BYTES];
    (void)units_format_size(kind->worst_peak_bytes, peak);
    (void)units_format_size(kind->worst_reserved_bytes, reserved);
    if (kind->n_over > 0)
        (void)fprintf(stream,
                      "%s overruns its forecast in %zu of %zu attempts; worst was %s: it needed %s "
                      "and %s were reserved.\n",
                      kind->name, kind->n_over, kind->n_judged, kind->worst, peak, reserved);
    else
        (void)fprintf(stream,
                      "%s keeps to its forecast, attempts: %zu; closest was %s: it needed %s and "
                      "%s were reserved.\n",
                      kind->name, kind->n_judged, kind->worst, peak, reserved);
}

static void tell_cost(const struct trace_cost *cost, int64_t wall_ms, FILE *stream) {
    const double share = wall_ms > 0 ? (double)cost->cpu_ns / 1e4 / (double)wall_ms : 0;
    (void)fprintf(stream, "Sampling took %.2f %% of a core, every %" PRId64 " ms", share,
                  cost->interval_ms);
    if (cost->longest_ms > cost->interval_ms)
        (void)fprintf(stream, " (%" PRId64 " ms at times)", cost->longest_ms);
    (void)fputs(".\n", stream);
}

char *trace_report_words(const struct trace_report *report, const struct trace_cost *cost,
                         int64_t wall_ms) {
    CLEANUP_FREE char *text = NULL;
    size_t length = 0, n_over = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return NULL;
    for (size_t i = 0; i < report->n_kinds; i++)
        n_over += report->kinds[i].n_over > 0;
    (void)fprintf(stream, "Memory: %s.\n",
                  grows(report) && n_over > 0 ? "registrar grows, and a forecast is overrun"
                  : grows(report)             ? "registrar grows"
                  : n_over == 1               ? "a forecast is overrun"
                  : n_over > 1                ? "forecasts are overrun"
                                              : "all is well");
    tell_own(report, stream);
    for (size_t i = 0; i < report->n_kinds; i++)
        if (report->kinds[i].worst &&
            (report->kinds[i].n_over > 0 || report->n_kinds <= TRACE_REPORT_FEW_KINDS))
            tell_kind(&report->kinds[i], stream);
    if (report->n_kinds > TRACE_REPORT_FEW_KINDS && n_over < report->n_kinds)
        (void)fprintf(stream, "%zu kinds keep to their forecasts.\n", report->n_kinds - n_over);
    if (report->n_unknown > 0)
        (void)fprintf(stream, "%zu %s known too little of to be forecast.\n", report->n_unknown,
                      report->n_unknown == 1 ? "attempt was" : "attempts were");
    if (report->is_incomplete)
        (void)fprintf(stream, "There was no memory to judge all kinds.\n");
    tell_cost(cost, wall_ms, stream);
    return fclose(stream) == 0 ? STEAL_PTR(text) : NULL;
}
