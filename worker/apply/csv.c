/* See csv.h. One buffer holds the record that is looked at and what was read behind it; a record
 * that does not end in it is moved to its front and more is read, up to the limit. */
#include "worker/apply/csv.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <string.h>

enum { BUFFER_BYTES = CSV_MOST_RECORD_BYTES + (64 << 10), NUMBER_CHARACTERS = 40 };

static const char byte_order_mark[] = "\xef\xbb\xbf";

struct csv_reader {
    int fd;
    const char *name;
    char *buffer;           /* tracked */
    size_t at, end;         /* what is not yet handed out */
    size_t mark;            /* bytes of the byte order mark */
    bool has_ended;         /* of the file */
    char separator;         /* 0: not yet known */
    uint64_t line, n_bytes; /* of the next record; read */
    struct csv_field *fields;
};

int csv_open(int fd, const char *name, struct csv_reader **ret, struct failure *failure) {
    struct csv_reader *reader = calloc(1, sizeof(*reader));
    if (reader) {
        *reader = (struct csv_reader){.fd = fd, .name = name, .line = 1};
        reader->buffer = tracked_alloc(BUFFER_BYTES, 1, "table's text");
        reader->fields = tracked_alloc(CSV_MOST_FIELDS, sizeof(*reader->fields), "table's fields");
    }
    if (!reader || !reader->buffer || !reader->fields) {
        csv_close(reader);
        return failure_set(failure, -ENOMEM, "no memory to read %s", name);
    }
    *ret = reader;
    return 0;
}

void csv_close(struct csv_reader *reader) {
    if (!reader)
        return;
    tracked_free(reader->buffer);
    tracked_free(reader->fields);
    free(reader);
}

size_t csv_mark(const struct csv_reader *reader, const char **ret_bytes) {
    *ret_bytes = byte_order_mark;
    return reader->mark;
}

char csv_separator(const struct csv_reader *reader) { return reader->separator; }

uint64_t csv_read_bytes(const struct csv_reader *reader) { return reader->n_bytes; }

