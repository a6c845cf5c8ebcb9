/* See watch_stream.h. */
#include "supervisor/client/watch_stream.h"

#include "common/units.h"
#include "supervisor/client/status_view.h"
#include "supervisor/report/text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

enum { TRIES = 300, PAUSE_MS = 1000 /* between them: a restart, or an update's */ };

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_clock(FILE *stream) {
    char text[16];
    const time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) && strftime(text, sizeof(text), "%H:%M:%S  ", &local) > 0)
        (void)fputs(text, stream);
}

static void print_clean(FILE *stream, const char *text) {
    (void)text_print(stream, text, TEXT_UNLIMITED, TEXT_CUT_END);
}

static void print_end(FILE *stream, const json_t *event) {
    char text[UNITS_TEXT_BYTES];
    const double wall_s = json_number_value(json_object_get(event, "wall_s"));
    const long long bytes = (long long)json_integer_value(json_object_get(event, "peak_rss_bytes"));
    (void)fprintf(stream, "%s", text_of(event, "verdict"));
    if (wall_s > 0)
        (void)fprintf(stream, ", %s", units_format_duration((int64_t)(wall_s * 1e3), text));
    if (bytes > 0)
        (void)fprintf(stream, ", %s", units_format_size((uint64_t)bytes, text));
    if (*text_of(event, "reason")) {
        (void)fputs(": ", stream);
        print_clean(stream, text_of(event, "reason"));
    }
}

static void print_running(FILE *stream, const json_t *event) {
    char text[UNITS_TEXT_BYTES];
    const double elapsed_s = json_number_value(json_object_get(event, "elapsed_s"));
    (void)fprintf(stream, "has run for %s",
                  units_format_duration((int64_t)(elapsed_s * 1e3), text));
}

/* 22:41:03  NIGHT  CD070/DAPI  ok, 12 s, 401 MiB */
static void print_event(FILE *stream, const json_t *event) {
    const char *what = text_of(event, "event");
    print_clock(stream);
    if (*text_of(event, "batch"))
        (void)fprintf(stream, "%s  ", text_of(event, "batch"));
    if (*text_of(event, "task")) {
        print_clean(stream, text_of(event, "task"));
        (void)fputs("  ", stream);
    }
    if (strcmp(what, "start") == 0)
        (void)fputs("started", stream);
    else if (strcmp(what, "running") == 0)
        print_running(stream, event);
    else if (strcmp(what, "end") == 0)
        print_end(stream, event);
    else if (strcmp(what, "batch") == 0)
        (void)fputs("the batch has ended", stream);
    else
        print_clean(stream, text_of(event, "text"));
    (void)fputc('\n', stream);
}

static void show(const struct watch_stream *watch, const json_t *line) {
    if (!watch->stream || !json_object_get(line, "event"))
        return;
    if (!watch->as_json)
        print_event(watch->stream, line);
    else if (json_dumpf(line, watch->stream, JSON_COMPACT | JSON_REAL_PRECISION(12)) == 0)
        (void)fputc('\n', watch->stream);
    (void)fflush(watch->stream); /* errors show at the end */
}

int watch_stream_follow(struct watch_stream *watch, struct connection *connection,
                        struct failure *failure) {
    CLEANUP_JSON json_t *answer = NULL;
    json_t *request = watch->batch ? json_pack("{s:s}", "batch", watch->batch) : json_object();
    int r = connection_ask(connection, "watch", request, &answer, failure);
    connection_be_patient(connection);
    while (r == 0) {
        CLEANUP_JSON json_t *line = NULL;
        r = connection_receive(connection, &line, failure);
        if (r < 0)
            return r;
        if (json_is_true(json_object_get(line, "end"))) {
            json_decref(watch->last);
            watch->last = json_incref(json_object_get(line, "batch"));
            return 0;
        }
        show(watch, line);
        if (watch->stream && ferror(watch->stream))
            return failure_set(failure, -EPIPE, "nobody reads what is watched");
    }
    return r;
}

int watch_stream_follow_on(struct watch_stream *watch, const char *given, int *ret_status,
                           struct failure *failure) {
    int r = -ENODATA;
    for (int i = 0; i < TRIES; i++) {
        CLEANUP_CONNECTION struct connection *connection = NULL;
        r = connection_open(given, &connection, failure);
        if (r == 0) {
            i = 0;
            r = watch_stream_follow(watch, connection, failure);
        }
        *ret_status = connection_status(connection);
        if (r != -ENODATA && r != -ENOENT && r != -ECONNREFUSED && r != -ETIMEDOUT)
            return r;
        (void)poll(NULL, 0, PAUSE_MS);
    }
    return r;
}
