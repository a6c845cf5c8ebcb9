/* See ledger_commit.h. append stages; the idle handle, which runs once per turn of the loop and
 * keeps it from blocking meanwhile, writes what was staged; one fdatasync at a time runs in the
 * thread pool, and what is written during it waits for the next one. */
#include "supervisor/ledger/ledger_commit.h"

#include "common/tmpfs.h"
#include "common/units.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/statvfs.h>

enum { RETRY_MS = 1000, FIRST_CAPACITY = 16 };

struct waiting {
    uint64_t seq;
    ledger_commit_done_cb done;
    void *context;
};

struct ledger_commit {
    struct ledger_store *store; /* borrowed */
    ledger_commit_state_cb state;
    void *context;
    uv_idle_t flusher;
    uv_timer_t retry;
    uv_work_t sync;
    uint64_t sync_seq; /* what the sync that runs will have made safe */
    int sync_code;
    uv_sem_t sync_ended;     /* posted by the thread: it will not touch the store any more */
    uint64_t safe_seq;       /* what syncs so far have made safe */
    struct waiting *waiting; /* records whose done is still to be called, in order: a ring */
    size_t first, count, capacity;
    int open_handles;
    bool syncing, full, fatal, closing;
    bool is_held;
    ledger_commit_held_cb held; /* NULL: it was called */
    void *held_context;
    struct failure unrecorded; /* code 0: append could stage everything */
};

static void start_sync(struct ledger_commit *commit);

static void free_when_quiet(struct ledger_commit *commit) {
    if (!commit->closing || commit->open_handles > 0 || commit->syncing)
        return;
    uv_sem_destroy(&commit->sync_ended);
    free(commit->waiting);
    free(commit);
}

static void go_fatal(struct ledger_commit *commit, const struct failure *failure) {
    if (commit->fatal)
        return;
    commit->fatal = true;
    commit->count = 0;
    (void)uv_idle_stop(&commit->flusher); /* cannot fail */
    (void)uv_timer_stop(&commit->retry);
    if (commit->state && !commit->closing)
        commit->state(commit->context, false, true, failure->text);
}

static void describe_full(const struct ledger_commit *commit, char *text, size_t size) {
    char folder[4096], room[UNITS_TEXT_BYTES] = "no room";
    struct statvfs system;
    (void)snprintf(folder, sizeof(folder), "%s", ledger_store_path(commit->store));
    const char *name = dirname(folder);
    if (statvfs(name, &system) == 0)
        (void)units_format_size((uint64_t)system.f_bavail * system.f_frsize, room);
    const bool is_ram = tmpfs_holds(name);
    (void)snprintf(
        text, size,
        "%s that holds %s is full (%s left; a quota counts too): nothing new is "
        "started, what runs goes on and no result is lost; %s and the batch continues by "
        "itself",
        is_ram ? "the tmpfs (RAM and no disk)" : "the disk", name, room,
        is_ram ? TMPFS_REMEDY : "free some space there");
}

static void set_full(struct ledger_commit *commit, bool full) {
    if (commit->full == full)
        return;
    commit->full = full;
    char text[FAILURE_TEXT_BYTES] = "there is room on the disk again: the batch continues";
    if (full)
        describe_full(commit, text, sizeof(text));
    if (commit->state && !commit->closing)
        commit->state(commit->context, full, false, text);
}

static void on_retry(uv_timer_t *timer);

/* The last act, when nobody will be told any more. */
static void keep_what_can_be(struct ledger_commit *commit) {
    int r = ledger_store_flush(commit->store, NULL);
    if (r == 0)
        r = ledger_store_sync(commit->store, NULL);
    (void)r; /* there is nothing else to try */
}

/* Writes what is staged and keeps room for what will come. */
static void flush(struct ledger_commit *commit) {
    struct failure failure = {0};
    if (commit->fatal || commit->is_held)
        return;
    if (commit->unrecorded.code) {
        keep_what_can_be(commit);
        go_fatal(commit, &commit->unrecorded);
        return;
    }
    int r = ledger_store_flush(commit->store, &failure);
    if (r == 0)
        r = ledger_store_reserve(commit->store, &failure);
    if (r < 0 && !ledger_store_is_full(r)) {
        go_fatal(commit, &failure);
        return;
    }
    const bool full = r < 0;
    if (!full)
        (void)uv_timer_stop(&commit->retry); /* cannot fail */
    else if (!uv_is_active((const uv_handle_t *)&commit->retry))
        (void)uv_timer_start(&commit->retry, on_retry, RETRY_MS, RETRY_MS); /* fails when closing */
    start_sync(commit);
    set_full(commit, full);
}

static void on_idle(uv_idle_t *idle) {
    (void)uv_idle_stop(idle); /* cannot fail */
    flush(idle->data);
}

static void on_retry(uv_timer_t *timer) { flush(timer->data); }

/* In the thread pool: touches the descriptor and sync_code alone. */
static void run_sync(uv_work_t *work) {
    struct ledger_commit *commit = work->data;
    commit->sync_code = ledger_store_sync_raw(commit->store);
    uv_sem_post(&commit->sync_ended);
}

static void tell_done(struct ledger_commit *commit) {
    while (!commit->closing && commit->count > 0 &&
           commit->waiting[commit->first].seq <= commit->safe_seq) {
        struct waiting told = commit->waiting[commit->first];
        commit->first = (commit->first + 1) % commit->capacity;
        commit->count--;
        if (told.done)
            told.done(told.context, told.seq); /* may append, or close */
    }
}

static void tell_held(struct ledger_commit *commit) {
    const ledger_commit_held_cb held = commit->held;
    if (!held || commit->syncing || commit->fatal || commit->closing)
        return;
    commit->held = NULL;
    held(commit->held_context);
}

