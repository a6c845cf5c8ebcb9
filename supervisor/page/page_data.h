/* The night's data as JSON (the object that supervisor/page's scripts call `night`). */
#ifndef SUPERVISOR_PAGE_PAGE_DATA_H
#define SUPERVISOR_PAGE_PAGE_DATA_H

#include "supervisor/page/page.h"
#include "supervisor/page/page_tasks.h"

struct page_data {
    FILE *stream;
    const struct page_request *request;
    const struct page_tasks *tasks;
    const char *where;    /* the output folder, absolute */
    const json_t *memory; /* summary.json's "memory"; NULL: none */
    uint64_t embed_bytes; /* of pictures in the page */
};

/* -ENOMEM, or the ledger's own errors. */
MUST_USE int page_data_put(const struct page_data *data, struct failure *failure);
/* What a task's details show: {"result","transform","memory","pictures","log"}, those that there
 * are. *ret_any: false when there is nothing, and nothing was written. opening stands before. */
MUST_USE int page_data_put_details(const struct page_data *data, size_t number);

#endif
