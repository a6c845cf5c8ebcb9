/* See ledger_line.h. The frame (v, seq, ..., crc) is written by hand around jansson's compact text,
 * so that the checksum's place is fixed; reading goes through jansson in full, because a right
 * checksum alone does not make a record. Whatever encode lets through, decode accepts. */
#include "supervisor/ledger/ledger_line.h"

#include "common/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

enum {
    CRC_DIGITS = 8,
    TRAILER_BYTES = 7 + 1 + CRC_DIGITS + 2, /* ,"crc":"0a1b2c3d"} */
    LEAST_CAPACITY = 4096,
};

static const char *const own_members[] = {"v", "seq", "time", "boot", "event", "synced", "crc"};

void ledger_line_buffer_free(struct ledger_line_buffer *buffer) {
    free(buffer->bytes);
    *buffer = (struct ledger_line_buffer){0};
}

static int make_room(struct ledger_line_buffer *buffer, size_t more) {
    size_t needed = buffer->length + more;
    if (needed <= buffer->capacity)
        return 0;
    size_t capacity = buffer->capacity ? buffer->capacity : LEAST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    char *bytes = realloc(buffer->bytes, capacity);
    if (!bytes)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 0;
}

/* The deepest nesting of a JSON text that jansson wrote: brackets outside strings. */
static int nesting_depth(const char *text) {
    int depth = 0, deepest = 0;
    bool in_string = false;
    for (; *text; text++) {
        if (in_string && *text == '\\')
            text++; /* an escaped quote does not end the string; jansson never ends on a lone \ */
        else if (*text == '"')
            in_string = !in_string;
        else if (!in_string && (*text == '{' || *text == '['))
            deepest = ++depth > deepest ? depth : deepest;
        else if (!in_string && (*text == '}' || *text == ']'))
            depth--;
    }
    return deepest;
}

