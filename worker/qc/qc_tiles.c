/* Single test tiles at full resolution, before and after: the worst ones, and ones in the middle of
 * the field. Each image's tones are those of the tile, so that faint things are seen too. */
#include "worker/qc/qc_picture.h"

#include "worker/align/sample.h"
#include "worker/memory/tracked.h"
#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"

#include <errno.h>
#include <math.h>

enum {
    CROP = 192,
    COLUMNS = 4,
    LEFT = 44,
    TOP = 74,
    STEP_X = CROP + 14,
    STEP_Y = CROP + 8,
    GROUP_HEAD = 26,
    GROUP_HEIGHT = GROUP_HEAD + 2 * STEP_Y + 62,
    EVERY = 5,          /* pixel takes part in choosing the tones */
    MOST_SOURCE = 1024, /* px of a side of what a crop is sampled from */
};
static const uint64_t CACHE_BYTES = 1 << 20;
static const double LOW_SHARE = 0.01, HIGH_SHARE = 0.997, LEAST_RANGE = 0.3;

struct shop {
    const struct qc_data *data;
    struct image_reader *pre, *post;
    float *post_crop, *pre_crop; /* CROP x CROP */
    double *sorted;
};

static void shop_close(struct shop *shop) {
    image_reader_close(shop->pre);
    image_reader_close(shop->post);
    tracked_free(shop->post_crop);
    tracked_free(shop->pre_crop);
    tracked_free(shop->sorted);
}

static int shop_open(const struct qc_data *data, struct shop *ret, struct failure *failure) {
    const struct align_context *context = data->task->context;
    ret->data = data;
    ret->post_crop = tracked_alloc(CROP * CROP, sizeof(float), "tile");
    ret->pre_crop = tracked_alloc(CROP * CROP, sizeof(float), "tile");
    ret->sorted = tracked_alloc(CROP * CROP, sizeof(double), "tile");
    if (!ret->post_crop || !ret->pre_crop || !ret->sorted)
        return failure_set(failure, -ENOMEM, "no memory for a tile's picture");
    int r = image_reader_open(context->pre, CACHE_BYTES, &ret->pre, failure);
    return r < 0 ? r : image_reader_open(context->post, CACHE_BYTES, &ret->post, failure);
}

/* The window's signal to ret, 0 outside the image. */
static int read_signal(struct image_reader *reader, const struct survey *survey,
                       const struct sample_window *window, float *ret, struct failure *failure) {
    const struct signal *signal = &survey->signal;
    int left = window->x > 0 ? window->x : 0, top = window->y > 0 ? window->y : 0;
    int right = (int)fmin(window->x + window->width, survey->layout.width);
    int bottom = (int)fmin(window->y + window->height, survey->layout.height);
    size_t pixel = (size_t)signal->samples * signal->bits / 8;
    for (size_t i = 0; i < (size_t)window->width * (size_t)window->height; i++)
        ret[i] = 0;
    if (left >= right || top >= bottom)
        return 0;
    size_t stride = pixel * (size_t)(right - left);
    CLEANUP_TRACKED unsigned char *pixels =
        tracked_alloc((size_t)(bottom - top), stride, "tile's source");
    if (!pixels)
        return failure_set(failure, -ENOMEM, "no memory for a tile's picture");
    int r = image_reader_read(reader, (uint32_t)left, (uint32_t)top, (uint32_t)(right - left),
                              (uint32_t)(bottom - top), pixels, stride, failure);
    for (int y = top; y < bottom && r == 0; y++)
        signal_extract(signal, pixels + (size_t)(y - top) * stride, (size_t)(right - left),
                       ret + (size_t)(y - window->y) * (size_t)window->width + (left - window->x));
    return r;
}

