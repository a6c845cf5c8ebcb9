/* See report_stream.h. A line is gathered only when it comes in pieces; its buffer doubles up to
 * the limit, since most children (commands) never say a word and should cost nothing.
 */
#include "supervisor/process/report_stream.h"

#include "common/protocol.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    REPORT_STREAM_FIRST_BYTES = 512,
    REPORT_STREAM_EXCERPT_BYTES = 48, /* of what was sent, in the breach */
};

struct report_stream {
    report_stream_cb report;
    void *context;
    char *line; /* the piece so far; NULL until one is needed */
    size_t used, capacity;
    char breach[256]; /* "": none */
};

struct report_stream *report_stream_open(report_stream_cb report, void *context) {
    struct report_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->report = report;
    stream->context = context;
    return stream;
}

void report_stream_close(struct report_stream *stream) {
    if (!stream)
        return;
    free(stream->line);
    free(stream);
}

const char *report_stream_breach(const struct report_stream *stream) {
    return stream->breach[0] ? stream->breach : NULL;
}

/* Printable ASCII as it is, the rest as \xNN: the excerpt goes to terminals and into the ledger. */
static const char *excerpt(const char *bytes, size_t length,
                           char text[4 * REPORT_STREAM_EXCERPT_BYTES + 4]) {
    char *at = text;
    size_t shown = length < REPORT_STREAM_EXCERPT_BYTES ? length : REPORT_STREAM_EXCERPT_BYTES;
    for (size_t i = 0; i < shown; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= ' ' && byte < 0x7f)
            *at++ = (char)byte;
        else
            at += sprintf(at, "\\x%02x", byte);
    }
    (void)strcpy(at, shown < length ? "..." : "");
    return text;
}

static int breach(struct report_stream *stream, const char *what, const char *bytes,
                  size_t length) {
    char shown[4 * REPORT_STREAM_EXCERPT_BYTES + 4];
    /* what does not fit is cut */
    (void)snprintf(stream->breach, sizeof(stream->breach), "%s: '%s'", what,
                   excerpt(bytes, length, shown));
    free(stream->line);
    stream->line = NULL;
    stream->used = stream->capacity = 0;
    return -EPROTO;
}