/* More behind what is there. The buffer has room. */
static int fill(struct csv_reader *reader, struct failure *failure) {
    if (reader->at > 0) {
        memmove(reader->buffer, reader->buffer + reader->at, reader->end - reader->at);
        reader->end -= reader->at;
        reader->at = 0;
    }
    ssize_t n;
    do {
        n = read(reader->fd, reader->buffer + reader->end, BUFFER_BYTES - reader->end);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return failure_set_errno(failure, -errno, "cannot read %s", reader->name);
    if (n > 0 && memchr(reader->buffer + reader->end, '\0', (size_t)n))
        return failure_set(
            failure, -EINVAL,
            "%s holds bytes that are no text; save it as CSV in UTF-8, not as UTF-16 "
            "or a spreadsheet",
            reader->name);
    reader->has_ended = n == 0;
    reader->end += (size_t)n;
    reader->n_bytes += (uint64_t)n;
    return 0;
}

static int begin(struct csv_reader *reader, struct failure *failure) {
    const size_t length = strlen(byte_order_mark);
    int r = 0;
    while (r == 0 && reader->end < length && !reader->has_ended)
        r = fill(reader, failure);
    if (r == 0 && reader->end >= length && memcmp(reader->buffer, byte_order_mark, length) == 0)
        reader->at = reader->mark = length;
    return r;
}

/* Where a record stands in the buffer. */
struct extent {
    size_t length, end_length; /* with the line end; of it */
    uint64_t n_lines;
};

/* False when the record does not end in what is there. A quote opens a quoted field only where the
 * field begins; while the separator is unknown any of the three begins one. A doubled quote closes
 * and opens again. */
static bool find_end(const struct csv_reader *reader, struct extent *ret, bool *ret_quoted) {
    const char *text = reader->buffer + reader->at;
    const size_t count = reader->end - reader->at;
    bool quoted = false, is_first = true; /* at a field's first character */
    struct extent extent = {.n_lines = 1};
    for (size_t i = 0; i < count; i++) {
        const char c = text[i];
        if (c == '"' && (quoted || is_first))
            quoted = !quoted;
        else if (!quoted && (c == '\n' || c == '\r')) {
            if (c == '\r' && i + 1 == count && !reader->has_ended)
                break;
            extent.end_length = c == '\r' && i + 1 < count && text[i + 1] == '\n' ? 2 : 1;
            extent.length = i + extent.end_length;
            *ret = extent;
            return true;
        } else if (!quoted)
            is_first =
                reader->separator ? c == reader->separator : c == ',' || c == ';' || c == '\t';
        extent.n_lines += quoted && c == '\n';
    }
    *ret_quoted = quoted;
    extent.length = count;
    *ret = extent;
    return reader->has_ended && !quoted;
}

/* Which separator stands most often outside quotes in the first record. */
static char choose_separator(const char *text, size_t length) {
    static const char separators[] = ",;\t";
    size_t counts[sizeof(separators)] = {0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        const char *found = text[i] ? strchr(separators, text[i]) : NULL;
        quoted ^= text[i] == '"';
        if (found && !quoted)
            counts[found - separators]++;
    }
    for (size_t i = 1; separators[i]; i++)
        if (counts[i] > counts[best])
            best = i;
    return separators[best];
}

static size_t split(struct csv_reader *reader, const char *text, size_t length) {
    size_t n = 0, start = 0;
    bool quoted = false, is_first = true; /* as in find_end */
    for (size_t i = 0; i < length && n + 1 < CSV_MOST_FIELDS; i++) {
        const bool parts = !quoted && text[i] == reader->separator;
        if (parts) {
            reader->fields[n++] = (struct csv_field){start, i - start};
            start = i + 1;
        }
        if (text[i] == '"' && (quoted || is_first))
            quoted = !quoted;
        else if (!quoted)
            is_first = parts;
    }
    if (length > 0)
        reader->fields[n++] = (struct csv_field){start, length - start};
    return n;
}

int csv_next(struct csv_reader *reader, struct csv_record *ret, struct failure *failure) {
    int r = reader->n_bytes == 0 ? begin(reader, failure) : 0;
    struct extent extent = {0};
    bool quoted = false;
    while (r == 0 && !find_end(reader, &extent, &quoted)) {
        if (extent.length >= CSV_MOST_RECORD_BYTES || reader->has_ended)
            return failure_set(failure, -EINVAL, "%s, line %llu: %s", reader->name,
                               (unsigned long long)reader->line,
                               quoted ? "a quote that is opened there is never closed"
                                      : "it is longer than 1 MiB; is this a table?");
        r = fill(reader, failure);
    }
    if (r < 0)
        return r;
    if (extent.length == 0)
        return -ENODATA;
    const char *text = reader->buffer + reader->at;
    if (!reader->separator)
        reader->separator = choose_separator(text, extent.length);
    *ret = (struct csv_record){.text = text,
                               .length = extent.length,
                               .end_length = extent.end_length,
                               .line = reader->line,
                               .fields = reader->fields,
                               .n_fields = split(reader, text, extent.length - extent.end_length)};
    reader->at += extent.length;
    reader->line += extent.n_lines;
    return 0;
}

/* --- fields --- */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct csv_field trim(const char *text, struct csv_field field) {
    while (field.length > 0 && is_blank(text[field.start])) {
        field.start++;
        field.length--;
    }
    while (field.length > 0 && is_blank(text[field.start + field.length - 1]))
        field.length--;
    return field;
}

struct csv_field csv_bare(const struct csv_record *record, struct csv_field field) {
    struct csv_field bare = trim(record->text, field);
    if (bare.length >= 2 && record->text[bare.start] == '"' &&
        record->text[bare.start + bare.length - 1] == '"')
        bare = trim(record->text, (struct csv_field){bare.start + 1, bare.length - 2});
    return bare;
}

bool csv_parse_number(const char *text, size_t length, bool comma_allowed, double *ret) {
    char copy[CSV_NUMBER_BYTES], *end;
    bool has_point = false;
    if (length == 0 || length > NUMBER_CHARACTERS)
        return false;
    for (size_t i = 0; i < length; i++) {
        copy[i] = text[i];
        if (copy[i] == ',' && comma_allowed)
            copy[i] = '.';
        else if (!strchr("0123456789+-.eE", copy[i]) || !copy[i])
            return false;
        if (copy[i] == '.' && has_point)
            return false;
        has_point |= copy[i] == '.';
    }
    copy[length] = '\0';
    *ret = strtod(copy, &end); /* the locale is C: a point, and nothing else */
    return *end == '\0';
}