/* Pre through the map onto the window of post. */
static int sample_pre(struct shop *shop, const struct map *map, const struct sample_window *window,
                      struct failure *failure) {
    struct sample_window reach = sample_reach(map, window, 1);
    for (size_t i = 0; i < CROP * CROP; i++)
        shop->pre_crop[i] = 0;
    if (reach.width < 1 || reach.height < 1 || reach.width > MOST_SOURCE ||
        reach.height > MOST_SOURCE)
        return 0; /* no map that anybody would look through */
    CLEANUP_TRACKED float *block =
        tracked_alloc((size_t)reach.width * (size_t)reach.height, sizeof(float), "tile's source");
    if (!block)
        return failure_set(failure, -ENOMEM, "no memory for a tile's picture");
    int r = read_signal(shop->pre, &shop->data->pre_survey, &reach, block, failure);
    const struct sample_block source = {block, reach.x, reach.y, reach.width, reach.height};
    if (r == 0)
        sample_cubic(&source, map, window, shop->pre_crop, NULL);
    return r;
}

/* At least a share of the image's own range: empty ground is dark, and not blown up to noise. */
static struct qc_range range_of(struct shop *shop, const float *crop,
                                const struct qc_range *image) {
    size_t n = 0;
    for (size_t i = 0; i < CROP * CROP; i += EVERY)
        shop->sorted[n++] = (double)crop[i];
    double low = fit_quantile(shop->sorted, n, LOW_SHARE);
    double high = fit_quantile(shop->sorted, n, HIGH_SHARE);
    high = fmax(high, low + LEAST_RANGE * (image->high - image->low));
    return (struct qc_range){low, high, high};
}

static void paint(struct canvas *canvas, const struct shop *shop, const struct qc_range *post,
                  const struct qc_range *pre, int left, int top) {
    uint32_t *pixels = canvas_begin_pixels(canvas);
    for (int y = 0; y < CROP; y++)
        for (int x = 0; x < CROP; x++) {
            double a =
                ((double)shop->post_crop[y * CROP + x] - post->low) / (post->high - post->low);
            double b = ((double)shop->pre_crop[y * CROP + x] - pre->low) / (pre->high - pre->low);
            pixels[(top + y) * canvas->width + left + x] =
                colour_overlay(a, shop->data->is_inverted ? 1 - b : b);
        }
    canvas_end_pixels(canvas);
}

static void write_caption(struct canvas *canvas, const struct verify_tile *tile, int left,
                          double y) {
    char text[64];
    canvas_set_colour(canvas, COLOUR_TEXT);
    (void)snprintf(text, sizeof(text), "x %.0f, y %.0f", tile->x, tile->y);
    lettering_draw(canvas, left, y, PLOT_TICK_PX, LETTERING_LEFT, text);
    (void)snprintf(text, sizeof(text), tile->residual_px < 0.1 ? "%.3f px off%s" : "%.2f px off%s",
                   tile->residual_px, tile->answer == VERIFY_CONTRADICTS ? ": contradicts" : "");
    lettering_draw(canvas, left, y + 18, PLOT_TICK_PX, LETTERING_LEFT, text);
}

static int draw_tile(struct shop *shop, struct canvas *canvas, const struct verify_tile *tile,
                     int left, int top, struct failure *failure) {
    const struct qc_data *data = shop->data;
    const struct sample_window window = {(int)lround(tile->x) - CROP / 2,
                                         (int)lround(tile->y) - CROP / 2, CROP, CROP};
    struct map after = transform_local(&data->transform, tile->x, tile->y, CROP);
    struct map_point shift = qc_data_before(data, 0, 0);
    struct map before = {{1, 0, shift.x, 0, 1, shift.y, 0, 0, 1}};
    int r = read_signal(shop->post, &data->post_survey, &window, shop->post_crop, failure);
    if (r == 0)
        r = sample_pre(shop, &after, &window, failure);
    if (r < 0)
        return r;
    struct qc_range post = range_of(shop, shop->post_crop, &data->post_range);
    struct qc_range pre = range_of(shop, shop->pre_crop, &data->pre_range);
    qc_data_match(data, &pre, &post);
    paint(canvas, shop, &post, &pre, left, top + STEP_Y);
    r = sample_pre(shop, &before, &window, failure);
    if (r < 0)
        return r;
    paint(canvas, shop, &post, &pre, left, top);
    write_caption(canvas, tile, left, top + 2 * STEP_Y + 12);
    return 0;
}