static const char *string_member(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static bool one_of(const char *text, const char *const *allowed) {
    for (; *allowed; allowed++)
        if (strcmp(text, *allowed) == 0)
            return true;
    return false;
}

static bool parse_progress(const json_t *record, struct report *ret) {
    const json_t *fraction = json_object_get(record, "fraction");
    ret->fraction = json_number_value(fraction);
    json_int_t memory = json_integer_value(json_object_get(record, "memory_bytes"));
    ret->memory_bytes = memory > 0 ? (uint64_t)memory : 0;
    return json_is_number(fraction) && ret->fraction >= 0 && ret->fraction <= 1;
}

/* The buffers go into the ledger as they are. */
static bool parse_memory(const json_t *record, struct report *ret) {
    json_int_t peak = json_integer_value(json_object_get(record, "peak_bytes"));
    size_t i;
    json_t *buffer;
    ret->peak_bytes = peak > 0 ? (uint64_t)peak : 0;
    ret->buffers = json_object_get(record, "buffers");
    json_array_foreach(ret->buffers, i, buffer) {
        const char *label;
        json_int_t bytes;
        if (json_unpack_ex(buffer, NULL, JSON_STRICT, "{s:s, s:I}", "label", &label, "bytes",
                           &bytes) < 0 ||
            strlen(label) > PROTOCOL_NAME_BYTES || bytes < 0)
            return false;
    }
    return peak > 0 && json_is_array(ret->buffers) &&
           json_array_size(ret->buffers) <= PROTOCOL_MEMORY_BUFFERS;
}

/* A result's files go into the ledger as they are, so they are what they are said to be. None is
 * fine. */
static bool are_files(json_t *files, const char *name_key) {
    size_t i;
    json_t *file;
    json_array_foreach(files, i, file) {
        const char *name, *hash;
        json_int_t size, mtime_ns;
        if (json_unpack_ex(file, NULL, JSON_STRICT, "{s:s, s:I, s:I, s?s}", name_key, &name, "size",
                           &size, "mtime_ns", &mtime_ns, "hash", &hash) < 0)
            return false;
    }
    return !files || json_is_array(files);
}

static bool parse_blocked(const json_t *record, struct report *ret) {
    const json_t *number = json_object_get(record, "number");
    const size_t length = strlen(ret->call);
    ret->number = (int)json_integer_value(number);
    return length > 0 && length <= PROTOCOL_CALL_BYTES &&
           json_integer_value(number) == ret->number &&
           strspn(ret->call, "abcdefghijklmnopqrstuvwxyz_0123456789") == length;
}

static bool parse_report(json_t *record, struct report *ret) {
    static const char *const events[REPORT_COUNT] = {
        [REPORT_PROGRESS] = "progress",   [REPORT_WAITING] = "waiting",
        [REPORT_STAGE_END] = "stage_end", [REPORT_MEMORY] = "memory",
        [REPORT_RESULT] = "result",       [REPORT_ERROR] = "error",
        [REPORT_BLOCKED] = "blocked",
    };
    static const char *const statuses[] = {"aligned", "doubtful", "failed", NULL};
    static const char *const causes[] = {"input", "environment", NULL};
    const char *event = string_member(record, "event");
    int kind = 0;
    while (kind < REPORT_COUNT && strcmp(event, events[kind]) != 0)
        kind++;
    *ret = (struct report){
        .kind = (enum report_kind)kind,
        .stage = string_member(record, "stage"),
        .status = string_member(record, "status"),
        .cause = string_member(record, "cause"),
        .reason = string_member(record, "reason"),
        .call = string_member(record, "call"),
        .record = record,
    };
    if (strlen(ret->stage) > PROTOCOL_NAME_BYTES)
        return false;
    switch (kind) {
    case REPORT_PROGRESS:
        return parse_progress(record, ret);
    case REPORT_WAITING:
    case REPORT_STAGE_END:
        return ret->stage[0] != '\0';
    case REPORT_MEMORY:
        return parse_memory(record, ret);
    case REPORT_RESULT:
        return one_of(ret->status, statuses) &&
               are_files(json_object_get(record, "inputs"), "path") &&
               are_files(json_object_get(record, "outputs"), "name");
    case REPORT_ERROR:
        return one_of(ret->cause, causes);
    case REPORT_BLOCKED:
        return parse_blocked(record, ret);
    default:
        return false;
    }
}

static int take_line(struct report_stream *stream, const char *line, size_t length) {
    CLEANUP_JSON json_t *record = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(record))
        return breach(stream, "sent a line that is not a JSON object", line, length);
    struct report report;
    if (!parse_report(record, &report))
        return breach(stream, "sent a report that breaks the protocol", line, length);
    stream->report(stream->context, &report);
    return 0;
}

/* Keeps a piece of a line for later. */
static int keep(struct report_stream *stream, const char *bytes, size_t length) {
    size_t needed = stream->used + length;
    if (needed >= PROTOCOL_LINE_BYTES) {
        bool from_line = stream->used > 0;
        return breach(stream, "sent a line longer than 64 KiB", from_line ? stream->line : bytes,
                      from_line ? stream->used : length);
    }
    if (needed > stream->capacity) {
        size_t capacity = stream->capacity ? stream->capacity : REPORT_STREAM_FIRST_BYTES;
        while (capacity < needed)
            capacity *= 2;
        char *line = realloc(stream->line, capacity);
        if (!line)
            return breach(stream, "sent a line for which there was no memory", bytes, length);
        stream->line = line;
        stream->capacity = capacity;
    }
    memcpy(stream->line + stream->used, bytes, length);
    stream->used = needed;
    return 0;
}

int report_stream_feed(struct report_stream *stream, const char *bytes, size_t length) {
    int r = stream->breach[0] ? -EPROTO : 0;
    while (r == 0 && length > 0) {
        const char *newline = memchr(bytes, '\n', length);
        size_t piece = newline ? (size_t)(newline - bytes) : length;
        if (newline && stream->used == 0 && piece < PROTOCOL_LINE_BYTES) {
            r = take_line(stream, bytes, piece);
        } else {
            r = keep(stream, bytes, piece);
            if (r == 0 && newline) {
                size_t used = stream->used;
                stream->used = 0;
                r = take_line(stream, stream->line, used);
            }
        }
        piece += newline != NULL;
        bytes += piece;
        length -= piece;
    }
    return r;
}

int report_stream_end(struct report_stream *stream) {
    if (stream->breach[0])
        return -EPROTO;
    if (stream->used == 0)
        return 0;
    return breach(stream, "ended in half a line", stream->line, stream->used);
}