/* The event's own members as `,"a":1,"b":2`, or "" when there are none. */
static int members_text(const char *event, const json_t *fields, char **ret,
                        struct failure *failure) {
    for (size_t i = 0; i < ARRAY_LEN(own_members); i++)
        if (json_object_get(fields, own_members[i]))
            return failure_set(failure, -EINVAL,
                               "a record (%s) must not bring its own \"%s\": the ledger sets it",
                               event, own_members[i]);
    if (json_object_size(fields) == 0) {
        *ret = strdup("");
        return *ret ? 0 : -ENOMEM;
    }
    char *text = json_dumps(fields, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    if (!text)
        return failure_set(failure, -EINVAL,
                           "a record (%s) cannot be written as JSON: its text is not UTF-8, "
                           "or there is no memory",
                           event);
    if (nesting_depth(text) > LEDGER_LINE_MAX_DEPTH) {
        free(text);
        return failure_set(failure, -EINVAL, "a record (%s) is nested deeper than %d levels", event,
                           LEDGER_LINE_MAX_DEPTH);
    }
    text[0] = ','; /* the braces belong to the line */
    text[strlen(text) - 1] = '\0';
    *ret = text;
    return 0;
}

int ledger_line_encode(struct ledger_line_buffer *buffer, const struct ledger_line_header *header,
                       const json_t *fields, struct failure *failure) {
    CLEANUP_FREE char *members = NULL;
    int r = members_text(header->event, fields, &members, failure);
    if (r == -ENOMEM)
        return failure_set_errno(failure, r, "cannot write a record (%s)", header->event);
    if (r < 0)
        return r;
    char now[CLOCK_TEXT_BYTES], head[512];
    int head_bytes = snprintf(
        head, sizeof(head),
        LEDGER_LINE_OPENING "%llu,\"time\":\"%s\",\"boot\":\"%s\",\"event\":\"%s\",\"synced\":%llu",
        (unsigned long long)header->seq, clock_rfc3339(now), header->boot_id, header->event,
        (unsigned long long)header->synced);
    if (head_bytes < 0 || (size_t)head_bytes >= sizeof(head))
        return failure_set(failure, -EINVAL, "an event's name is too long");
    size_t members_bytes = strlen(members);
    size_t line_bytes = (size_t)head_bytes + members_bytes + TRAILER_BYTES + 1;
    if (line_bytes > LEDGER_LINE_MAX_BYTES)
        return failure_set(failure, -EMSGSIZE, "a record (%s) of %zu bytes exceeds the limit of %d",
                           header->event, line_bytes, LEDGER_LINE_MAX_BYTES);
    r = make_room(buffer, line_bytes + 1);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write a record (%s)", header->event);
    char *line = buffer->bytes + buffer->length;
    memcpy(line, head, (size_t)head_bytes);
    memcpy(line + head_bytes, members, members_bytes);
    size_t covered = (size_t)head_bytes + members_bytes;
    (void)snprintf(line + covered, TRAILER_BYTES + 2, ",\"crc\":\"%08lx\"}\n",
                   crc32(0, (const Bytef *)line, (uInt)covered));
    buffer->length += line_bytes;
    return 0;
}

int ledger_line_recode(struct ledger_line_buffer *buffer, const json_t *record, uint64_t seq,
                       uint64_t synced, struct failure *failure) {
    CLEANUP_JSON json_t *copy = json_copy((json_t *)record); /* shallow: it is only read */
    if (!copy || json_object_set_new(copy, "seq", json_integer((json_int_t)seq)) < 0 ||
        json_object_set_new(copy, "synced", json_integer((json_int_t)synced)) < 0)
        return failure_set_errno(failure, -ENOMEM, "cannot write a record anew");
    (void)json_object_del(copy, "crc"); /* every record has one */
    CLEANUP_FREE char *text =
        json_dumps(copy, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    if (!text)
        return failure_set_errno(failure, -ENOMEM, "cannot write a record anew");
    const size_t covered = strlen(text) - 1; /* the brace comes behind the checksum */
    if (covered + TRAILER_BYTES + 1 > LEDGER_LINE_MAX_BYTES)
        return failure_set(failure, -EMSGSIZE, "a record exceeds the limit of %d bytes",
                           LEDGER_LINE_MAX_BYTES);
    int r = make_room(buffer, covered + TRAILER_BYTES + 2);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write a record anew");
    char *line = buffer->bytes + buffer->length;
    memcpy(line, text, covered);
    (void)snprintf(line + covered, TRAILER_BYTES + 2, ",\"crc\":\"%08lx\"}\n",
                   crc32(0, (const Bytef *)line, (uInt)covered));
    buffer->length += covered + TRAILER_BYTES + 1;
    return 0;
}

/* "2026-11-21T20:00:00.123Z": digits where digits belong. */
static bool is_time(const char *text) {
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; i < sizeof(shape); i++)
        if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    return true;
}

/* Eight lower-case hex digits; false for anything else, "+1" and "0x" that strtoul takes included.
 */
static bool parse_crc(const char *digits, uLong *ret) {
    static const char alphabet[] = "0123456789abcdef";
    uLong value = 0;
    for (size_t i = 0; i < CRC_DIGITS; i++) {
        const char *digit = memchr(alphabet, digits[i], sizeof(alphabet) - 1);
        if (!digit)
            return false;
        value = value << 4 | (uLong)(digit - alphabet);
    }
    *ret = value;
    return true;
}

static int check_checksum(const char *bytes, size_t length, char *why) {
    uLong said = 0;
    size_t covered = length > TRAILER_BYTES ? length - TRAILER_BYTES : 0;
    const char *trailer = bytes + covered;
    if (covered == 0 || bytes[0] != '{' || memcmp(trailer, ",\"crc\":\"", 8) != 0 ||
        !parse_crc(trailer + 8, &said) || memcmp(trailer + 8 + CRC_DIGITS, "\"}", 2) != 0) {
        (void)snprintf(why, LEDGER_LINE_WHY_BYTES, "bytes that are no record");
        return -EBADMSG;
    }
    uLong is = crc32(0, (const Bytef *)bytes, (uInt)covered);
    if (is == said)
        return 0;
    (void)snprintf(why, LEDGER_LINE_WHY_BYTES,
                   "a line whose checksum says %08lx where its bytes give %08lx", said, is);
    return -EBADMSG;
}

/* A whole number that is at least low; 0 otherwise. */
static uint64_t read_count(const json_t *record, const char *key, json_int_t low) {
    const json_t *value = json_object_get(record, key);
    return json_is_integer(value) && json_integer_value(value) >= low
               ? (uint64_t)json_integer_value(value)
               : 0;
}

static const char *wrong_member(const json_t *record) {
    const char *time = json_string_value(json_object_get(record, "time"));
    const char *event = json_string_value(json_object_get(record, "event"));
    uint64_t seq = read_count(record, "seq", 1);
    const json_t *synced = json_object_get(record, "synced");
    if (seq == 0)
        return "seq";
    if (!time || !is_time(time))
        return "time";
    if (!json_is_string(json_object_get(record, "boot")))
        return "boot";
    if (!event || !*event)
        return "event";
    if (!json_is_integer(synced) || json_integer_value(synced) < 0 ||
        (uint64_t)json_integer_value(synced) >= seq)
        return "synced";
    return NULL;
}

int ledger_line_decode(const char *bytes, size_t length, struct ledger_line *ret, char *why) {
    if (length >= LEDGER_LINE_MAX_BYTES) {
        (void)snprintf(why, LEDGER_LINE_WHY_BYTES, "a line longer than %d bytes",
                       LEDGER_LINE_MAX_BYTES);
        return -EBADMSG;
    }
    int r = check_checksum(bytes, length, why);
    if (r < 0)
        return r;
    json_error_t error;
    CLEANUP_JSON json_t *record =
        json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!record) {
        (void)snprintf(why, LEDGER_LINE_WHY_BYTES,
                       "a line with a right checksum that is not JSON (%s)", error.text);
        return -EPROTO;
    }
    json_int_t version = json_integer_value(json_object_get(record, "v"));
    if (version != LEDGER_LINE_VERSION) {
        (void)snprintf(why, LEDGER_LINE_WHY_BYTES,
                       "a record of version %" JSON_INTEGER_FORMAT " (this registrar knows %d)",
                       version, LEDGER_LINE_VERSION);
        return version > LEDGER_LINE_VERSION ? -EPROTONOSUPPORT : -EPROTO;
    }
    const char *wrong = wrong_member(record);
    if (wrong) {
        (void)snprintf(why, LEDGER_LINE_WHY_BYTES,
                       "a record whose member \"%s\" is missing or wrong", wrong);
        return -EPROTO;
    }
    *ret = (struct ledger_line){
        .seq = read_count(record, "seq", 1),
        .synced = read_count(record, "synced", 0),
        .record = STEAL_PTR(record),
    };
    return 0;
}

