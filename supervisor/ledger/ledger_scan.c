/* See ledger_scan.h. The buffer grows only for a line that needs it; of a line longer than any
 * record the oldest bytes are dropped, but the last LEDGER_LINE_MAX_BYTES are always kept: a whole
 * record may stand at its end, behind a newline that was lost. */
#include "supervisor/ledger/ledger_scan.h"

#include "supervisor/ledger/ledger_line.h"

#include <errno.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 << 10, MAX_CAPACITY = 2 * LEDGER_LINE_MAX_BYTES };

int ledger_scan_open(int fd, struct ledger_scan *ret) {
    char *buffer = malloc(FIRST_CAPACITY);
    if (!buffer)
        return -ENOMEM;
    *ret = (struct ledger_scan){.fd = fd, .buffer = buffer, .capacity = FIRST_CAPACITY};
    return 0;
}

void ledger_scan_close(struct ledger_scan *scan) {
    free(scan->buffer);
    *scan = (struct ledger_scan){.fd = -1};
}

static bool is_zero(const char *bytes, size_t length) {
    return length == 0 || (bytes[0] == '\0' && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Makes room behind buffer[end]: by moving, by growing, or by dropping the front of an endless
 * line (*ret_dropped > 0). */
static int make_room(struct ledger_scan *scan, size_t *ret_dropped) {
    *ret_dropped = 0;
    if (scan->start > 0) {
        memmove(scan->buffer, scan->buffer + scan->start, scan->end - scan->start);
        scan->end -= scan->start;
        scan->start = 0;
    }
    if (scan->end < scan->capacity)
        return 0;
    if (scan->capacity < MAX_CAPACITY) {
        char *buffer = realloc(scan->buffer, scan->capacity * 2);
        if (!buffer)
            return -ENOMEM;
        scan->buffer = buffer;
        scan->capacity *= 2;
        return 0;
    }
    *ret_dropped = scan->end - LEDGER_LINE_MAX_BYTES;
    scan->start = *ret_dropped;
    return 0;
}

static int fill(struct ledger_scan *scan) {
    ssize_t n = 0;
    do
        n = pread(scan->fd, scan->buffer + scan->end, scan->capacity - scan->end,
                  (off_t)(scan->offset + (scan->end - scan->start)));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    scan->at_end = n == 0;
    scan->end += (size_t)n;
    return 0;
}

int ledger_scan_next(struct ledger_scan *scan, struct ledger_scan_line *ret) {
    struct ledger_scan_line line = {.offset = scan->offset, .all_zero = true};
    size_t searched = 0;
    const char *newline = NULL;
    for (;;) {
        size_t unread = scan->end - scan->start;
        char *from = scan->buffer + scan->start;
        newline = memchr(from + searched, '\n', unread - searched);
        if (newline || scan->at_end)
            break;
        searched = unread;
        size_t dropped = 0;
        int r = make_room(scan, &dropped);
        if (r < 0)
            return r;
        if (dropped > 0) { /* the dropped bytes still stand at the front; now move over them */
            line.cut = true;
            line.all_zero = line.all_zero && is_zero(scan->buffer, dropped);
            scan->offset += dropped;
            searched -= dropped;
            continue;
        }
        r = fill(scan);
        if (r < 0)
            return r;
    }
    line.bytes = scan->buffer + scan->start;
    line.length = newline ? (size_t)(newline - line.bytes) : scan->end - scan->start;
    line.has_newline = newline;
    size_t taken = line.length + (newline ? 1 : 0);
    if (taken == 0 && !line.cut)
        return 0;
    line.all_zero = line.all_zero && is_zero(line.bytes, line.length) && line.length > 0;
    scan->start += taken;
    scan->offset += taken;
    line.end_offset = scan->offset;
    *ret = line;
    return 1;
}
