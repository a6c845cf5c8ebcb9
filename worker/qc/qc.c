/* See qc.h. Each picture is a row of one table; threads draw them in any order, each to a file of
 * its own. */
#include "worker/qc/qc.h"

#include "common/atomic_file.h"
#include "worker/align/parallel.h"
#include "worker/memory/tracked.h"
#include "worker/qc/qc_picture.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <stdatomic.h>

/* common/footprint.c forecasts with these. */
enum { VERSION = 1, DRAWN_AT_ONCE = 2, DRAWING_BYTES = 9 << 20 };

static const char list_name[] = "qc.json";

struct row {
    const char *name;
    const char *title, *says;
    qc_picture_cb draw;
};

static const struct row rows[] = {
    {"overlay.png", "Overlay, before and after",
     "Post is magenta, pre is green: what lies where it should is grey or white, coloured fringes "
     "are misplaced.",
     qc_overlay},
    {"residuals.png", "Residual field",
     "Each arrow is a tile that the fit never saw: it points from where the map puts the tile to "
     "where it was found, magnified; crosses were found elsewhere.",
     qc_residuals},
    {"tiles.png", "Test tiles, worst and typical",
     "Tiles that the fit never saw, at full resolution: the upper row of each pair before, the "
     "lower one after; grey is right, coloured fringes are misplaced.",
     qc_tiles},
    {"difference.png", "Difference",
     "Post less the scaled pre: white is alike, red is brighter in post, blue is darker.",
     qc_difference},
    {"density.png", "Density of post against pre",
     "How often which pair of signals stands in one place; the background lies along the scale's "
     "line.",
     qc_density},
    {"excess.png", "Excess density",
     "What one side of the background's line has more than the other: bands that leave the line "
     "mean a wrong scale, a seam along it is noise.",
     qc_excess},
    {"log_ratio.png", "Log ratio and background scale",
     "The distribution that the background scale comes from: the line should stand at the peak of "
     "the left hump.",
     qc_log_ratio},
    {"histograms.png", "Histograms of pre and post",
     "How often which signal occurs; the dashed line is pre times the scale, and should follow "
     "post where the background is.",
     qc_histograms},
    {"difference_histogram.png", "Histogram of the difference",
     "The peak should stand at zero: it is the background. What the stain added is to the right.",
     qc_difference_histogram},
    {"blink_post.png", "Post", "The post image, to be flickered against blink_pre.png.",
     qc_blink_post},
    {"blink_pre.png", "Aligned pre",
     "The aligned pre image in the same frame: what jumps between the two is misplaced.",
     qc_blink_pre},
};

const char *qc_file_name(size_t i) {
    return i == 0 ? list_name : i <= ARRAY_LEN(rows) ? rows[i - 1].name : NULL;
}

struct drawing {
    const struct qc_data *data;
    atomic_int n_done;
    struct {
        int width, height; /* 0: nothing to show */
    } sizes[ARRAY_LEN(rows)];
};

static int path_of(const struct qc_task *task, const char *name, char **ret,
                   struct failure *failure) {
    if (asprintf(ret, "%s/%s", task->folder, name) >= 0)
        return 0;
    *ret = NULL;
    return failure_set(failure, -ENOMEM, "no memory for a path below %s", task->folder);
}

static int draw_cb(void *context, int thread, size_t item, struct failure *failure) {
    struct drawing *drawing = context;
    (void)thread; /* each picture has memory of its own */
    CLEANUP(canvas_close) struct canvas canvas = {0};
    CLEANUP_FREE char *path = NULL;
    int r = rows[item].draw(drawing->data, &canvas, failure);
    if (r == -ENODATA)
        return 0;
    if (r == 0)
        r = path_of(drawing->data->task, rows[item].name, &path, failure);
    if (r == 0)
        r = canvas_write(&canvas, path, failure);
    if (r < 0)
        return r;
    drawing->sizes[item].width = canvas.width;
    drawing->sizes[item].height = canvas.height;
    double done = atomic_fetch_add(&drawing->n_done, 1) + 1;
    return progress_set(drawing->data->task->context->progress, done / ARRAY_LEN(rows));
}

/* As many as the memory that is left allows. */
static int threads_for(const struct qc_task *task) {
    uint64_t budget = tracked_budget(), now = tracked_now();
    int threads = task->context->threads < DRAWN_AT_ONCE ? task->context->threads : DRAWN_AT_ONCE;
    if (budget > 0 && now + (uint64_t)threads * DRAWING_BYTES > budget)
        threads = 1;
    return threads;
}

static int remove_old(const struct qc_task *task, struct failure *failure) {
    for (size_t i = 0; qc_file_name(i); i++) {
        CLEANUP_FREE char *path = NULL;
        int r = path_of(task, qc_file_name(i), &path, failure);
        if (r < 0)
            return r;
        if (unlink(path) < 0 && errno != ENOENT)
            return failure_set_errno(failure, -errno, "cannot remove the outdated %s", path);
    }
    return 0;
}

static json_t *list(const struct drawing *drawing) {
    CLEANUP_JSON json_t *pictures = json_array();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (drawing->sizes[i].width > 0)
            json_array_append_new(pictures, json_pack("{s:s,s:s,s:s,s:i,s:i}", "name", rows[i].name,
                                                      "title", rows[i].title, "says", rows[i].says,
                                                      "width", drawing->sizes[i].width, "height",
                                                      drawing->sizes[i].height));
    return json_pack("{s:i,s:O}", "version", VERSION, "pictures", pictures);
}

int qc_draw(const struct qc_task *task, json_t **ret, struct failure *failure) {
    CLEANUP(qc_data_close) struct qc_data data = {0};
    struct drawing drawing = {.data = &data};
    CLEANUP_FREE char *path = NULL;
    int r = atomic_file_make_folders(task->folder, failure);
    if (r == 0)
        r = remove_old(task, failure);
    if (r == 0)
        r = qc_data_open(task, &data, failure);
    if (r == 0)
        r = parallel_run(ARRAY_LEN(rows), threads_for(task), draw_cb, &drawing, failure);
    if (r == 0)
        r = path_of(task, list_name, &path, failure);
    if (r < 0)
        return r;
    CLEANUP_JSON json_t *pictures = list(&drawing);
    if (!pictures)
        return failure_set(failure, -ENOMEM, "no memory for the list of pictures");
    r = atomic_file_write_json(path, pictures, failure);
    if (r == 0)
        *ret = STEAL_PTR(pictures);
    return r;
}
