/* One task's way from the queue to the engine and back. What an earlier submit has done is looked
 * at with the user's rights and stands, if nothing has changed. */
#include "supervisor/service/service_state.h"

#include "common/units.h"
#include "supervisor/batch/resume.h"

#include <errno.h>
#include <string.h>

/* Charged as an attempt starts, the rest when it ends: users who have used as much take turns. */
enum { TASK_FIRST_CHARGE_MS = 1000 };

/* Counted from when the engine has it until it starts. */
static void count_waiting(struct service *service, struct service_task *task, bool is_waiting) {
    if (task->is_waiting == is_waiting)
        return;
    task->is_waiting = is_waiting;
    if (is_waiting) {
        service->n_taken++;
        service->taken_bytes += task->taken.bytes;
    } else {
        service->n_taken--;
        service->taken_bytes -= task->taken.bytes;
    }
}

static void free_task(struct service_task *task) {
    queue_taken_free(&task->taken);
    free(task->planned.error);
    free(task);
}

/* ---- to the engine ---- */

/* An earlier end of the same work, with inputs and outputs as they were then. */
static bool is_done(const struct service_batch *of, const struct queue_taken *taken) {
    struct failure failure;
    struct resume *resume = NULL;
    struct task_list list = {.items = (struct task *)&taken->task, .count = 1};
    bool is_finished = false;
    if (!taken->earlier || resume_open(&resume, &failure) < 0)
        return false;
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    if (as_user_enter(of->credentials, &as_user, &failure) < 0 ||
        resume_replay(resume, taken->earlier, &failure) < 0 ||
        resume_decide(resume, &list, of->batch->out, NULL, &is_finished, &failure) < 0)
        is_finished = false; /* to do it again is always right */
    resume_close(resume);
    return is_finished;
}

static int plan(const struct service *service, const struct service_batch *of,
                struct service_task *task, struct failure *failure) {
    const bool is_pair = task->taken.task.kind == TASK_ALIGN;
    const struct conf *conf = service->settings.conf;
    struct preflight_task *planned = &task->planned;
    planned->is_wanted = true;
    planned->need = task->taken.need;
    planned->need.kind =
        model_kind(service->model, task->taken.task.kind_name, of->batch->user, is_pair);
    planned->disk_bytes = forecast_disk(&planned->need);
    planned->is_in_ram = of->is_in_ram;
    if (task->taken.task.timeout_ms > conf->max_timeout_ms) /* lowered since it was submitted */
        task->taken.task.timeout_ms = conf->max_timeout_ms;
    if (is_pair && !planned->need.is_pair) /* the worker will say why */
        planned->error = strdup("its images could not be read");
    if (planned->need.kind == SIZE_MAX || (is_pair && !planned->need.is_pair && !planned->error))
        return failure_set_errno(failure, -ENOMEM, "cannot start %s", task->taken.task.id);
    return 0;
}

static int hand_over(struct service_batch *of, struct service_task *task, struct failure *failure) {
    const int r = plan(of->service, of, task, failure);
    if (r < 0)
        return r;
    count_waiting(of->service, task, true);
    if (engine_add(of->line, &task->taken.task, &task->planned, task->taken.attempts, task) == 0)
        return 0;
    count_waiting(of->service, task, false);
    return failure_set_errno(failure, -ENOMEM, "cannot start %s", task->taken.task.id);
}

int service_task_take(struct service_batch *of, bool *ret_is_added, struct failure *failure) {
    struct service *service = of->service;
    *ret_is_added = false;
    struct service_task *task = calloc(1, sizeof(*task));
    if (!task)
        return failure_set_errno(failure, -ENOMEM, "cannot start a task of %s", of->batch->name);
    int r = queue_next(service->queue, of->batch, &task->taken, failure);
    if (r < 0) {
        free(task);
        return r;
    }
    task->of = of;
    if (is_done(of, &task->taken)) {
        if (queue_keep(service->queue, of->batch, &task->taken, clock_wall_ms()))
            service_end_begin(service, of->batch);
        free_task(task);
        return 0;
    }
    r = hand_over(of, task, failure);
    if (r < 0) {
        (void)!queue_give_back(service->queue, of->batch, task->taken.number, task->taken.attempts,
                               clock_wall_ms()); /* nobody can have cancelled it */
        free_task(task);
        return r;
    }
    *ret_is_added = true;
    return 0;
}

/* ---- back ---- */

/* A slot counts, too, however little memory was declared for what runs in it. */
static uint64_t charged(const struct service *service, uint64_t reserved_bytes) {
    const struct engine_limits *limits = &service->limits;
    const uint64_t slot = limits->memory_bytes / (uint64_t)(limits->jobs > 0 ? limits->jobs : 1);
    const uint64_t bytes = reserved_bytes > slot ? reserved_bytes : slot;
    return bytes < limits->memory_bytes ? bytes : limits->memory_bytes;
}

