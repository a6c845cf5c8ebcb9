/* Writing to a descriptor that somebody may have stopped reading (Ctrl-S, a pager, a stuck pipe)
 * without ever waiting for them: what does not go out at once is kept, and past a limit dropped by
 * whole messages and counted. A reader that has gone for good is noticed and left alone; SIGPIPE
 * must be ignored by the process.
 */
#ifndef SUPERVISOR_REPORT_SINK_H
#define SUPERVISOR_REPORT_SINK_H

#include <stdbool.h>
#include <stddef.h>

struct sink {
    int fd;
    bool owned;    /* fd is our own non-blocking description of the same file */
    bool blocking; /* writes could wait: ask poll first, and in small pieces */
    bool gone;     /* nobody will ever read this */
    char *pending; /* owns */
    size_t n_pending, capacity;
    size_t dropped; /* messages */
};

/* fd stays the caller's. Never fails: at worst writes are asked for one by one. */
void sink_open(struct sink *sink, int fd);
/* Sends the bytes after those pending; all or none of them are accepted. */
void sink_put(struct sink *sink, const char *bytes, size_t length);
/* Sends what is pending as far as possible now. True when nothing is left. */
bool sink_flush(struct sink *sink);
/* Sends what is pending, waiting at most wait_ms for the reader, and frees everything. */
void sink_close(struct sink *sink, int wait_ms);

#endif
