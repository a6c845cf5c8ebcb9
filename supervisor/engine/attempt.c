/* See attempt.h. One timer serves all clocks of an attempt: it is set to whichever is due first. A
 * stall is declared only after fd 3 was read once more, for libuv runs timers before descriptors:
 * after a suspended supervisor wakes up, reports may be waiting unread. */
#include "supervisor/engine/attempt.h"

#include "common/names.h"
#include "common/protocol.h"
#include "supervisor/process/proc_read.h"
#include "supervisor/service/as_user.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    ATTEMPT_OOM_AGE_MS = 200, /* how old "before" may be: reading vmstat is not free */
};

struct attempt {
    struct attempt_host *host;
    const struct attempt_line *line;
    const struct task *task;
    attempt_event_cb event;
    void *context;
    int number;
    struct launch launch;
    struct child *child; /* NULL: it could not start */
    struct failure start_failure;
    uv_timer_t timer;
    struct trace_task *trace; /* owns; NULL: no memory for it, or it could not start */

    char started[CLOCK_TEXT_BYTES];
    int64_t started_ms, ended_ms;
    int64_t deadline_ms, grace_ms; /* on the monotonic clock; 0: not set */
    int64_t progress_ms;           /* when it last made some */
    bool is_shared;                /* took results of another variant */
    enum verdict_stop limit;
    enum verdict_stop stop;
    int64_t limit_ms;
    bool sent_term, sent_kill;
    char why[64]; /* of the stop: the user, or the shortage */

    char stage[ATTEMPT_STAGE_BYTES];
    double fraction;
    uint64_t most_bytes;                   /* of all its processes, seen in its control group */
    uint64_t told_bytes;                   /* of memory, at the peak that it told of */
    json_t *peak;                          /* what stood there then; NULL: it told nothing */
    char blocked[PROTOCOL_CALL_BYTES + 1]; /* the system call that its sandbox stopped; "" */
    int blocked_number;
    json_t *result, *error; /* the records, kept for their strings */
    json_t *inputs_before;  /* path, size, mtime_ns as it started */
    uint64_t oom_kills_before;
    struct child_end end;
};

static bool is_command(const struct attempt *attempt) {
    return attempt->task->kind == TASK_COMMAND;
}

/* ---- progress ---- */

static void keep_peak(struct attempt *attempt, const struct report *report) {
    if (report->peak_bytes < attempt->told_bytes)
        return; /* two of its threads told of two peaks, in the other order */
    json_t *peak = json_pack("{s:I, s:s, s:O}", "bytes", (json_int_t)report->peak_bytes, "stage",
                             report->stage, "buffers", report->buffers);
    if (!peak)
        return; /* out of memory: the peak before it stands */
    json_decref(attempt->peak);
    attempt->peak = peak, attempt->told_bytes = report->peak_bytes;
}

static void on_report(void *context, const struct report *report) {
    struct attempt *attempt = context;
    bool news = true;
    switch (report->kind) {
    case REPORT_PROGRESS:
        news = report->fraction > attempt->fraction || strcmp(report->stage, attempt->stage) != 0;
        if (report->fraction > attempt->fraction)
            attempt->fraction = report->fraction;
        (void)snprintf(attempt->stage, sizeof(attempt->stage), "%s", report->stage);
        break;
    case REPORT_WAITING: /* whoever makes it is watched in its turn */
        (void)snprintf(attempt->stage, sizeof(attempt->stage), "%.50s (waits)", report->stage);
        break;
    case REPORT_STAGE_END:
        attempt->is_shared |= json_is_true(json_object_get(report->record, "shared"));
        break;
    case REPORT_MEMORY:
        keep_peak(attempt, report);
        news = false; /* a program that goes round in circles may take ever more */
        break;
    case REPORT_RESULT:
        json_decref(attempt->result);
        attempt->result = json_incref(report->record);
        break;
    case REPORT_ERROR:
        json_decref(attempt->error);
        attempt->error = json_incref(report->record);
        break;
    case REPORT_BLOCKED:
        (void)snprintf(attempt->blocked, sizeof(attempt->blocked), "%s", report->call);
        attempt->blocked_number = report->number;
        break;
    default:
        break;
    }
    if (news)
        attempt->progress_ms = clock_monotonic_ms();
}

