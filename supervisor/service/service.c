/* See service.h. Opening in the order that loses nothing: queue and model learn what the ledger
 * says, what ran when a daemon died is ended as lost, and only then is anything new written. */
#include "supervisor/service/service.h"

#include "common/kernel_support.h"
#include "common/units.h"
#include "supervisor/engine/leftovers.h"
#include "supervisor/ledger/ledger_compact.h"
#include "supervisor/memory/probe.h"
#include "supervisor/service/service_state.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/statvfs.h>

enum { SERVICE_KINDS_OF_USER = 512 /* in the model */ };

/* ---- the ledger ---- */

static void note_group(struct service *service, const json_t *record) {
    const char *event = json_string_value(json_object_get(record, "event"));
    const char *folder =
        json_string_value(json_object_get(json_object_get(record, "cgroup"), "folder"));
    if (!event || strcmp(event, "batch") != 0 || !json_object_get(record, "id"))
        return; /* only runs of the daemon have an id */
    free(service->group);
    service->group = folder ? strdup(folder) : NULL;
}

static int replay(void *context, const json_t *record, struct failure *failure) {
    struct service *service = context;
    service->last_record_ms = leftovers_record_ms(record);
    note_group(service, record);
    const int r = model_replay(service->model, record, failure);
    return r < 0 ? r : queue_replay(service->queue, record, failure);
}

static void tell_recovery(const struct service *service, const struct ledger_recovery *recovery,
                          int ended) {
    const struct journal *journal = service->settings.journal;
    if (recovery->warning[0])
        journal_say(journal, LOG_WARNING, "%s", recovery->warning);
    if (recovery->set_aside_bytes > 0)
        journal_say(journal, LOG_WARNING,
                    "the ledger's end was torn; its last %llu bytes are set aside in %s and no "
                    "finished result is lost",
                    (unsigned long long)recovery->set_aside_bytes, recovery->set_aside_path);
    if (ended > 0)
        journal_say(journal, LOG_NOTICE, "ended %d process(es) that an earlier daemon left behind",
                    ended);
}

static void on_ledger_state(void *context, bool full, bool fatal, const char *text) {
    struct service *service = context;
    service->disk_full = full;
    if (fatal)
        (void)failure_set(&service->end, -EIO, "%s", text);
    engine_ledger_state(service->engine, full, fatal, text);
}

/* A queue_compacted_cb. */
static void on_compacted(void *context, int r, const struct ledger_compact_result *done,
                         const struct failure *failure) {
    struct service *service = context;
    char before[UNITS_TEXT_BYTES], after[UNITS_TEXT_BYTES];
    service->compacted_bytes = ledger_store_size(service->store);
    if (r < 0 && r != -ECANCELED)
        journal_say(service->settings.journal, LOG_WARNING, "the ledger is not compacted: %s",
                    failure->text);
    else if (done->is_done)
        journal_say(service->settings.journal, LOG_INFO,
                    "the ledger is compacted: %llu records in place of %llu, %s in place of %s",
                    (unsigned long long)done->records_after,
                    (unsigned long long)done->records_before,
                    units_format_size(done->bytes_after, after),
                    units_format_size(done->bytes_before, before));
}

/* What keeps it from being compacted keeps nobody from the work. Where little was to be gained, not
 * before it has grown by a quarter. */
void service_compact(struct service *service) {
    struct failure failure = {0};
    const uint64_t size = ledger_store_size(service->store);
    if (service->is_ending || service->is_closed || queue_is_compacting(service->queue) ||
        size <= service->settings.conf->ledger_bytes ||
        size <= service->compacted_bytes + service->compacted_bytes / 4)
        return;
    const struct ledger_compact_result none = {.is_done = false};
    const int r = queue_compact(service->queue, service->settings.loop, LEDGER_COMPACT_WORTH_IT,
                                on_compacted, service, &failure);
    if (r < 0)
        on_compacted(service, r, &none, &failure);
}

