/* The end of a batch: summary.json, written with the user's rights and a part at a time, so that a
 * million tasks hold nobody up; then the report; then it is told, and recorded so that it happens
 * once. */
#include "supervisor/service/service_state.h"

#include "common/atomic_file.h"
#include "supervisor/report/summary.h"
#include "supervisor/service/service_report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
    END_TASKS = 1000, /* a turn of the loop at most, */
    END_TURN_MS = 10, /* and no longer than this: of a problem the reason is read in the ledger */
    END_HOOK_TASKS = 10000,
    END_FIRST_PAUSE_MS = 2, /* until it is seen whether the ledger has the last of it */
    END_MOST_PAUSE_MS = 1000,
};

struct service_end {
    struct service_end *next;
    struct queue_batch *batch;
    struct service *service;
    struct credentials *credentials; /* owned */
    char *path, *temporary;          /* owned */
    FILE *stream;                    /* NULL: it cannot be written */
    uint32_t n_written;
    int64_t turn_ms;  /* when this turn began */
    int64_t ended_ms; /* the batch's, when this was begun */
    uv_work_t work;   /* the last of the file: to disk, and its name */
    bool is_working;
    bool is_written, is_reported;  /* summary.json and report.html, or it is known why not */
    struct service_report *report; /* while it is being written */
    struct failure failure;        /* why not */
    json_t *problems, *fine;       /* for the hooks; owned; NULL: no hook wants them */
    json_t *counts;                /* owned */
    int64_t wall_ms;
};

static void clear(struct service_end *end) {
    service_report_drop(end->report);
    if (end->stream)
        (void)fclose(end->stream); /* given up */
    credentials_unref(end->credentials);
    json_decref(end->problems);
    json_decref(end->fine);
    json_decref(end->counts);
    free(end->path);
    free(end->temporary);
    *end = (struct service_end){.next = end->next, .batch = end->batch, .service = end->service};
}

static void free_end(struct service_end *end) {
    clear(end);
    free(end);
}

/* ---- the file ---- */

