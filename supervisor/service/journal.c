/* See journal.h. The fields are built as "NAME=value" texts; where there is no journal only the
 * message is printed.
 */
#include "supervisor/service/journal.h"

#include "common/clock.h"
#include "common/names.h"
#include "common/units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* it is the message that matters, not the line here */
#include <systemd/sd-journal.h>

#define MESSAGE_TASK "72666810a36b403e8a6e8e95369f58bc"
#define MESSAGE_BATCH "b7a64fd1fafe4878903cd82ffeb10ff8"

enum { MAX_FIELDS = 16, OK_PER_SECOND = 100 };

struct fields {
    char *text[MAX_FIELDS]; /* owned */
    struct iovec vector[MAX_FIELDS];
    int n;
};

static void fields_free(struct fields *fields) {
    for (int i = 0; i < fields->n; i++)
        free(fields->text[i]);
}

/* A field that there is no memory for is left out. Line breaks are allowed in a value. */
__attribute__((format(printf, 2, 3))) static void add(struct fields *fields, const char *format,
                                                      ...) {
    if (fields->n == MAX_FIELDS)
        return;
    char **slot = &fields->text[fields->n];
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(slot, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    fields->vector[fields->n++] = (struct iovec){.iov_base = *slot, .iov_len = (size_t)length};
}

/* message is said where there is no journal. */
static void send_fields(const struct journal *journal, int priority, const char *message,
                        struct fields *fields) {
    add(fields, "MESSAGE=%s", message);
    add(fields, "PRIORITY=%d", priority);
    add(fields, "SYSLOG_IDENTIFIER=registrar");
    if (journal->is_native && sd_journal_sendv(fields->vector, fields->n) >= 0)
        return;
    CLEANUP_FREE char *clean = names_escape(message);
    (void)fprintf(stderr, "registrar: %s\n", clean ? clean : "out of memory");
}

void journal_open(struct journal *journal) {
    *journal = (struct journal){0};
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    unsigned long long device = 0, inode = 0;
    if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 ||
        fstat(STDERR_FILENO, &status) < 0)
        return;
    journal->is_native = status.st_dev == device && status.st_ino == inode;
}

void journal_say(const struct journal *journal, int priority, const char *format, ...) {
    CLEANUP(fields_free) struct fields fields = {.n = 0};
    CLEANUP_FREE char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    send_fields(journal, priority, message ? message : "out of memory", &fields);
}

/* True when another one may be told in this second. */
static bool count_ok(struct journal *journal) {
    const int64_t second = clock_monotonic_ms() / 1000;
    if (journal->second != second)
        journal->n_ok = 0;
    journal->second = second;
    return journal->n_ok++ < OK_PER_SECOND;
}

void journal_task(struct journal *journal, const struct journal_task *task) {
    const bool is_ok = task->verdict == VERDICT_OK;
    if (is_ok && !count_ok(journal))
        return;
    char time[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES];
    const char *reason = task->reason ? task->reason : "";
    CLEANUP_FREE char *message =
        names_format("%s of %s (%s): %s after %s, peak %s%s%s", task->id, task->batch, task->user,
                     verdict_name(task->verdict), units_format_duration(task->wall_ms, time),
                     units_format_size(task->peak_rss_bytes, peak), *reason ? ": " : "", reason);
    CLEANUP(fields_free) struct fields fields = {.n = 0};
    add(&fields, "MESSAGE_ID=" MESSAGE_TASK);
    add(&fields, "TASK=%s", task->id);
    add(&fields, "BATCH=%s", task->batch);
    add(&fields, "USER=%s", task->user);
    add(&fields, "VERDICT=%s", verdict_name(task->verdict));
    add(&fields, "ATTEMPTS=%d", task->attempts);
    add(&fields, "WALL_MS=%" PRId64, task->wall_ms);
    add(&fields, "PEAK_RSS_BYTES=%" PRIu64, task->peak_rss_bytes);
    send_fields(journal,
                is_ok                                ? LOG_INFO
                : task->verdict == VERDICT_CANCELLED ? LOG_NOTICE
                                                     : LOG_WARNING,
                message ? message : task->id, &fields);
}

void journal_batch(const struct journal *journal, const struct journal_batch *batch) {
    const bool is_fine = batch->n_failed == 0 && batch->n_doubtful == 0;
    CLEANUP_FREE char *message = names_format(
        "the batch %s of %s is done: %zu ok, %zu doubtful, %zu failed, %zu cancelled", batch->name,
        batch->user, batch->n_ok, batch->n_doubtful, batch->n_failed, batch->n_cancelled);
    CLEANUP(fields_free) struct fields fields = {.n = 0};
    add(&fields, "MESSAGE_ID=" MESSAGE_BATCH);
    add(&fields, "BATCH=%s", batch->name);
    add(&fields, "USER=%s", batch->user);
    add(&fields, "TASKS_OK=%zu", batch->n_ok);
    add(&fields, "TASKS_DOUBTFUL=%zu", batch->n_doubtful);
    add(&fields, "TASKS_FAILED=%zu", batch->n_failed);
    add(&fields, "TASKS_CANCELLED=%zu", batch->n_cancelled);
    send_fields(journal, is_fine ? LOG_NOTICE : LOG_WARNING, message ? message : batch->name,
                &fields);
}
