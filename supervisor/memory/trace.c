/* See trace.h. The interval is set by a running mean of what a turn costs, with what the loop and
 * the kernel spend on waking up on top. Walking page tables for shared memory is paid from a
 * purse of its own: after each walk there is none until it was a small share of the time since.
 */
#include "supervisor/memory/trace.h"

#include "common/clock.h"
#include "supervisor/memory/trace_file.h"

#include <errno.h>
#include <time.h>

enum {
    TRACE_EAGER_SAMPLES = 4, /* what starts processes mostly does so at its beginning */
    TRACE_THOROUGH_EVERY = 8,
    TRACE_MEAN_OF = 8, /* turns */
    TRACE_DRIFT = 64,
    TRACE_LONGEST_MS = 1000, /* unless the user wants longer */
    TRACE_WALK_RATIO = 300,  /* time between walks to the time of one */
    TRACE_WALK_LEAST_MS = 100,
};

struct trace_task {
    struct trace *trace;
    struct trace_task *next, **self; /* self: what points to it */
    struct trace_request request;
    struct trace_reader reader;
    struct trace_series series;
    int64_t started_ns, walked_ns;
    uint64_t phase; /* so that not all are thorough in the same turn */
    uint64_t resident_bytes, together_bytes;
    uint64_t surplus_bytes; /* of the sum, as long as the processes are those that were walked */
    uint64_t walked_at;     /* reader.n_changes then; 0: never walked */
};

struct trace {
    const char *root;
    uv_timer_t timer;
    struct trace_files *files;
    trace_failed_cb failed;
    void *context;
    bool has_failed;
    struct trace_task *tasks;
    uint64_t n_added;
    int64_t wanted_ms, interval_ms, longest_ms;
    double mean_ns;  /* of a turn */
    double wake_ns;  /* around a turn; see note_waking */
    int64_t left_ns; /* the thread's CPU time as the last turn ended; 0: it was long ago */
    uint64_t n_turns, cpu_ns;
    int64_t walk_due_ns;
};

static int64_t thread_cpu_ns(void) {
    struct timespec time;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) < 0)
        return 0; /* then the interval stays as it was asked for */
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* ---- sampling ---- */

/* Not the first time: it may be the only one, of a short task. */
static bool is_thorough_now(const struct trace_task *task) {
    const uint64_t n = task->series.n_samples;
    return n > 0 && (n < TRACE_EAGER_SAMPLES || (n + task->phase) % TRACE_THOROUGH_EVERY == 0);
}

static void sample(struct trace_task *task) {
    const bool is_thorough = is_thorough_now(task);
    struct trace_sample sample = {.at_us = (clock_monotonic_ns() - task->started_ns) / 1000};
    if (!task->request.look(task->request.context, is_thorough) ||
        trace_reader_read(&task->reader, is_thorough, &sample) < 0)
        return;
    trace_series_add(&task->series, &sample);
    task->resident_bytes = sample.resident_bytes;
    if (task->walked_at == 0 || task->walked_at != task->reader.n_changes ||
        task->surplus_bytes > sample.resident_bytes)
        return;
    /* pages that stop being shared make it more: it is not too much */
    task->resident_bytes -= task->surplus_bytes;
    if (task->resident_bytes > task->together_bytes)
        task->together_bytes = task->resident_bytes;
}

/* The one that has waited longest, those whose processes have changed first. */
static void walk_one(struct trace *trace) {
    const int64_t now_ns = clock_monotonic_ns();
    struct trace_task *chosen = NULL;
    bool is_chosen_stale = false;
    if (now_ns < trace->walk_due_ns)
        return;
    for (struct trace_task *task = trace->tasks; task; task = task->next) {
        const bool is_stale = task->walked_at != task->reader.n_changes;
        if (!task->request.wants_together || task->reader.count < 2)
            continue;
        if (chosen &&
            (is_stale != is_chosen_stale ? !is_stale : task->walked_ns >= chosen->walked_ns))
            continue;
        chosen = task;
        is_chosen_stale = is_stale;
    }
    if (!chosen)
        return;
    chosen->walked_ns = now_ns;
    const int64_t before_ns = thread_cpu_ns();
    const int r = trace_reader_surplus(&chosen->reader, &chosen->surplus_bytes);
    chosen->walked_at = r < 0 ? 0 : chosen->reader.n_changes;
    const int64_t cost_ns = thread_cpu_ns() - before_ns;
    const int64_t pause_ns = cost_ns * TRACE_WALK_RATIO;
    const int64_t least_ns = TRACE_WALK_LEAST_MS * 1000000LL;
    trace->walk_due_ns = now_ns + (pause_ns > least_ns ? pause_ns : least_ns);
    trace->cpu_ns += (uint64_t)cost_ns;
}

/* ---- the timer ---- */

static void on_timer(uv_timer_t *timer);

static void start_timer(struct trace *trace) {
    (void)uv_timer_start(&trace->timer, on_timer, (uint64_t)trace->interval_ms,
                         (uint64_t)trace->interval_ms); /* fails only while it closes */
}

