/* See ledger_marks.h. */
#include "supervisor/ledger/ledger_marks.h"

#include "supervisor/ledger/ledger_line.h"
#include "supervisor/ledger/ledger_scan.h"

#include <errno.h>

int ledger_marks_set(struct ledger_marks *marks, uint64_t seq, uint64_t offset) {
    const size_t place = (size_t)((seq - 1) / LEDGER_MARKS_EVERY);
    if ((seq - 1) % LEDGER_MARKS_EVERY != 0)
        return 0;
    if (place > marks->count)
        return -EINVAL;
    if (place == marks->capacity) {
        const size_t capacity = marks->capacity ? 2 * marks->capacity : 64;
        uint64_t *grown = reallocarray(marks->offsets, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        marks->offsets = grown;
        marks->capacity = capacity;
    }
    marks->offsets[place] = offset;
    if (place == marks->count)
        marks->count++;
    return 0;
}

static int decode(const struct ledger_scan_line *line, uint64_t seq, const char *path, json_t **ret,
                  struct failure *failure) {
    struct ledger_line found = {0};
    char why[LEDGER_LINE_WHY_BYTES] = "another record";
    int r = ledger_line_decode(line->bytes, line->length, &found, why);
    CLEANUP_JSON json_t *record = found.record;
    if (r == 0 && found.seq != seq)
        r = -EBADMSG;
    if (r < 0)
        return failure_set(failure, r, "%s: record %llu cannot be read back: found %s", path,
                           (unsigned long long)seq, why);
    *ret = STEAL_PTR(record);
    return 0;
}

static void close_scan(struct ledger_scan *scan) { ledger_scan_close(scan); }

int ledger_marks_read(const struct ledger_marks *marks, int fd, const char *path, uint64_t seq,
                      json_t **ret, struct failure *failure) {
    const size_t place = (size_t)((seq - 1) / LEDGER_MARKS_EVERY);
    if (seq == 0 || place >= marks->count)
        return failure_set(failure, -ENOENT, "%s has no record %llu", path,
                           (unsigned long long)seq);
    CLEANUP(close_scan) struct ledger_scan scan = {.fd = -1};
    int r = ledger_scan_open(fd, &scan);
    scan.offset = marks->offsets[place];
    struct ledger_scan_line line = {0};
    for (uint64_t left = (seq - 1) % LEDGER_MARKS_EVERY + 1; r >= 0 && left > 0; left--) {
        r = ledger_scan_next(&scan, &line);
        if (r == 0)
            r = -ENOENT;
    }
    if (r < 0)
        return failure_set_errno(failure, r, "%s: cannot read record %llu", path,
                                 (unsigned long long)seq);
    return decode(&line, seq, path, ret, failure);
}

void ledger_marks_free(struct ledger_marks *marks) {
    free(marks->offsets);
    *marks = (struct ledger_marks){0};
}
