/* See apply.h. The sandbox is entered when all that is asked for is known, and before any byte of
 * it is looked at. Signals that stop are not held: nothing of an apply is kept, so it may die where
 * it stands, in a read that waits for a pipe too. */
#include "worker/apply/apply.h"

#include "common/protocol.h"
#include "worker/apply/apply_image.h"
#include "worker/apply/apply_map.h"
#include "worker/apply/apply_points.h"
#include "worker/apply/apply_task.h"
#include "worker/sandbox/sandbox.h"
#include "worker/stage/pipeline.h"
#include "worker/stage/progress.h"
#include "worker/stage/report.h"

#include <fcntl.h>

static int enter_sandbox(const struct apply_task *task, const struct report *report,
                         struct failure *failure) {
    const char *const inputs[] = {task->transform, task->image};
    const struct landlock_paths paths = {
        .inputs = inputs, .n_inputs = task->image ? 2 : 1, .output = task->out};
    return task->is_unconfined ? 0 : sandbox_enter(&paths, report_descriptor(report), failure);
}

static json_t *points_result(const struct apply_points_counts *counts) {
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "points", (json_int_t)counts->points, "outside",
                     (json_int_t)counts->outside, "outside_line", (json_int_t)counts->outside_line,
                     "beyond", (json_int_t)counts->beyond, "unmapped", (json_int_t)counts->unmapped,
                     "unmapped_line", (json_int_t)counts->unmapped_line);
}

static int run_points(const struct apply_task *task, const struct apply_map *map,
                      struct progress *progress, json_t **ret, struct failure *failure) {
    struct apply_points_counts counts = {0};
    int r =
        apply_points_run(task, map, PROTOCOL_INPUT_FD, STDOUT_FILENO, progress, &counts, failure);
    if (r < 0)
        return r;
    *ret = points_result(&counts);
    return *ret ? 0 : failure_set(failure, -ENOMEM, "no memory for the result");
}

static int run_image(const struct apply_task *task, const struct apply_map *map,
                     struct progress *progress, json_t **ret, struct failure *failure) {
    struct apply_image_result result = {0};
    int r = apply_image_run(task, map, progress, &result, failure);
    if (r < 0)
        return r;
    *ret = json_pack("{s:I,s:I,s:f}", "width", (json_int_t)result.width, "height",
                     (json_int_t)result.height, "covered", result.covered);
    return *ret ? 0 : failure_set(failure, -ENOMEM, "no memory for the result");
}

static int send_result(struct report *report, const struct apply_map *map, json_t *done,
                       struct failure *failure) {
    json_t *line = json_pack("{s:s,s:s,s:s,s:[i,i],s:[i,i]}", "event", "result", "status",
                             map->is_doubtful ? "doubtful" : "aligned", "reason", map->reason,
                             "pre_size", (int)map->pre_width, (int)map->pre_height, "post_size",
                             (int)map->post_width, (int)map->post_height);
    if (!line || json_object_update(line, done) < 0) {
        json_decref(line);
        return failure_set(failure, -ENOMEM, "no memory for the result");
    }
    int r = report_send(report, line);
    return r < 0 ? failure_set_errno(failure, r, "cannot report the result") : 0;
}

static int apply(const struct apply_task *task, struct report *report, struct failure *failure) {
    struct apply_map map;
    CLEANUP_JSON json_t *done = NULL;
    struct progress *progress = progress_open(report);
    int r = progress ? enter_sandbox(task, report, failure)
                     : failure_set(failure, -ENOMEM, "no memory to begin");
    if (r == 0)
        r = apply_map_read(task->transform, &map, failure);
    if (r == 0 && task->image)
        r = run_image(task, &map, progress, &done, failure);
    else if (r == 0)
        r = run_points(task, &map, progress, &done, failure);
    progress_close(progress);
    return r < 0 ? r : send_result(report, &map, done, failure);
}

/* Points come and go by descriptors of their own; a report among them would be one of the rows. */
static int check_descriptors(const struct apply_task *task, const struct report *report,
                             struct failure *failure) {
    if (!task->points ||
        (report_descriptor(report) != STDOUT_FILENO && fcntl(PROTOCOL_INPUT_FD, F_GETFD) >= 0))
        return 0;
    return failure_set(failure, -EINVAL,
                       "points need descriptors %d (reports) and %d (the table): registrar-worker "
                       "apply < APPLY.json %d> reports %d< in.csv > out.csv",
                       PROTOCOL_REPORT_FD, PROTOCOL_INPUT_FD, PROTOCOL_REPORT_FD,
                       PROTOCOL_INPUT_FD);
}

int apply_main(struct report *report) {
    struct failure failure = {0};
    struct apply_task task = {0};
    int r = apply_task_read(stdin, &task, &failure);
    if (r == 0)
        r = check_descriptors(&task, report, &failure);
    if (r < 0) {
        report_error(report, "input", &failure);
        apply_task_clear(&task);
        return PROTOCOL_EXIT_USAGE;
    }
    r = apply(&task, report, &failure);
    apply_task_clear(&task);
    if (r == 0)
        return 0;
    if (!failure.text[0])
        (void)failure_set_errno(&failure, r, "it could not be done");
    report_error(report, pipeline_is_environment(r) ? "environment" : "input", &failure);
    return PROTOCOL_EXIT_ERROR;
}
