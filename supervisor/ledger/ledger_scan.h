/* A file cut into lines, streamed: memory stays below 3 MiB however long the file or a line is. */
#ifndef SUPERVISOR_LEDGER_LEDGER_SCAN_H
#define SUPERVISOR_LEDGER_LEDGER_SCAN_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger_scan {
    int fd; /* borrowed */
    char *buffer;
    size_t capacity, start, end; /* unread bytes stand in buffer[start, end) */
    uint64_t offset;             /* of buffer[start] in the file */
    bool at_end;
};

struct ledger_scan_line {
    const char *bytes; /* without the newline; borrowed until the next call */
    size_t length;
    uint64_t offset;     /* of the line's first byte */
    uint64_t end_offset; /* past the newline, or the file's end */
    bool has_newline;
    bool cut;      /* longer than a line may be: bytes are only its last ones */
    bool all_zero; /* NUL bytes throughout, the cut part included; false when empty */
};

MUST_USE int ledger_scan_open(int fd, struct ledger_scan *ret);
/* 1: a line; 0: the end of the file; negative errno: it cannot be read. */
MUST_USE int ledger_scan_next(struct ledger_scan *scan, struct ledger_scan_line *ret);
void ledger_scan_close(struct ledger_scan *scan);

#endif