static void on_synced(uv_work_t *work, int status) {
    struct ledger_commit *commit = work->data;
    struct failure failure = {0};
    int r = status < 0 ? status : commit->sync_code;
    if (!commit->closing) {
        r = ledger_store_synced(commit->store, commit->sync_seq, r, &failure);
        if (r == 0)
            commit->safe_seq = commit->sync_seq;
        else
            go_fatal(commit, &failure);
    }
    commit->syncing = false;
    if (!commit->closing) {
        start_sync(
            commit); /* before the callbacks: they and the disk need not wait for each other */
        tell_done(commit); /* a close in here frees later, when the handles are closed */
        tell_held(commit);
    }
    free_when_quiet(commit);
}

static void start_sync(struct ledger_commit *commit) {
    uint64_t written = ledger_store_written(commit->store);
    if (commit->syncing || commit->fatal || written <= commit->safe_seq)
        return;
    commit->sync_seq = written;
    commit->sync.data = commit;
    int r = uv_queue_work(commit->flusher.loop, &commit->sync, run_sync, on_synced);
    if (r == 0) {
        commit->syncing = true;
        return;
    }
    struct failure failure;
    (void)failure_set(&failure, r, "cannot sync the ledger: %s", uv_strerror(r));
    go_fatal(commit, &failure);
}

static int push_waiting(struct ledger_commit *commit, struct waiting item) {
    if (commit->count == commit->capacity) {
        size_t capacity = commit->capacity ? commit->capacity * 2 : FIRST_CAPACITY;
        struct waiting *grown = calloc(capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        for (size_t i = 0; i < commit->count; i++)
            grown[i] = commit->waiting[(commit->first + i) % commit->capacity];
        free(commit->waiting);
        commit->waiting = grown;
        commit->capacity = capacity;
        commit->first = 0;
    }
    commit->waiting[(commit->first + commit->count++) % commit->capacity] = item;
    return 0;
}

void ledger_commit_append(struct ledger_commit *commit, const char *event, json_t *fields,
                          ledger_commit_done_cb done, void *context, uint64_t *ret_seq) {
    CLEANUP_JSON json_t *owned = fields;
    if (ret_seq)
        *ret_seq = 0;
    if (commit->fatal || commit->unrecorded.code || commit->closing)
        return;
    uint64_t seq = 0;
    int r = fields ? 0
                   : failure_set(&commit->unrecorded, -EINVAL,
                                 "a record (%s) could not be made: its text is not UTF-8, or there "
                                 "is no memory",
                                 event);
    if (r == 0)
        r = ledger_store_stage(commit->store, event, owned, &seq, &commit->unrecorded);
    if (r == 0 && push_waiting(commit, (struct waiting){seq, done, context}) < 0)
        (void)failure_set_errno(&commit->unrecorded, -ENOMEM, "cannot go on with the ledger");
    if (ret_seq)
        *ret_seq = seq;
    (void)uv_idle_start(&commit->flusher, on_idle); /* cannot fail */
}

bool ledger_commit_idle(const struct ledger_commit *commit) {
    return commit->fatal ||
           (!commit->syncing && !ledger_store_has_staged(commit->store) && commit->count == 0);
}

void ledger_commit_hold(struct ledger_commit *commit, ledger_commit_held_cb held, void *context) {
    commit->is_held = true;
    commit->held = held;
    commit->held_context = context;
    start_sync(commit);
    tell_held(commit);
}

void ledger_commit_release(struct ledger_commit *commit, int64_t shift) {
    commit->is_held = false;
    commit->held = NULL;
    for (size_t i = 0; i < commit->count; i++)
        commit->waiting[(commit->first + i) % commit->capacity].seq += (uint64_t)shift;
    commit->safe_seq = commit->sync_seq = ledger_store_safe(commit->store);
    if (!commit->fatal && !commit->closing)
        (void)uv_idle_start(&commit->flusher, on_idle); /* cannot fail */
}

int ledger_commit_open(uv_loop_t *loop, struct ledger_store *store, ledger_commit_state_cb state,
                       void *context, struct ledger_commit **ret, struct failure *failure) {
    struct ledger_commit *commit = calloc(1, sizeof(*commit));
    if (!commit)
        return failure_set_errno(failure, -ENOMEM, "cannot open the ledger");
    if (uv_sem_init(&commit->sync_ended, 0) < 0) {
        free(commit);
        return failure_set_errno(failure, -ENOMEM, "cannot open the ledger");
    }
    commit->store = store;
    commit->state = state;
    commit->context = context;
    commit->safe_seq = ledger_store_safe(store);
    (void)uv_idle_init(loop, &commit->flusher); /* neither can fail */
    (void)uv_timer_init(loop, &commit->retry);
    commit->flusher.data = commit->retry.data = commit;
    commit->open_handles = 2;
    (void)uv_idle_start(&commit->flusher, on_idle); /* keeps room ahead, or tells that there is
                                                       none; syncs what was appended directly */
    *ret = commit;
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct ledger_commit *commit = handle->data;
    commit->open_handles--;
    free_when_quiet(commit);
}

void ledger_commit_close(struct ledger_commit *commit) {
    if (!commit || commit->closing)
        return;
    commit->closing = true;
    /* The store is the caller's again when this returns. */
    if (commit->syncing && uv_cancel((uv_req_t *)&commit->sync) < 0)
        uv_sem_wait(&commit->sync_ended);
    if (!commit->fatal)
        keep_what_can_be(commit);
    uv_close((uv_handle_t *)&commit->flusher, on_closed);
    uv_close((uv_handle_t *)&commit->retry, on_closed);
}
