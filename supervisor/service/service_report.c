/* See service_report.h. The ledger is the service's and stays open with the service's rights, as a
 * descriptor that no child inherits; all files of the batch are touched as its user, so what he put
 * there leads nowhere that he may not go. */
#include "supervisor/service/service_report.h"

#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/page/page_read.h"
#include "supervisor/service/as_user.h"

#include <errno.h>
#include <string.h>

struct service_report {
    uv_work_t work;
    char *out, *batch, *ledger;            /* owned */
    const struct credentials *credentials; /* a reference; NULL: ourselves */
    int fd;                                /* of the ledger; owned */
    struct failure failure;
    service_report_done_cb done; /* NULL: dropped */
    void *context;
};

static void free_report(struct service_report *report) {
    if (report->fd >= 0)
        (void)close(report->fd); /* was only read */
    credentials_unref(report->credentials);
    free(report->out);
    free(report->batch);
    free(report->ledger);
    free(report);
}

/* In the thread. */
static void write_page(uv_work_t *work) {
    struct service_report *report = work->data;
    struct page_read_batch source = {
        .fd = report->fd, .path = report->ledger, .batch = report->batch};
    const struct page_request request = {
        .out = report->out,
        .batch = report->batch,
        .read = page_read_service,
        .context = &source,
        .embed_bytes = PAGE_EMBED_BYTES,
    };
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    if (as_user_enter(report->credentials, &as_user, &report->failure) == 0)
        (void)!page_write(&request, NULL, &report->failure); /* done is told */
}

static void on_written(uv_work_t *work, int status) {
    struct service_report *report = work->data;
    (void)status; /* nobody cancels it */
    if (report->done)
        report->done(report->context, &report->failure);
    free_report(report);
}

struct service_report *service_report_begin(uv_loop_t *loop, const struct queue_batch *batch,
                                            const char *ledger,
                                            const struct credentials *credentials,
                                            service_report_done_cb done, void *context,
                                            struct failure *failure) {
    if (batch->n_tasks > SERVICE_REPORT_MOST_TASKS) {
        (void)failure_set(failure, -EFBIG, "it has more than %d tasks; registrar report makes one",
                          (int)SERVICE_REPORT_MOST_TASKS);
        return NULL;
    }
    struct service_report *report = calloc(1, sizeof(*report));
    if (report) {
        *report = (struct service_report){.out = strdup(batch->out),
                                          .batch = strdup(batch->name),
                                          .ledger = strdup(ledger),
                                          .credentials = credentials_ref(credentials),
                                          .fd = -1,
                                          .done = done,
                                          .context = context};
        report->work.data = report;
    }
    int r = report && report->out && report->batch && report->ledger
                ? ledger_lock_open_to_read(ledger, &report->fd, failure)
                : failure_set_errno(failure, -ENOMEM, "cannot write the report");
    if (r == 0)
        r = uv_queue_work(loop, &report->work, write_page, on_written);
    if (r == 0)
        return report;
    if (report)
        free_report(report);
    return NULL;
}

void service_report_drop(struct service_report *report) {
    if (report)
        report->done = NULL;
}
