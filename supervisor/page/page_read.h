/* Where the page's records come from: both are read with page_read_cb. */
#ifndef SUPERVISOR_PAGE_PAGE_READ_H
#define SUPERVISOR_PAGE_PAGE_READ_H

#include "supervisor/page/page.h"

/* A run's own ledger; context is its path. */
int page_read_run(void *context, ledger_store_replay_cb replay, void *replay_context,
                  struct failure *failure);

/* One batch of a service's ledger, which holds those of others too. All borrowed. */
struct page_read_batch {
    int fd; /* open for reading: with the service's rights, while the page has the user's */
    const char *path, *batch;
};
/* context is a struct page_read_batch. */
int page_read_service(void *context, ledger_store_replay_cb replay, void *replay_context,
                      struct failure *failure);

#endif
