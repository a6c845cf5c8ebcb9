/* See ledger_compacting.h. Two pieces of work, one after the other: copy, then finish, for which
 * the commit is held. A thread touches the compaction, code and failure alone. */
#include "supervisor/ledger/ledger_compacting.h"

#include "common/cleanup.h"

#include <errno.h>

struct ledger_compacting {
    struct ledger_store *store;     /* borrowed */
    struct ledger_commit *commit;   /* borrowed */
    struct ledger_compact *compact; /* owned */
    double least_gain;
    ledger_compacting_done_cb done; /* NULL: it was called */
    void *context;
    uv_loop_t *loop;
    uv_work_t work;
    uv_sem_t ended; /* posted by the thread: it touches nothing any more */
    bool is_working, is_holding, is_finishing;
    int code;
    struct failure failure;
};

static void free_compacting(struct ledger_compacting *compacting) {
    uv_sem_destroy(&compacting->ended);
    free(compacting);
}

struct closing {
    uv_work_t work;
    int fd;
};

static void close_file(uv_work_t *work) {
    struct closing *closing = work->data;
    cleanup_close(&closing->fd);
    closing->fd = -1;
}

static void on_closed(uv_work_t *work, int status) {
    struct closing *closing = work->data;
    (void)status;
    cleanup_close(&closing->fd); /* where it was cancelled */
    free(closing);
}

/* In a thread: the old ledger frees its space as it is closed. */
static void close_later(uv_loop_t *loop, int fd) {
    struct closing *closing = calloc(1, sizeof(*closing));
    if (closing)
        *closing = (struct closing){.work.data = closing, .fd = fd};
    if (closing && uv_queue_work(loop, &closing->work, close_file, on_closed) == 0)
        return;
    free(closing);
    cleanup_close(&fd);
}

/* The end, whatever it is. */
static void conclude(struct ledger_compacting *compacting) {
    const ledger_compacting_done_cb done = compacting->done;
    int r = compacting->code, old_fd = -1;
    int64_t shift = 0;
    if (r == 0 && compacting->is_finishing) {
        r = ledger_store_adopt(compacting->store, compacting->compact, &shift, &old_fd,
                               &compacting->failure);
        close_later(compacting->loop, old_fd);
    }
    if (compacting->is_holding)
        ledger_commit_release(compacting->commit, shift);
    compacting->done = NULL;
    done(compacting->context, r, compacting->compact, &compacting->failure);
    ledger_compact_close(STEAL_PTR(compacting->compact));
}

static void work(uv_work_t *work) {
    struct ledger_compacting *compacting = work->data;
    compacting->code = compacting->is_finishing
                           ? ledger_compact_finish(compacting->compact, &compacting->failure)
                           : ledger_compact_copy(compacting->compact, compacting->least_gain,
                                                 &compacting->failure);
    uv_sem_post(&compacting->ended);
}

static void on_worked(uv_work_t *work, int status);

static int start(struct ledger_compacting *compacting) {
    compacting->work.data = compacting;
    const int r = uv_queue_work(compacting->loop, &compacting->work, work, on_worked);
    if (r < 0)
        return failure_set(&compacting->failure, r, "cannot start a thread: %s", uv_strerror(r));
    compacting->is_working = true;
    return 0;
}

/* A ledger_commit_held_cb. */
static void on_held(void *context) {
    struct ledger_compacting *compacting = context;
    compacting->is_finishing = true;
    compacting->code = start(compacting);
    if (compacting->code == 0)
        return;
    conclude(compacting);
    free_compacting(compacting);
}

static void on_worked(uv_work_t *work, int status) {
    struct ledger_compacting *compacting = work->data;
    (void)status; /* what was cancelled is closed */
    compacting->is_working = false;
    if (!compacting->done) {
        free_compacting(compacting);
        return;
    }
    uv_sem_wait(&compacting->ended); /* at once */
    if (compacting->code == 0 && !compacting->is_finishing &&
        ledger_compact_is_worth_it(compacting->compact)) {
        compacting->is_holding = true;
        ledger_commit_hold(compacting->commit, on_held, compacting);
        return;
    }
    conclude(compacting);
    free_compacting(compacting);
}

int ledger_compacting_begin(uv_loop_t *loop, struct ledger_store *store,
                            struct ledger_commit *commit, double least_gain,
                            ledger_compacting_done_cb done, void *context,
                            struct ledger_compacting **ret, struct failure *failure) {
    struct ledger_compacting *compacting = calloc(1, sizeof(*compacting));
    if (!compacting || uv_sem_init(&compacting->ended, 0) < 0) {
        free(compacting);
        return failure_set(failure, -ENOMEM, "no memory left to compact the ledger");
    }
    compacting->loop = loop;
    compacting->store = store;
    compacting->commit = commit;
    compacting->least_gain = least_gain;
    compacting->done = done;
    compacting->context = context;
    int r = ledger_store_compact(store, &compacting->compact, &compacting->failure);
    if (r == 0)
        r = start(compacting);
    if (r == 0) {
        *ret = compacting;
        return 0;
    }
    (void)failure_set(failure, r, "%s", compacting->failure.text);
    ledger_compact_close(compacting->compact);
    free_compacting(compacting);
    return r;
}

void ledger_compacting_close(struct ledger_compacting *compacting) {
    if (!compacting || !compacting->done)
        return;
    ledger_compact_cancel(compacting->compact);
    if (compacting->is_working && uv_cancel((uv_req_t *)&compacting->work) < 0)
        uv_sem_wait(&compacting->ended);
    else
        compacting->code = failure_set(&compacting->failure, -ECANCELED, "it is being closed");
    conclude(compacting);
    if (!compacting->is_working)
        free_compacting(compacting); /* else on_worked does */
}