/* Never through a link that somebody else put there, nor into what is no file. */
static int open_stream(struct service_end *end) {
    struct failure *failure = &end->failure;
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    int r = service_credentials(end->service, end->batch->uid, &end->credentials, failure);
    if (r == 0)
        r = as_user_enter(end->credentials, &as_user, failure);
    if (r < 0)
        return r;
    if (asprintf(&end->path, "%s/summary.json", end->batch->out) < 0)
        end->path = NULL;
    end->temporary = end->path ? atomic_file_temporary_name(end->path) : NULL;
    if (!end->temporary)
        return failure_set_errno(failure, -ENOMEM, "cannot write the summary");
    (void)unlink(end->temporary); /* a stale one; what else it may be open refuses */
    const int fd = open(end->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot write %s", end->temporary);
    end->stream = fdopen(fd, "w");
    if (!end->stream) {
        (void)close(fd);
        return failure_set_errno(failure, -ENOMEM, "cannot write %s", end->temporary);
    }
    (void)fputs("{\n \"version\": 1,\n \"tasks\": [", end->stream);
    return 0;
}

static int write_task(void *context, uint32_t number, const char *id,
                      const struct queue_task_view *view) {
    struct service_end *end = context;
    CLEANUP_FREE char *reason = NULL;
    if (view->verdict != VERDICT_OK)
        reason = queue_reason(end->service->queue, end->batch, number);
    const struct task_result result = {
        .id = id,
        .finished = view->state == QUEUE_ENDED,
        .verdict = view->verdict,
        .attempts = view->attempts,
        .wall_ms = view->wall_ms,
        .peak_rss_bytes = view->peak_rss_bytes,
        .reason = reason ? reason : "",
    };
    CLEANUP_JSON json_t *line = summary_task_to_json(&result);
    json_t *kept = view->verdict == VERDICT_OK ? end->fine : end->problems;
    if (kept && json_array_size(kept) < END_HOOK_TASKS)
        (void)json_array_append(kept, line);                 /* out of memory: it is left out */
    (void)fputs(number > 0 ? ",\n  " : "\n  ", end->stream); /* errors: looked for at the end */
    if (!line || json_dumpf(line, end->stream, SUMMARY_JSON_FLAGS) < 0)
        return -ENOMEM;
    end->n_written = number + 1;
    return clock_monotonic_ms() - end->turn_ms >= END_TURN_MS; /* then it is the others' turn */
}

static int64_t wall_ms(const struct queue_batch *batch) {
    return batch->first_start_ms > 0 && batch->ended_ms > batch->first_start_ms
               ? batch->ended_ms - batch->first_start_ms
               : 0;
}

static json_t *counts(const struct queue_batch *batch) {
    CLEANUP_JSON json_t *object = json_object();
    for (size_t v = 0; v < VERDICT_COUNT; v++)
        if (batch->n_verdict[v] > 0 &&
            json_object_set_new(object, verdict_name((enum verdict)v),
                                json_integer((json_int_t)batch->n_verdict[v])) < 0)
            return NULL;
    return STEAL_PTR(object);
}

static int finish_stream(struct service_end *end) {
    struct failure *failure = &end->failure;
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    int r = as_user_enter(end->credentials, &as_user, failure);
    if (r < 0)
        return r;
    (void)fputs("\n ],\n \"counts\": ", end->stream);
    if (!end->counts || json_dumpf(end->counts, end->stream, SUMMARY_JSON_FLAGS) < 0)
        return failure_set_errno(failure, -ENOMEM, "cannot write %s", end->temporary);
    (void)fprintf(end->stream, ",\n \"wall_s\": %.12g\n}\n", (double)end->wall_ms / 1e3);
    const bool is_bad = ferror(end->stream) != 0;
    if (fclose(STEAL_PTR(end->stream)) == EOF || is_bad)
        return failure_set_errno(failure, errno > 0 ? -errno : -EIO, "cannot write %s",
                                 end->temporary);
    return atomic_file_publish(end->temporary, end->path, failure);
}

static void remove_temporary(const struct service_end *end) {
    struct failure failure;
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    if (end->temporary && as_user_enter(end->credentials, &as_user, &failure) == 0)
        (void)unlink(end->temporary); /* the next one removes it otherwise */
}

/* ---- the turns ---- */

static bool is_over(const struct queue_batch *batch) {
    return batch->n_state[QUEUE_ENDED] == batch->n_tasks;
}

/* Those with problems first where not all are told. */
static void run_hooks(struct service *service, struct service_end *end) {
    const struct queue_batch *batch = end->batch;
    CLEANUP_JSON json_t *n = counts(batch);
    if (!end->problems || !end->fine)
        return;
    const size_t room = END_HOOK_TASKS - json_array_size(end->problems);
    for (size_t i = 0; i < room && i < json_array_size(end->fine); i++)
        (void)json_array_append(end->problems, json_array_get(end->fine, i)); /* as above */
    const struct service_hooks_input told = {
        .tasks = end->problems,
        .counts = n,
        .wall_s = (double)wall_ms(batch) / 1e3,
        .n_left_out = batch->n_tasks - (uint32_t)json_array_size(end->problems),
    };
    service_hooks_batch(service, batch, end->credentials, &told);
}

/* Told, recorded, let go. */
static void conclude(struct service *service, struct service_end *end) {
    struct queue_batch *batch = end->batch;
    const struct conf *conf = service->settings.conf;
    struct failure failure;
    const int64_t now_ms = clock_wall_ms();
    if (end->failure.code < 0)
        journal_say(service->settings.journal, LOG_WARNING, "batch %s has no summary.json: %s",
                    batch->name, end->failure.text);
    service_tell_batch(service, batch);
    run_hooks(service, end);
    if (queue_end_batch(service->queue, batch, now_ms, NULL, NULL, &failure) < 0)
        journal_say(service->settings.journal, LOG_WARNING, "%s", failure.text);
    service_window_drop(service, batch);
    (void)queue_forget(service->queue, now_ms - conf->keep_ms, (size_t)conf->keep_batches);
}

static void end_summary(struct service_end *end) {
    if (end->failure.code < 0)
        remove_temporary(end);
    end->is_written = true;
}

static void on_idle(uv_idle_t *idle);

/* In a thread of the pool: the user's disk may be a slow one, and far away. */
static void finish_work(uv_work_t *work) {
    struct service_end *end = work->data;
    (void)finish_stream(end); /* its failure is kept, and told at the end */
}

static void on_finished(uv_work_t *work, int status) {
    struct service_end *end = work->data;
    (void)status; /* nobody cancels it */
    end->is_working = false;
    if (!end->service) { /* it was closed meanwhile */
        free_end(end);
        return;
    }
    end_summary(end);
    (void)uv_idle_start(&end->service->idle, on_idle); /* cannot fail */
}

static void finish(struct service_end *end) {
    end->counts = counts(end->batch);
    end->wall_ms = wall_ms(end->batch);
    end->work.data = end;
    end->is_working =
        uv_queue_work(end->service->settings.loop, &end->work, finish_work, on_finished) == 0;
    if (end->is_working)
        return;
    (void)finish_stream(end); /* kept, as above */
    end_summary(end);
}

/* summary.json, a part at each turn. */
static void write_summary(struct service *service, struct service_end *end) {
    if (!end->stream && end->failure.code == 0) {
        end->ended_ms = end->batch->ended_ms;
        (void)open_stream(end); /* its failure is kept, and told at the end */
        if (service_hooks_want(service, end->batch)) {
            end->problems = json_array();
            end->fine = json_array();
        }
    }
    if (end->stream && end->n_written < end->batch->n_tasks) {
        end->turn_ms = clock_monotonic_ms();
        if (queue_walk(end->batch, end->n_written, END_TASKS, write_task, end, &end->failure) < 0 &&
            end->failure.code == 0)
            (void)failure_set_errno(&end->failure, -ENOMEM, "cannot write the summary");
        if (end->failure.code == 0 && end->n_written < end->batch->n_tasks)
            return;
    }
    if (end->stream && end->failure.code == 0)
        finish(end);
    else
        end_summary(end);
}

static void tell_no_report(const struct service_end *end, const struct failure *failure) {
    journal_say(end->service->settings.journal, LOG_WARNING, "batch %s has no report.html: %s",
                end->batch->name, failure->text);
}

/* A service_report_done_cb. */
static void on_report(void *context, const struct failure *failure) {
    struct service_end *end = context;
    end->report = NULL;
    if (failure->code < 0)
        tell_no_report(end, failure);
    (void)uv_idle_start(&end->service->idle, on_idle); /* cannot fail */
}

static void begin_report(struct service_end *end) {
    struct failure failure = {0};
    end->is_reported = true;
    if (end->failure.code < 0)
        return; /* what kept summary.json away keeps the report away too */
    end->report = service_report_begin(end->service->settings.loop, end->batch,
                                       ledger_store_path(end->service->store), end->credentials,
                                       on_report, end, &failure);
    if (!end->report)
        tell_no_report(end, &failure);
}

/* True: this end is dealt with. */
static bool go_on(struct service *service, struct service_end *end) {
    if (end->report || end->is_working)
        return false;           /* on_report, on_finished go on */
    if (!is_over(end->batch)) { /* somebody wants it again: its next end is another */
        remove_temporary(end);
        return true;
    }
    if (end->is_written && end->ended_ms != end->batch->ended_ms)
        clear(end); /* it went on, and ended again, while the first end was on its way to disk */
    if (!end->is_written) {
        write_summary(service, end);
        return false;
    }
    if (!end->is_reported) {
        begin_report(end);
        return false;
    }
    conclude(service, end);
    return true;
}

static void on_pause_over(uv_timer_t *timer) {
    struct service *service = timer->data;
    if (service->ends)
        (void)uv_idle_start(&service->idle, on_idle); /* cannot fail */
}

/* A reason is read in the ledger, so what says it must be there. */
static bool waits_for_ledger(struct service *service) {
    const struct queue_batch *batch = service->ends->batch;
    if (ledger_store_safe(service->store) >= batch->seq) {
        service->ends_pause_ms = END_FIRST_PAUSE_MS;
        return false;
    }
    (void)uv_timer_start(&service->ends_timer, on_pause_over, service->ends_pause_ms, 0);
    if (service->ends_pause_ms < END_MOST_PAUSE_MS) /* a full disk may stay so for long */
        service->ends_pause_ms *= 2;
    return true;
}

static void on_idle(uv_idle_t *idle) {
    struct service *service = idle->data;
    struct service_end *end = service->ends;
    if (end && waits_for_ledger(service)) {
        (void)uv_idle_stop(idle); /* cannot fail */
        return;
    }
    if (end && go_on(service, end)) {
        service->ends = end->next;
        free_end(end);
    }
    /* until a thread has written there is nothing to do */
    if (!service->ends || service->ends->report || service->ends->is_working)
        (void)uv_idle_stop(idle); /* cannot fail */
}

void service_end_begin(struct service *service, struct queue_batch *batch) {
    struct service_end **last = &service->ends;
    for (; *last; last = &(*last)->next)
        if ((*last)->batch == batch)
            return;
    struct service_end *end = calloc(1, sizeof(*end));
    if (!end)
        return; /* out of memory: the next start deals with it */
    end->batch = batch;
    end->service = service;
    *last = end;
    (void)uv_idle_start(&service->idle, on_idle); /* cannot fail */
}

void service_end_resume(struct service *service) {
    for (size_t i = 0; i < queue_count(service->queue); i++) {
        struct queue_batch *batch = queue_at(service->queue, i);
        if (batch->ended_ms > 0 && !batch->is_closed && is_over(batch))
            service_end_begin(service, batch);
    }
}

void service_end_close(struct service *service) {
    while (service->ends) {
        struct service_end *end = service->ends;
        service->ends = end->next;
        if (end->is_working) { /* it comes to its end, and the next start deals with the rest */
            end->service = NULL;
            continue;
        }
        if (end->stream)
            remove_temporary(end); /* the next start deals with it */
        free_end(end);
    }
}