/* Leaves *at behind the text, which must stand there. */
static bool skip(const char **at, const char *end, const char *text) {
    const size_t length = strlen(text);
    if ((size_t)(end - *at) < length || memcmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

/* A number of at most 18 digits, which no overflow can reach. */
static bool take_count(const char **at, const char *end, uint64_t *ret) {
    const char *first = *at;
    uint64_t value = 0;
    for (; *at < end && **at >= '0' && **at <= '9' && *at - first < 18; (*at)++)
        value = 10 * value + (uint64_t)(**at - '0');
    *ret = value;
    return *at > first && (*first != '0' || *at - first == 1);
}

/* A string without escapes, with its quotes. */
static bool skip_string(const char **at, const char *end) {
    if (!skip(at, end, "\""))
        return false;
    for (; *at < end && **at != '"'; (*at)++)
        if (**at == '\\' || (unsigned char)**at < ' ')
            return false;
    return skip(at, end, "\"");
}

bool ledger_line_peek(const char *bytes, size_t length, uint64_t *ret_seq, uint64_t *ret_synced) {
    char why[LEDGER_LINE_WHY_BYTES];
    uint64_t seq = 0, synced = 0;
    const char *at = bytes, *end = bytes + length;
    const bool is_own = length < LEDGER_LINE_MAX_BYTES && skip(&at, end, LEDGER_LINE_OPENING) &&
                        take_count(&at, end, &seq) && skip(&at, end, ",\"time\":") &&
                        skip_string(&at, end) && skip(&at, end, ",\"boot\":") &&
                        skip_string(&at, end) && skip(&at, end, ",\"event\":") &&
                        skip_string(&at, end) && skip(&at, end, ",\"synced\":") &&
                        take_count(&at, end, &synced) && at < end && *at == ',' && synced < seq;
    if (!is_own || check_checksum(bytes, length, why) < 0)
        return false;
    *ret_seq = seq;
    *ret_synced = synced;
    return true;
}
