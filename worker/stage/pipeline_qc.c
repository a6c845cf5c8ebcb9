/* See pipeline_qc.h. */
#include "worker/stage/pipeline_qc.h"

#include "worker/qc/qc.h"
#include "worker/stage/pipeline_finish.h"

#include <errno.h>

#define FOLDER "qc"

static bool stops_all(int code) {
    return code == -ENOSPC || code == -EDQUOT || code == -ENOMEM || code == -ECANCELED;
}

static int add_file(const struct pipeline *pipeline, const char *name, json_t *files,
                    struct failure *failure) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, FOLDER "/%s", name) < 0) {
        path = NULL;
        return failure_set(failure, -ENOMEM, "no memory for a picture's name");
    }
    return checkpoint_add_file(files, pipeline->task->out, path, failure);
}

static int list_files(const struct pipeline *pipeline, const json_t *pictures, json_t *files,
                      struct failure *failure) {
    int r = add_file(pipeline, qc_file_name(0), files, failure);
    for (size_t i = 0; r == 0 && i < json_array_size(pictures); i++)
        r = add_file(pipeline,
                     json_string_value(json_object_get(json_array_get(pictures, i), "name")), files,
                     failure);
    return r;
}

static int draw(struct pipeline *pipeline, json_t *files, struct failure *failure) {
    CLEANUP_FREE char *folder = NULL;
    CLEANUP_JSON json_t *list = NULL;
    if (asprintf(&folder, "%s/" FOLDER, pipeline->task->out) < 0) {
        folder = NULL;
        return failure_set(failure, -ENOMEM, "no memory for a path below %s", pipeline->task->out);
    }
    const struct qc_task task = {.context = &pipeline->context,
                                 .pre_survey = pipeline->done[STAGE_SURVEY_PRE].object,
                                 .post_survey = pipeline->done[STAGE_SURVEY_POST].object,
                                 .refine = pipeline->done[STAGE_REFINE].object,
                                 .verify = pipeline->done[STAGE_VERIFY].object,
                                 .scale = pipeline->done[STAGE_SCALE].object,
                                 .folder = folder};
    int r = qc_draw(&task, &list, failure);
    return r < 0 ? r : list_files(pipeline, json_object_get(list, "pictures"), files, failure);
}

int pipeline_qc(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    CLEANUP_JSON json_t *files = json_array();
    struct failure problem = {0};
    int r = files ? draw(pipeline, files, &problem) : -ENOMEM;
    if (stops_all(r)) {
        *failure = problem;
        return r;
    }
    if (r < 0)
        pipeline_say(pipeline, "no pictures: %s", problem.text);
    *ret = json_pack("{s:O,s:s*}", "files", files, "problem", r < 0 ? problem.text : NULL);
    return *ret ? 0 : failure_set(failure, -ENOMEM, "no memory for the list of pictures");
}
