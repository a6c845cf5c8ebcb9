/* What a ledger tells of a batch, gathered for the page: the last word on each task, and the runs.
 *
 * Each task takes a few hundred bytes; the attempts are not kept but read a second time when the
 * page is written.
 */
#ifndef SUPERVISOR_PAGE_PAGE_TASKS_H
#define SUPERVISOR_PAGE_PAGE_TASKS_H

#include "supervisor/ledger/ledger_store.h"
#include "supervisor/report/task_result.h"

struct page_task {
    char *id, *reason;         /* owned */
    struct task_result result; /* borrows them */
    char cause[16];            /* of a failure: "input", "environment", ... */
    bool is_running, is_pair;
    uint64_t predicted_bytes, reserved_bytes;
    json_t *evidence; /* owned; of problems */
    /* for page_picture */
    uint64_t core_bytes, all_bytes; /* of its pictures */
    unsigned n_pictures, embedded;  /* how many, and enum page_picture_choice */
};

struct page_tasks {
    const char *batch;       /* of a service's ledger; NULL: all. Borrowed */
    struct page_task *items; /* owned, as all below */
    size_t count, room;
    json_t *index; /* number by id */
    json_t *runs;  /* the records of their starts, each with "end" when it has one */
    size_t n_runs; /* that began so far; more than are kept */
    size_t n_attempts;
    int jobs;      /* of the service, as it stood last */
    json_t *notes; /* [time, text] */
};

enum { PAGE_TASKS_RUNS = 100, PAGE_TASKS_NOTES = 100 /* are kept, the last ones */ };

MUST_USE int page_tasks_open(const char *batch, struct page_tasks *ret);
void page_tasks_free(struct page_tasks *tasks);

/* A ledger_store_replay_cb; context is the struct page_tasks. */
int page_tasks_record(void *context, const json_t *record, struct failure *failure);
/* Whether the record begins a run of this batch. */
bool page_tasks_begins_run(const struct page_tasks *tasks, const json_t *record);
/* Whether it is an attempt's of this batch; *ret is its task's number. */
bool page_tasks_find(const struct page_tasks *tasks, const json_t *record, size_t *ret);

/* A task of summary.json: of one that waits the ledger does not know. */
MUST_USE int page_tasks_add_listed(struct page_tasks *tasks, const json_t *listed);

#endif
