/* What a child says on fd 3, as a stream of checked reports (common/protocol.h).
 *
 * Bytes go in as they come, reports come out by callback. Memory is bounded by PROTOCOL_LINE_BYTES
 * whatever the child sends. The first breach of the protocol ends the stream: the rest is thrown
 * away unread, and one sentence tells what was sent.
 */
#ifndef SUPERVISOR_PROCESS_REPORT_STREAM_H
#define SUPERVISOR_PROCESS_REPORT_STREAM_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

enum report_kind {
    REPORT_PROGRESS,
    REPORT_WAITING,
    REPORT_STAGE_END,
    REPORT_MEMORY,
    REPORT_RESULT,
    REPORT_ERROR,
    REPORT_BLOCKED,
    REPORT_COUNT
};

/* One line. Strings are borrowed from record; those that a kind does not have are "". */
struct report {
    enum report_kind kind;
    const char *stage;     /* progress, waiting, stage_end, memory */
    double fraction;       /* progress: 0 to 1 */
    uint64_t memory_bytes; /* progress: 0 when not told */
    uint64_t peak_bytes;   /* memory: not 0 */
    json_t *buffers;       /* memory: an array of {label, bytes}; borrowed, incref to keep */
    const char *status;    /* result: "aligned", "doubtful", "failed" */
    const char *cause;     /* error: "input", "environment" */
    const char *reason;    /* result, error */
    const char *call;      /* blocked: the system call's name */
    int number;            /* blocked: the system call's */
    json_t *record;        /* the whole line; borrowed, incref to keep */
};

typedef void (*report_stream_cb)(void *context, const struct report *report);

struct report_stream;

/* Borrows context. NULL when out of memory. */
struct report_stream *report_stream_open(report_stream_cb report, void *context);
/* Takes in the bytes. -EPROTO from the first breach on. */
int report_stream_feed(struct report_stream *stream, const char *bytes, size_t length);
/* No more bytes will come. Half a line is a breach. */
int report_stream_end(struct report_stream *stream);
/* The breach as a sentence's end ("sent half a line: '{\"ev'"); NULL: none. Borrowed. */
const char *report_stream_breach(const struct report_stream *stream);
void report_stream_close(struct report_stream *stream); /* NULL is fine */

#endif