/* Which tiles are shown: those that have something to show, by residual. */
struct choice {
    size_t count;
    struct verify_tile sorted[VERIFY_TILES_MOST]; /* largest residual first */
};

/* Equal ones by their place: qsort may turn them around. */
static int compare(const void *a, const void *b) {
    const struct verify_tile *left = a, *right = b;
    if (left->residual_px != right->residual_px)
        return left->residual_px > right->residual_px ? -1 : 1;
    if (left->y != right->y)
        return left->y < right->y ? -1 : 1;
    return left->x < right->x ? -1 : left->x > right->x;
}

static void sort_tiles(const struct verify_tiles *tiles, struct choice *ret) {
    ret->count = 0;
    for (size_t i = 0; i < tiles->count; i++)
        if (tiles->tiles[i].answer != VERIFY_SILENT)
            ret->sorted[ret->count++] = tiles->tiles[i];
    qsort(ret->sorted, ret->count, sizeof(*ret->sorted), compare);
}

static int draw_group(struct shop *shop, struct canvas *canvas, const struct choice *choice,
                      size_t first, int top, const char *title, struct failure *failure) {
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw_bold(canvas, LEFT, top + 14, PLOT_LABEL_PX, LETTERING_LEFT, title);
    lettering_draw_upward(canvas, LEFT - 12, top + GROUP_HEAD + CROP / 2.0, PLOT_LABEL_PX,
                          "before");
    lettering_draw_upward(canvas, LEFT - 12, top + GROUP_HEAD + STEP_Y + CROP / 2.0, PLOT_LABEL_PX,
                          shop->data->is_failed ? "candidate" : "after");
    int r = 0;
    for (size_t i = 0; i < COLUMNS && first + i < choice->count && r == 0; i++)
        r = draw_tile(shop, canvas, &choice->sorted[first + i], LEFT + (int)i * STEP_X,
                      top + GROUP_HEAD, failure);
    return r;
}

int qc_tiles(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    CLEANUP(shop_close) struct shop shop = {0};
    CLEANUP_FREE struct choice *choice = calloc(1, sizeof(*choice));
    if (!choice)
        return failure_set(failure, -ENOMEM, "no memory for the choice of tiles");
    sort_tiles(data->tiles, choice);
    if (!data->has_map || choice->count == 0)
        return -ENODATA;
    bool has_typical = choice->count >= 2 * COLUMNS;
    int r = shop_open(data, &shop, failure);
    if (r == 0)
        r = canvas_open(LEFT + COLUMNS * STEP_X + 6, TOP + (has_typical ? 2 : 1) * GROUP_HEIGHT,
                        ret, failure);
    if (r < 0)
        return r;
    plot_title(ret, "Test tiles at full resolution: post magenta, pre green");
    canvas_set_colour(ret, COLOUR_FAINT);
    lettering_draw(ret, 20, 54, PLOT_TICK_PX, LETTERING_LEFT,
                   "Tiles that the fit never saw. Before: laid by the images' centres.");
    r = draw_group(&shop, ret, choice, 0, TOP, "The four worst", failure);
    size_t middle =
        choice->count / 2 > COLUMNS + COLUMNS / 2 ? choice->count / 2 - COLUMNS / 2 : COLUMNS;
    if (r == 0 && has_typical)
        r = draw_group(&shop, ret, choice, middle, TOP + GROUP_HEIGHT,
                       "Four typical ones, around the median", failure);
    return r;
}
