/* What a person sees on stderr while a batch runs.
 *
 * On a terminal: one line per running task (stage, percent, memory, elapsed) and one for the whole
 * (done, failed, left, ETA), redrawn in place a few times a second, cut to the width, right after a
 * resize too, and gone from the scrollback at the end. Elsewhere: one line per event. With quiet,
 * nothing. Pulls a snapshot through a callback; knows nothing of the engine.
 */
#ifndef SUPERVISOR_REPORT_LIVE_VIEW_H
#define SUPERVISOR_REPORT_LIVE_VIEW_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct live_view_task {
    const char *id;
    const char *stage;     /* "" before the first report */
    double fraction;       /* 0 to 1; negative: unknown */
    uint64_t memory_bytes; /* resident now; 0: unknown */
    uint64_t reserved_bytes;
    int64_t elapsed_ms;
    int attempt;
};

struct live_view_snapshot {
    const struct live_view_task *running; /* borrowed until the next snapshot */
    size_t n_running;
    size_t total, ok, problems, left; /* left: neither finished nor running */
    int64_t elapsed_ms;
    int64_t eta_ms;                        /* negative: unknown */
    uint64_t reserved_bytes, budget_bytes; /* budget 0: nothing to say */
    const char *notice;                    /* "the disk is full: ..."; NULL: nothing */
};

typedef void (*live_view_snapshot_cb)(void *context, struct live_view_snapshot *ret);

struct live_view;

/* fd is usually STDERR_FILENO. context is borrowed. Never fails for lack of a terminal. */
MUST_USE int live_view_open(uv_loop_t *loop, int fd, bool quiet, live_view_snapshot_cb snapshot,
                            void *context, struct live_view **ret, struct failure *failure);
/* One event line, above the live lines on a terminal: "ok        CD070/DAPI  12.1 s  401 MiB". */
__attribute__((format(printf, 2, 3))) void live_view_event(struct live_view *view,
                                                           const char *format, ...);
/* Erases the live lines and closes the uv handles; frees itself once libuv lets go. NULL is fine.
 */
void live_view_close(struct live_view *view);

#endif