/* The log's mtime says when a command last wrote, which may be long before we look. */
static void see_log(struct attempt *attempt, int64_t now_ms) {
    struct stat status;
    struct timespec now;
    if (fstat(attempt->launch.log_fd, &status) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
        return;
    int64_t age_ms = (now.tv_sec - status.st_mtim.tv_sec) * 1000 +
                     (now.tv_nsec - status.st_mtim.tv_nsec) / 1000000;
    int64_t written_ms = now_ms - (age_ms > 0 ? age_ms : 0);
    if (written_ms > attempt->progress_ms)
        attempt->progress_ms = written_ms;
}

/* ---- memory ---- */

static bool look(void *context, bool is_thorough) {
    struct attempt *attempt = context;
    struct cgroup_leaf_usage usage;
    if (child_ended(attempt->child))
        return false;
    if (is_thorough && is_command(attempt) && child_look(attempt->child, &usage) == 0 &&
        usage.anonymous_bytes > attempt->most_bytes)
        attempt->most_bytes = usage.anonymous_bytes;
    return true;
}

static void start_trace(struct attempt *attempt) {
    const struct trace_request request = {
        .pid = child_pid(attempt->child),
        .has_children = is_command(attempt), /* our own worker has none */
        .wants_together = !child_has_group(attempt->child),
        .look = look,
        .context = attempt,
    };
    attempt->trace = trace_add(attempt->host->trace, &request);
}

static void end_trace(const struct attempt *attempt) {
    CLEANUP_FREE char *path =
        names_format("%s/%s/memory.csv", attempt->line->launch.out, attempt->task->id);
    if (attempt->trace && path)
        trace_write(attempt->trace, path, attempt->number, attempt->line->launch.credentials);
}

/* ---- clocks ---- */

static void set_timer(struct attempt *attempt);

static bool is_stalled(struct attempt *attempt, int64_t now_ms) {
    int64_t limit_ms = attempt->line->stall_timeout_ms;
    if (now_ms - attempt->progress_ms < limit_ms)
        return false;
    child_listen(attempt->child);
    if (is_command(attempt))
        see_log(attempt, now_ms);
    return now_ms - attempt->progress_ms >= limit_ms;
}

static void on_timer(uv_timer_t *timer) {
    struct attempt *attempt = timer->data;
    int64_t now_ms = clock_monotonic_ms();
    if (child_ended(attempt->child))
        return; /* only its leftovers are being ended */
    enum verdict_stop limit = VERDICT_STOP_NONE;
    bool grace_over = attempt->grace_ms && now_ms >= attempt->grace_ms;
    if (attempt->stop == VERDICT_STOP_NONE && now_ms >= attempt->deadline_ms)
        limit = VERDICT_STOP_TIMEOUT;
    else if (attempt->stop == VERDICT_STOP_NONE && is_stalled(attempt, now_ms))
        limit = VERDICT_STOP_STALL;
    if (grace_over)
        attempt->grace_ms = 0;
    attempt->limit = limit;
    set_timer(attempt);
    /* last: the engine may do anything with this attempt */
    if (grace_over && !attempt->sent_kill)
        attempt->event(attempt->context, TASK_EVENT_GRACE_OVER);
    else if (limit != VERDICT_STOP_NONE && attempt->stop == VERDICT_STOP_NONE)
        attempt->event(attempt->context, TASK_EVENT_LIMIT);
}

static void set_timer(struct attempt *attempt) {
    int64_t due_ms = attempt->grace_ms ? attempt->grace_ms : INT64_MAX;
    if (attempt->stop == VERDICT_STOP_NONE) {
        int64_t stall_ms = attempt->progress_ms + attempt->line->stall_timeout_ms;
        if (attempt->deadline_ms < due_ms)
            due_ms = attempt->deadline_ms;
        if (stall_ms < due_ms)
            due_ms = stall_ms;
    }
    if (due_ms == INT64_MAX) {
        (void)uv_timer_stop(&attempt->timer); /* cannot fail */
        return;
    }
    int64_t wait_ms = due_ms - clock_monotonic_ms();
    uv_update_time(attempt->host->children.loop); /* or a long turn would shorten the wait */
    (void)uv_timer_start(&attempt->timer, on_timer, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

/* ---- what the engine wants ---- */

static void note_stop(struct attempt *attempt, enum verdict_stop stop, const char *why) {
    if (attempt->stop != VERDICT_STOP_NONE)
        return;
    attempt->stop = stop;
    attempt->limit_ms = stop == VERDICT_STOP_TIMEOUT ? attempt->deadline_ms - attempt->started_ms
                                                     : attempt->line->stall_timeout_ms;
    (void)snprintf(attempt->why, sizeof(attempt->why), "%s", why ? why : "");
}

void attempt_terminate(struct attempt *attempt, enum verdict_stop stop, const char *why) {
    if (child_ended(attempt->child))
        return; /* it ended by itself; what follows is only its leftovers' end */
    note_stop(attempt, stop, why);
    attempt->sent_term = true;
    child_terminate(attempt->child);
    attempt->grace_ms = clock_monotonic_ms() + attempt->host->grace_ms;
    set_timer(attempt);
}

void attempt_kill(struct attempt *attempt, enum verdict_stop stop, const char *why) {
    if (child_ended(attempt->child))
        return;
    note_stop(attempt, stop, why);
    attempt->sent_kill = true;
    child_kill(attempt->child);
}

enum verdict_stop attempt_limit(const struct attempt *attempt) { return attempt->limit; }

/* ---- the process's events ---- */

static void on_breach(void *context) {
    struct attempt *attempt = context;
    /* A command owes us nothing on fd 3; what it breaks is kept as evidence. */
    if (!is_command(attempt) && !child_ended(attempt->child))
        attempt->event(attempt->context, TASK_EVENT_BREACH);
}

static void on_over(void *context, const struct child_end *end) {
    struct attempt *attempt = context;
    attempt->end = *end;
    attempt->ended_ms = clock_monotonic_ms();
    (void)uv_timer_stop(&attempt->timer);
    end_trace(attempt);
    attempt->event(attempt->context, TASK_EVENT_OVER);
}

/* ---- beginning and end ---- */

static void read_oom_kills(struct attempt_host *host, int64_t now_ms) {
    if (host->oom_read_ms && now_ms - host->oom_read_ms < ATTEMPT_OOM_AGE_MS)
        return;
    host->oom_known = proc_read_oom_kills(PROC_READ_ROOT, &host->oom_kills) == 0;
    host->oom_read_ms = now_ms;
}

/* As it stood when the attempt began: what a later run compares with. */
static json_t *stat_inputs(const struct task *task, const struct credentials *credentials) {
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    json_t *inputs = json_array();
    if (as_user_enter(credentials, &as_user, NULL) < 0)
        return inputs; /* none known: it will run again */
    for (size_t i = 0; inputs && i < task->n_inputs; i++) {
        struct stat status;
        if (stat(task->inputs[i], &status) < 0)
            continue;
        json_t *input = json_pack("{s:s, s:I, s:I}", "path", task->inputs[i], "size",
                                  (json_int_t)status.st_size, "mtime_ns",
                                  (json_int_t)status.st_mtim.tv_sec * 1000000000 +
                                      (json_int_t)status.st_mtim.tv_nsec);
        if (input)
            (void)json_array_append_new(inputs, input); /* out of memory: it will run again */
    }
    return inputs;
}

static int start(struct attempt *attempt, const struct attempt_request *request) {
    static const struct child_callbacks callbacks = {
        .report = on_report, .breach = on_breach, .over = on_over};
    struct attempt_host *host = attempt->host;
    struct failure *failure = &attempt->start_failure;
    int r = launch_prepare(&host->launch, &attempt->line->launch, attempt->task, attempt->number,
                           request->variants, &attempt->launch, failure);
    if (r < 0)
        return r;
    attempt->launch.request.memory_limit_bytes = request->memory_limit_bytes;
    r = child_start(&host->children, &attempt->launch.request, &callbacks, attempt, &attempt->child,
                    failure);
    if (r < 0)
        (void)dprintf(attempt->launch.log_fd, "%s\n", failure->text); /* the ledger has it too */
    return r;
}

struct attempt *attempt_start(struct attempt_host *host, const struct attempt_line *line,
                              const struct attempt_request *request) {
    const struct task *task = request->task;
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (!attempt)
        return NULL;
    attempt->host = host;
    attempt->line = line;
    attempt->task = task;
    attempt->event = request->event;
    attempt->context = request->context;
    attempt->number = request->number;
    attempt->fraction = -1;
    attempt->launch.log_fd = -1;
    attempt->inputs_before = stat_inputs(task, line->launch.credentials);
    (void)clock_rfc3339(attempt->started);
    int64_t now_ms = clock_monotonic_ms();
    read_oom_kills(host, now_ms);
    attempt->oom_kills_before = host->oom_kills;
    attempt->started_ms = attempt->progress_ms = attempt->ended_ms = now_ms;
    attempt->deadline_ms = now_ms + (task->timeout_ms > 0 ? task->timeout_ms : line->timeout_ms);
    (void)uv_timer_init(host->children.loop, &attempt->timer); /* cannot fail */
    attempt->timer.data = attempt;
    if (start(attempt, request) == 0) {
        set_timer(attempt);
        start_trace(attempt);
    }
    return attempt;
}

static void on_closed(uv_handle_t *handle) {
    struct attempt *attempt = handle->data;
    launch_free(&attempt->launch);
    json_decref(attempt->result);
    json_decref(attempt->error);
    json_decref(attempt->peak);
    json_decref(attempt->inputs_before);
    free(attempt);
}

void attempt_close(struct attempt *attempt) {
    if (!attempt)
        return;
    trace_remove(STEAL_PTR(attempt->trace));
    child_close(attempt->child);
    uv_close((uv_handle_t *)&attempt->timer, on_closed);
}

pid_t attempt_pid(const struct attempt *attempt) {
    return attempt->child ? child_pid(attempt->child) : 0;
}

uint64_t attempt_start_ticks(const struct attempt *attempt) {
    return attempt->child ? child_start_ticks(attempt->child) : 0;
}

int attempt_number(const struct attempt *attempt) { return attempt->number; }

const char *attempt_token(const struct attempt *attempt) { return attempt->launch.token; }

void attempt_look(const struct attempt *attempt, struct attempt_view *ret) {
    struct trace_view memory;
    trace_look(attempt->trace, &memory);
    *ret = (struct attempt_view){
        .stage = attempt->stage,
        .fraction = attempt->fraction,
        .memory_bytes = memory.resident_bytes,
        .elapsed_ms = clock_monotonic_ms() - attempt->started_ms,
    };
}

/* ---- the verdict ---- */

static const char *text_of(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static enum verdict_result result_of(const json_t *record) {
    const char *status = text_of(record, "status");
    if (strcmp(status, "aligned") == 0)
        return VERDICT_RESULT_ALIGNED;
    if (strcmp(status, "doubtful") == 0)
        return VERDICT_RESULT_DOUBTFUL;
    return strcmp(status, "failed") == 0 ? VERDICT_RESULT_FAILED : VERDICT_RESULT_NONE;
}

/* Only a death that nobody explained needs the machine's state. */
static void gather_memory(const struct attempt *attempt, struct verdict_facts *facts) {
    if (attempt->stop != VERDICT_STOP_NONE || (facts->code == CLD_EXITED && facts->status == 0))
        return;
    facts->oom_kills_before = attempt->oom_kills_before;
    facts->oom_counter_known = attempt->host->oom_known &&
                               proc_read_oom_kills(PROC_READ_ROOT, &facts->oom_kills_after) == 0;
    /* unknown figures stay 0: the verdict knows what that means */
    (void)!proc_read_memory(PROC_READ_ROOT, &facts->memory_total_bytes,
                            &facts->memory_available_bytes);
}

static struct verdict_cgroup cgroup_facts(const struct cgroup_leaf_facts *leaf) {
    if (leaf->kind == CGROUP_LEVEL_NONE)
        return (struct verdict_cgroup){0};
    return (struct verdict_cgroup){
        .level = cgroup_level_name(leaf->kind),
        .limit_bytes = leaf->limit_bytes,
        .oom_before = leaf->before.oom,
        .oom_after = leaf->after.oom,
        .oom_kill_before = leaf->before.oom_kill,
        .oom_kill_after = leaf->after.oom_kill,
        .peak_bytes = leaf->peak_bytes,
    };
}

static int64_t milliseconds(const struct timeval *time) {
    return (int64_t)time->tv_sec * 1000 + time->tv_usec / 1000;
}

/* A worker's list where it gave one (it knows the hashes), else ours. */
static json_t *list_of(const json_t *record, const char *key, json_t *ours) {
    json_t *list = json_object_get(record, key);
    return json_incref(json_is_array(list) ? list : ours);
}

void attempt_judge(const struct attempt *attempt, struct attempt_result *ret) {
    /* why no program of it ever ran; NULL: one did */
    const struct failure *start_failure =
        attempt->child ? child_not_begun(attempt->child) : &attempt->start_failure;
    const struct rusage *usage = &attempt->end.exit.usage;
    /* Of a small process, samples from /proc may lie some pages above the peak that the kernel
     * accounts at its exit: the peak counts. */
    const uint64_t largest_bytes = (uint64_t)usage->ru_maxrss * 1024;
    /* The kernel accounts the largest process; several at once were seen in their group, or in
     * /proc where there is none. */
    struct trace_view memory;
    trace_look(attempt->trace, &memory);
    const uint64_t seen_bytes =
        memory.together_bytes > attempt->most_bytes ? memory.together_bytes : attempt->most_bytes;
    const uint64_t peak_bytes = largest_bytes > seen_bytes ? largest_bytes : seen_bytes;
    *ret = (struct attempt_result){
        .wall_ms = attempt->ended_ms - attempt->started_ms,
        .cpu_ms = milliseconds(&usage->ru_utime) + milliseconds(&usage->ru_stime),
        .peak_rss_bytes = peak_bytes,
        .largest_rss_bytes = largest_bytes,
        .min_rss_bytes = memory.least_bytes < peak_bytes ? memory.least_bytes : peak_bytes,
        .start_code = start_failure ? start_failure->code : 0,
        .stop = attempt->stop,
        .limit_bytes = attempt->end.cgroup.limit_bytes,
        .peak = json_incref(attempt->peak),
    };
    memcpy(ret->started, attempt->started, sizeof(ret->started));
    memcpy(ret->stage, attempt->stage, sizeof(ret->stage));
    ret->is_shared = attempt->is_shared;
    struct verdict_facts facts = {
        .is_command = is_command(attempt),
        .start_error = start_failure ? start_failure->text : NULL,
        .code = attempt->end.exit.code,
        .status = attempt->end.exit.status,
        .stop = attempt->stop,
        .sent_term = attempt->sent_term,
        .sent_kill = attempt->sent_kill,
        .limit_ms = attempt->limit_ms,
        .user = attempt->stop == VERDICT_STOP_USER ? attempt->why : NULL,
        .shortage = attempt->stop == VERDICT_STOP_MEMORY ? attempt->why : NULL,
        .result = result_of(attempt->result),
        .result_reason = text_of(attempt->result, "reason"),
        .error_cause = attempt->error ? text_of(attempt->error, "cause") : NULL,
        .error_reason = text_of(attempt->error, "reason"),
        .breach = attempt->child ? child_breach(attempt->child) : NULL,
        .stage = attempt->stage,
        .left_behind = attempt->end.left_behind,
        .blocked = attempt->blocked,
        .blocked_number = attempt->blocked_number,
        .cgroup = cgroup_facts(&attempt->end.cgroup),
        .cgroup_error = attempt->end.cgroup_error,
        .peak_rss_bytes = ret->peak_rss_bytes,
    };
    gather_memory(attempt, &facts);
    verdict_judge(&facts, &ret->judgement);
    const json_t *told = is_command(attempt) ? NULL : attempt->result;
    ret->inputs = list_of(told, "inputs", attempt->inputs_before);
    ret->outputs = list_of(told, "outputs", NULL);
    if (!ret->outputs)
        ret->outputs = json_array();
}

void attempt_result_free(struct attempt_result *result) {
    json_decref(result->judgement.evidence);
    json_decref(result->inputs);
    json_decref(result->outputs);
    json_decref(result->peak);
    *result = (struct attempt_result){0};
}