static int open_ledger(struct service *service, struct failure *failure) {
    const char *folder = service->settings.state_dir;
    CLEANUP_FREE char *path = NULL;
    struct ledger_recovery recovery = {0};
    size_t n_set_aside = 0;
    int ended = 0;
    if (asprintf(&path, "%s/ledger.jsonl", folder) < 0) {
        path = NULL;
        return failure_set_errno(failure, -ENOMEM, "cannot open the ledger");
    }
    int r = ledger_store_open(path, replay, service, &service->store, &recovery, failure);
    if (r == 0)
        r = leftovers_settle(service->store, queue_open_attempts(service->queue), service->group,
                             service->last_record_ms, &ended, failure);
    if (r == 0)
        r = ledger_commit_open(service->settings.loop, service->store, on_ledger_state, service,
                               &service->commit, failure);
    if (r == 0)
        r = queue_attach(service->queue, service->store, service->commit, &n_set_aside, failure);
    if (r < 0)
        return r;
    tell_recovery(service, &recovery, ended);
    if (n_set_aside > 0)
        journal_say(service->settings.journal, LOG_NOTICE,
                    "set aside %zu batch file(s) in %s/batches that nobody was told of",
                    n_set_aside, folder);
    (void)malloc_trim(0); /* of what was read, much more stood in memory */
    return 0;
}

/* ---- the end ---- */

static void on_stopped(void *context, uint64_t seq) {
    struct service *service = context;
    (void)seq;
    service->settings.stopped(service->settings.context, &service->end);
}

static void on_quiet(void *context, size_t n_recording) {
    struct service *service = context;
    const struct failure *fault = engine_fault(service->engine);
    if (fault->code < 0 && service->end.code == 0)
        service->end = *fault;
    const bool is_broken = service->end.code < 0;
    if (service->is_ending || service->is_closed || (!is_broken && service->level == 0) ||
        (!is_broken && n_recording > 0))
        return;
    if (!is_broken && !hooks_idle(service->hooks)) {
        hooks_stop(service->hooks);
        return;
    }
    service->is_ending = true;
    if (is_broken || service->disk_full) /* the last record is not worth the wait */
        on_stopped(service, 0);
    else
        engine_record_end(service->engine, on_stopped, service);
}

void service_quiet(struct service *service) { engine_go_on(service->engine); }

void service_stop(struct service *service, int level, const char *who) {
    service->level = level;
    engine_stop(service->engine, level, who);
    engine_go_on(service->engine);
}

void service_close(struct service *service) {
    if (service->is_closed)
        return;
    service->is_closed = true;
    hooks_close(STEAL_PTR(service->hooks));
    if (service->engine)
        engine_close(service->engine);
    if (service->queue)
        queue_stop_compacting(service->queue);
    ledger_commit_close(STEAL_PTR(service->commit));
    service_end_close(service);
    service_window_close(service);
    uv_close((uv_handle_t *)&service->timer, NULL);
    uv_close((uv_handle_t *)&service->idle, NULL);
    uv_close((uv_handle_t *)&service->ends_timer, NULL);
}

void service_free(struct service *service) {
    if (!service)
        return;
    engine_free(service->engine);
    queue_close(service->queue);
    ledger_store_close(service->store);
    model_close(service->model);
    credentials_forget(&service->users);
    free(service->worker);
    free(service->group);
    free(service);
}

/* ---- the beginning ---- */

static int open_engine(struct service *service, struct failure *failure) {
    const struct engine_settings settings = {
        .loop = service->settings.loop,
        .store = service->store,
        .commit = service->commit,
        .model = service->model,
        .worker = service->worker,
        .limits = service->limits,
        .sample_interval_ms = service->settings.conf->sample_interval_ms,
        .is_unconfined = !service->settings.conf->sandbox,
    };
    const char *missing = settings.is_unconfined ? NULL : kernel_support_missing();
    const struct engine_handlers handlers = {
        .context = service,
        .result = service_task_result,
        .started = service_task_started,
        .over = service_task_over,
        .refill = service_window_refill,
        .quiet = on_quiet,
        .event = service_tell_text,
    };
    if (missing)
        journal_say(service->settings.journal, LOG_WARNING, "%s", missing);
    return engine_open(&settings, &handlers, &service->engine, failure);
}

/* Of a small disk only a part. */
static uint64_t disk_reserve(const struct service *service) {
    enum { MOST_SHARE = 20 };
    const uint64_t wanted = service->settings.conf->disk_reserve_bytes;
    struct statvfs disk;
    if (statvfs(service->settings.state_dir, &disk) < 0 || disk.f_blocks == 0)
        return wanted;
    const uint64_t most = (uint64_t)disk.f_blocks * disk.f_frsize / MOST_SHARE;
    return wanted < most ? wanted : most;
}

