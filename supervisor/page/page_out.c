/* See page_out.h. A "<" stands in JSON only within strings, so replacing it in the finished text
 * changes no value. */
#include "supervisor/page/page_out.h"

#include "common/names.h"

#include <errno.h>
#include <string.h>

int page_out_text(FILE *stream, const char *text) {
    CLEANUP_FREE char *clean = names_escape(text);
    if (!clean)
        return -ENOMEM;
    for (const char *c = clean; *c; c++) {
        const char *entity = *c == '<'    ? "&lt;"
                             : *c == '>'  ? "&gt;"
                             : *c == '&'  ? "&amp;"
                             : *c == '"'  ? "&quot;"
                             : *c == '\'' ? "&#39;"
                                          : NULL;
        if (entity)
            (void)fputs(entity, stream); /* errors: see page_out.h */
        else
            (void)fputc(*c, stream);
    }
    return 0;
}

static int put_escaped(const char *bytes, size_t length, void *context) {
    FILE *stream = context;
    while (length > 0) {
        const char *less = memchr(bytes, '<', length);
        const size_t n = less ? (size_t)(less - bytes) : length;
        (void)fwrite(bytes, 1, n, stream);
        if (!less)
            return 0;
        (void)fputs("\\u003c", stream);
        bytes += n + 1;
        length -= n + 1;
    }
    return 0;
}

int page_out_json(FILE *stream, const json_t *value) {
    const size_t flags =
        JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12);
    return value && json_dump_callback(value, put_escaped, stream, flags) == 0 ? 0 : -ENOMEM;
}

int page_out_json_new(FILE *stream, json_t *value) {
    CLEANUP_JSON json_t *owned = value;
    return page_out_json(stream, owned);
}

json_t *page_out_string(const char *text) {
    CLEANUP_FREE char *clean = names_is_clean(text) ? NULL : names_escape(text);
    return json_string(clean ? clean : text);
}

uint64_t page_out_base64_length(uint64_t bytes) { return (bytes + 2) / 3 * 4; }

/* Returns the number of digits: 4 for each 3 bytes begun. */
static size_t encode_base64(const unsigned char *bytes, size_t length, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    for (size_t i = 0; i < length; i += 3) {
        const uint32_t b1 = i + 1 < length ? bytes[i + 1] : 0,
                       b2 = i + 2 < length ? bytes[i + 2] : 0;
        const uint32_t bits = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;
        out[n++] = digits[bits >> 18];
        out[n++] = digits[bits >> 12 & 63];
        out[n++] = i + 1 < length ? digits[bits >> 6 & 63] : '=';
        out[n++] = i + 2 < length ? digits[bits & 63] : '=';
    }
    return n;
}

int64_t page_out_base64(FILE *stream, int fd, uint64_t max_bytes) {
    enum { BLOCK = 3 * 4096 };
    unsigned char block[BLOCK];
    char digits[BLOCK / 3 * 4];
    size_t filled = 0;
    uint64_t total = 0;
    for (;;) {
        const uint64_t left = max_bytes - total;
        const size_t room = sizeof(block) - filled;
        const ssize_t n = read(fd, block + filled, left < room ? (size_t)left : room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        filled += (size_t)n;
        total += (uint64_t)n;
        if (filled == sizeof(block) || n == 0) {
            const size_t n_digits = encode_base64(block, filled, digits);
            (void)fwrite(digits, 1, n_digits, stream); /* errors: see page_out.h */
            filled = 0;
        }
        if (n == 0)
            return (int64_t)total;
    }
}