void service_task_started(void *context, struct engine_line *line, void *task_context,
                          uint64_t reserved_bytes) {
    struct service *service = context;
    struct service_task *task = task_context;
    const int64_t now_ms = clock_wall_ms();
    (void)line;
    count_waiting(service, task, false);
    queue_started(service->queue, task->of->batch, task->taken.number, now_ms);
    queue_charge(service->queue, task->of->batch, charged(service, reserved_bytes),
                 TASK_FIRST_CHARGE_MS, now_ms);
    service_window_rank(service);
    service->is_dirty = true;
    service_tell_start(service, task);
}

void service_task_over(void *context, struct engine_line *line, void *task_context,
                       uint64_t reserved_bytes, int64_t wall_ms) {
    struct service *service = context;
    const struct service_task *task = task_context;
    (void)line;
    if (wall_ms > TASK_FIRST_CHARGE_MS)
        queue_charge(service->queue, task->of->batch, charged(service, reserved_bytes),
                     wall_ms - TASK_FIRST_CHARGE_MS, clock_wall_ms());
    service->is_dirty = true;
}

void service_task_result(void *context, struct engine_line *line, void *task_context,
                         struct engine_result *result) {
    struct service *service = context;
    struct service_task *task = task_context;
    struct queue_batch *batch = task->of->batch;
    bool is_last;
    (void)line;
    count_waiting(service, task, false);
    service->is_dirty = true;
    if (result->finished) {
        const struct queue_result end = {
            .verdict = result->verdict,
            .attempts = result->attempts,
            .wall_ms = result->wall_ms,
            .peak_rss_bytes = result->peak_rss_bytes,
            .seq = result->seq,
            .now = clock_wall_ms(),
        };
        is_last = queue_result(service->queue, batch, task->taken.number, &end);
        service_tell_task(service, task, result);
        service_hooks_task(service, task, result);
    } else {
        is_last = queue_give_back(service->queue, batch, task->taken.number, result->attempts,
                                  clock_wall_ms());
    }
    free_task(task);
    if (is_last && !service->is_closed)
        service_end_begin(service, batch);
    service_compact(service);
}

/* ---- before it is queued ---- */

/* What the administrator allows to no task. */
static int judge_limits(const struct service *service, const struct options *options,
                        const struct task *task, struct failure *failure) {
    const struct conf *conf = service->settings.conf;
    char asked[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES];
    const int64_t batch_ms =
        options->timeout_ms != OPTIONS_DEFAULT_TIMEOUT_MS ? options->timeout_ms : 0;
    const int64_t timeout_ms = task->timeout_ms > 0 ? task->timeout_ms : batch_ms;
    const uint64_t most_bytes = service_window_max_memory(service);
    if (timeout_ms > conf->max_timeout_ms)
        return failure_set(failure, -EFBIG,
                           "%s asks for a timeout of %s, and this service allows %s at most "
                           "(max-timeout); give it less",
                           task->id, units_format_duration(timeout_ms, asked),
                           units_format_duration(conf->max_timeout_ms, most));
    if (task->memory_bytes > most_bytes)
        return failure_set(failure, -EFBIG,
                           "%s asks for %s of memory, and this service allows a task %s at most "
                           "(max-memory); give it less",
                           task->id, units_format_size(task->memory_bytes, asked),
                           units_format_size(most_bytes, most));
    return 0;
}

/* What could never start. */
static int judge_fit(const struct service *service, const char *user, const struct options *options,
                     const struct task *task, const struct forecast_task *need,
                     struct failure *failure) {
    const uint64_t budget = service->limits.memory_bytes;
    struct forecast_task known = *need;
    char needed[UNITS_TEXT_BYTES], there[UNITS_TEXT_BYTES];
    known.kind = model_find_kind(service->model, task->kind_name, user, task->kind == TASK_ALIGN);
    if (task->broken || (task->kind == TASK_ALIGN && !need->is_pair))
        return 0;
    const struct forecast forecast =
        forecast_make(&known, service->model, 1, options->worker_memory_bytes);
    const bool is_sure = forecast.basis == FORECAST_DECLARED || forecast.basis == FORECAST_HEADERS;
    if (!is_sure || forecast.predicted_bytes <= budget)
        return 0;
    return failure_set(failure, -EFBIG,
                       "%s needs %s, and all tasks together may use %s of this machine: it could "
                       "never start; give it less, or --force it",
                       task->id, units_format_size(forecast.predicted_bytes, needed),
                       units_format_size(budget, there));
}

int service_task_judge(void *context, const char *user, const struct options *options,
                       const struct task *task, const struct forecast_task *need,
                       struct failure *failure) {
    const struct service *service = context;
    if (options->force)
        return 0;
    const int r = judge_fit(service, user, options, task, need, failure);
    return r < 0 ? r : judge_limits(service, options, task, failure);
}