static int read_settings(struct service *service, struct failure *failure) {
    const struct conf *conf = service->settings.conf;
    struct window_list quiet = {.count = 0};
    const int r = conf->quiet_hours ? window_parse(conf->quiet_hours, &quiet, failure) : 0;
    if (r < 0)
        return r;
    service->quiet = quiet;
    queue_set_quiet_hours(service->queue, quiet.count > 0 ? &service->quiet : NULL);
    queue_set_half_life(service->queue, conf->half_life_ms);
    queue_set_reserve(service->queue, disk_reserve(service));
    return 0;
}

static int open_parts(struct service *service, struct failure *failure) {
    int r = probe_find_worker(&service->worker, failure);
    if (r == 0)
        r = model_open(&service->model, failure);
    if (r == 0)
        model_limit(service->model, SERVICE_KINDS_OF_USER);
    if (r == 0)
        r = queue_open(service->settings.state_dir, &service->queue, failure);
    if (r == 0)
        r = read_settings(service, failure);
    if (r == 0)
        r = machine_read(MACHINE_PROC_ROOT, MACHINE_CGROUP_ROOT, &service->machine, failure);
    if (r == 0)
        r = open_ledger(service, failure);
    if (r < 0)
        return r;
    queue_set_judge(service->queue, service_task_judge, service);
    (void)model_refresh(service->model);
    service_window_set_limits(service);
    r = open_engine(service, failure);
    return r < 0 ? r : service_hooks_open(service, failure);
}

int service_open(const struct service_settings *settings, struct service **ret,
                 struct failure *failure) {
    struct service *service = calloc(1, sizeof(*service));
    *ret = service;
    if (!service)
        return failure_set_errno(failure, -ENOMEM, "cannot start");
    service->settings = *settings;
    (void)uv_timer_init(settings->loop, &service->timer); /* none of them can fail */
    (void)uv_idle_init(settings->loop, &service->idle);
    (void)uv_timer_init(settings->loop, &service->ends_timer);
    service->ends_timer.data = service;
    service->timer.data = service;
    service->idle.data = service;
    service->ends_pause_ms = 1;
    return open_parts(service, failure);
}

void service_start(struct service *service) {
    service->is_started = service->is_dirty = service->is_moved = true;
    engine_record_start(service->engine, service->settings.command, service->settings.state_dir, 0,
                        service->settings.conf->threads);
    service_end_resume(service);
    service_compact(service);
    engine_go_on(service->engine);
}

void service_reconfigure(struct service *service, const struct conf *conf) {
    struct failure failure;
    service->settings.conf = conf;
    if (read_settings(service, &failure) < 0)
        journal_say(service->settings.journal, LOG_ERR, "%s", failure.text);
    engine_set_confined(service->engine, conf->sandbox);
    service_window_reconfigure(service);
    service->is_dirty = service->is_moved = true;
    engine_go_on(service->engine);
}

int service_credentials(struct service *service, uid_t uid, struct credentials **ret,
                        struct failure *failure) {
    return credentials_remember(&service->users, uid, clock_monotonic_ms(), ret, failure);
}

struct queue *service_queue(const struct service *service) {
    return service->queue;
}

void service_changed(struct service *service, struct queue_batch *batch,
                     const struct queue_change *change, const char *who) {
    const struct service_batch *of = batch ? batch->engine_line : NULL;
    for (uint32_t i = 0; of && change && i < change->n_running; i++) {
        struct failure failure;
        CLEANUP_FREE char *id = NULL;
        if (queue_task_id(batch, change->running[i], &id, &failure) == 0)
            (void)engine_cancel(of->line, id, who); /* it may have ended meanwhile */
    }
    if (batch && change && change->is_ended)
        service_end_begin(service, batch);
    service->is_dirty = service->is_moved = true;
    if (service->is_started)
        engine_go_on(service->engine);
}

bool service_makes_progress(void *context) {
    struct service *service = context;
    const uint64_t safe = ledger_store_safe(service->store);
    const bool is_moving = safe != service->last_safe || service->disk_full || !service->commit ||
                           ledger_commit_idle(service->commit);
    service->last_safe = safe;
    return is_moving;
}
