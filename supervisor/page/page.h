/* The report: one HTML file that shows a night to people, without any other file or request.
 *
 * It holds the page itself (page.html, page.css and the scripts beside them), the night's data as
 * JSON, and for each task a block of its own, which the browser reads only when the task is looked
 * at. Everything is streamed: the ledger is read twice, each task's files one after the other, and
 * what is held grows with the number of tasks by a few hundred bytes each. So the file is written
 * by whoever has run the batch; a process of its own would save nothing.
 *
 * All that comes from files is escaped (page_out.h); a Content-Security-Policy forbids every
 * request and every script but the page's own.
 */
#ifndef SUPERVISOR_PAGE_PAGE_H
#define SUPERVISOR_PAGE_PAGE_H

#include "supervisor/ledger/ledger_store.h"

#define PAGE_NAME "report.html"

enum { PAGE_EMBED_BYTES = 64 << 20 };

/* Reads a ledger's records from the first to the last; asked twice. */
typedef int (*page_read_cb)(void *context, ledger_store_replay_cb replay, void *replay_context,
                            struct failure *failure);

/* All borrowed. */
struct page_request {
    const char *out;   /* the batch's output folder */
    const char *batch; /* its name in a service's ledger; NULL: OUT has its own */
    page_read_cb read; /* NULL: there is no ledger, only summary.json */
    void *context;
    uint64_t embed_bytes; /* of pictures at most */
};

struct page_result {
    uint64_t bytes; /* of the page */
    size_t n_tasks;
    size_t n_pictures;    /* of all tasks */
    uint64_t embed_bytes; /* of pictures in the page */
    size_t n_beside;      /* tasks whose pictures are not all in the page */
};

/* Writes OUT/report.html, whole or not at all. The ledger's errors are passed on. ret may be NULL.
 */
MUST_USE int page_write(const struct page_request *request, struct page_result *ret,
                        struct failure *failure);

#endif