/* A little back and forth is not worth setting the timer anew. */
static void choose_interval(struct trace *trace, double cost_ns) {
    trace->mean_ns += (cost_ns - trace->mean_ns) / TRACE_MEAN_OF;
    const int64_t longest_ms =
        trace->wanted_ms > TRACE_LONGEST_MS ? trace->wanted_ms : TRACE_LONGEST_MS;
    const double affordable_ms = (trace->mean_ns + trace->wake_ns) / TRACE_SHARE / 1e6;
    int64_t interval_ms =
        affordable_ms < (double)longest_ms ? (int64_t)affordable_ms + 1 : longest_ms;
    if (interval_ms < trace->wanted_ms)
        interval_ms = trace->wanted_ms;
    if (interval_ms > trace->longest_ms)
        trace->longest_ms = interval_ms;
    const int64_t change_ms = interval_ms - trace->interval_ms;
    if (change_ms == 0 || (10 * change_ms < trace->interval_ms &&
                           10 * change_ms > -trace->interval_ms && interval_ms != trace->wanted_ms))
        return;
    trace->interval_ms = interval_ms;
    start_timer(trace);
}

/* Between two turns the thread wakes up and does the rest of its work; when there was none, it is
 * the waking alone. So the least that was seen is taken, and drifts up until less is seen. */
static void note_waking(struct trace *trace, int64_t now_ns) {
    const double between_ns = (double)(now_ns - trace->left_ns);
    if (trace->left_ns == 0)
        return;
    if (trace->wake_ns == 0 || between_ns < trace->wake_ns)
        trace->wake_ns = between_ns;
    else
        trace->wake_ns += (between_ns - trace->wake_ns) / TRACE_DRIFT;
}

static void on_timer(uv_timer_t *timer) {
    struct trace *trace = timer->data;
    const int64_t before_ns = thread_cpu_ns();
    note_waking(trace, before_ns);
    for (struct trace_task *task = trace->tasks; task; task = task->next)
        sample(task);
    const int64_t cost_ns = thread_cpu_ns() - before_ns;
    trace->n_turns++;
    trace->cpu_ns += (uint64_t)cost_ns + (uint64_t)trace->wake_ns;
    choose_interval(trace, (double)cost_ns);
    walk_one(trace);
    trace->left_ns = thread_cpu_ns();
}

/* ---- tasks ---- */

static void link_task(struct trace_task *task, struct trace_task **place) {
    task->next = *place;
    task->self = place;
    if (task->next)
        task->next->self = &task->next;
    *place = task;
}

static void unlink_task(struct trace_task *task) {
    *task->self = task->next;
    if (task->next)
        task->next->self = task->self;
}

struct trace_task *trace_add(struct trace *trace, const struct trace_request *request) {
    struct trace_task *task = calloc(1, sizeof(*task));
    if (!task)
        return NULL;
    task->trace = trace;
    task->request = *request;
    task->phase = trace->n_added++;
    task->started_ns = clock_monotonic_ns();
    trace_reader_init(&task->reader, trace->root, request->pid, request->has_children);
    link_task(task, &trace->tasks);
    if (!uv_is_active((uv_handle_t *)&trace->timer))
        start_timer(trace);
    return task;
}

void trace_remove(struct trace_task *task) {
    if (!task)
        return;
    unlink_task(task);
    if (!task->trace->tasks) {
        (void)uv_timer_stop(&task->trace->timer); /* cannot fail */
        task->trace->left_ns = 0;
    }
    trace_reader_close(&task->reader);
    trace_series_free(&task->series);
    free(task);
}

void trace_look(const struct trace_task *task, struct trace_view *ret) {
    *ret = (struct trace_view){0};
    if (task)
        *ret = (struct trace_view){
            .resident_bytes = task->resident_bytes,
            .least_bytes = task->series.least_bytes,
            .most_bytes = task->series.most_bytes,
            .together_bytes = task->together_bytes,
        };
}

void trace_write(const struct trace_task *task, const char *path, int attempt,
                 const struct credentials *credentials) {
    if (task->series.n_samples >= TRACE_LEAST_SAMPLES)
        trace_files_add(task->trace->files, &task->series, attempt, path, credentials);
}

void trace_tell_cost(const struct trace *trace, struct trace_cost *ret) {
    *ret = (struct trace_cost){
        .n_turns = trace->n_turns,
        .cpu_ns = trace->cpu_ns,
        .interval_ms = trace->interval_ms,
        .longest_ms = trace->longest_ms,
    };
}

/* ---- beginning and end ---- */

static void on_failed(void *context, const struct failure *failure) {
    struct trace *trace = context;
    if (!trace->has_failed)
        trace->failed(trace->context, failure);
    trace->has_failed = true;
}

int trace_open(uv_loop_t *loop, const char *root, int64_t interval_ms, trace_failed_cb failed,
               void *context, struct trace **ret, struct failure *failure) {
    CLEANUP_FREE struct trace *trace = calloc(1, sizeof(*trace));
    if (!trace)
        return failure_set_errno(failure, -ENOMEM, "cannot trace memory");
    *trace = (struct trace){
        .root = root,
        .files = trace_files_open(loop, on_failed, trace),
        .failed = failed,
        .context = context,
        .wanted_ms = interval_ms,
        .interval_ms = interval_ms,
        .longest_ms = interval_ms,
    };
    if (!trace->files)
        return failure_set_errno(failure, -ENOMEM, "cannot trace memory");
    (void)uv_timer_init(loop, &trace->timer); /* cannot fail */
    trace->timer.data = trace;
    *ret = STEAL_PTR(trace);
    return 0;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void trace_close(struct trace *trace) {
    if (!trace)
        return;
    trace_files_close(trace->files);
    uv_close((uv_handle_t *)&trace->timer, on_closed);
}
