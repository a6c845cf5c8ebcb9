/* Brightness of a block: background + outline x (tissue + splats), then the exposure.
 *
 * Each splat is drawn over the pixels that it can reach, found through the map's local
 * magnification; positions in the block are floats relative to the block's own place in the scene,
 * so that an image of any size has the same precision.
 */
#include "tests/tools/scene/render.h"

#include "common/vector.h"

#include <math.h>
#include <string.h>

enum { BLOCK_AREA = RENDER_BLOCK_PX * RENDER_BLOCK_PX, TEAR_EDGE_PX = 6 };

struct block {
    int width, height;
    double origin_x, origin_y; /* scene place that u and v count from: the block's centre */
    double radius;             /* scene px: no pixel lies further from there */
    double magnification;      /* image px per scene px, at most */
    struct matrix from_scene;  /* scene to block pixels; with a bend: nearly so */
    double strain;             /* of the bend: how nearly */
    float u[BLOCK_AREA], v[BLOCK_AREA];
    float sum[BLOCK_AREA]; /* of the splats */
    float mask[BLOCK_AREA];
};

static void place_block(struct block *block, const struct view *view, int x0, int y0) {
    struct matrix shift = {{1, 0, x0, 0, 1, y0, 0, 0, 1}};
    struct matrix to_scene = matrix_then(shift, view->to_scene);
    block->from_scene = matrix_inverse(to_scene);
    double cx = (block->width - 1) / 2.0;
    double cy = (block->height - 1) / 2.0;
    matrix_apply(&to_scene, cx, cy, &block->origin_x, &block->origin_y);
    if (view->bend.amplitude != 0.0) {
        double x = block->origin_x;
        double y = block->origin_y;
        bend_apply(&view->bend, x, y, &block->origin_x, &block->origin_y);
        struct matrix unbend = {{1, 0, x - block->origin_x, 0, 1, y - block->origin_y, 0, 0, 1}};
        block->from_scene = matrix_then(unbend, block->from_scene);
        block->strain = bend_strain(&view->bend);
    }
    block->radius = 0.0;
    for (int y = 0; y < block->height; y++)
        for (int x = 0; x < block->width; x++) {
            double sx;
            double sy;
            matrix_apply(&to_scene, x, y, &sx, &sy);
            if (view->bend.amplitude != 0.0)
                bend_apply(&view->bend, sx, sy, &sx, &sy);
            block->u[y * RENDER_BLOCK_PX + x] = (float)(sx - block->origin_x);
            block->v[y * RENDER_BLOCK_PX + x] = (float)(sy - block->origin_y);
            block->radius = fmax(block->radius, hypot(sx - block->origin_x, sy - block->origin_y));
        }
    /* the inverse's Jacobian by differences; its Frobenius norm bounds the magnification, and a
     * tenth covers what a perspective adds within the block */
    double px;
    double py;
    double ax;
    double ay;
    double bx;
    double by;
    matrix_apply(&block->from_scene, block->origin_x, block->origin_y, &px, &py);
    matrix_apply(&block->from_scene, block->origin_x + 1.0, block->origin_y, &ax, &ay);
    matrix_apply(&block->from_scene, block->origin_x, block->origin_y + 1.0, &bx, &by);
    block->magnification = 1.1 * fmax(hypot(ax - px, ay - py), hypot(bx - px, by - py));
}

/* What the inner loops need of a splat. */
struct brush {
    float x, y; /* relative to the block's origin */
    float ca, sa, cb, sb;
    float amplitude, turns, phase;
};

VECTOR_CLONES static void paint_smooth(const struct brush *brush, const float *u, const float *v,
                                       float *sum, int count) {
    struct brush b = *brush;
    for (int i = 0; i < count; i++) {
        float dx = u[i] - b.x;
        float dy = v[i] - b.y;
        float along = dx * b.ca + dy * b.sa;
        float across = dy * b.cb - dx * b.sb;
        float q = 1.0F - along * along - across * across;
        q = q > 0.0F ? q : 0.0F;
        sum[i] += b.amplitude * q * q * q;
    }
}

VECTOR_CLONES static void paint_cell(const struct brush *brush, const float *u, const float *v,
                                     float *sum, int count) {
    struct brush b = *brush;
    for (int i = 0; i < count; i++) {
        float dx = u[i] - b.x;
        float dy = v[i] - b.y;
        float along = dx * b.ca + dy * b.sa;
        float across = dy * b.cb - dx * b.sb;
        float q = 2.2F * (1.0F - along * along - across * across);
        q = q > 0.0F ? q : 0.0F;
        q = q < 1.0F ? q : 1.0F;
        sum[i] += b.amplitude * q * q * (3.0F - 2.0F * q);
    }
}

VECTOR_CLONES static void paint_gabor(const struct brush *brush, const float *u, const float *v,
                                      float *sum, int count) {
    struct brush b = *brush;
    for (int i = 0; i < count; i++) {
        float dx = u[i] - b.x;
        float dy = v[i] - b.y;
        float along = dx * b.ca + dy * b.sa;
        float across = dy * b.cb - dx * b.sb;
        float q = 1.0F - along * along - across * across;
        q = q > 0.0F ? q : 0.0F;
        sum[i] += b.amplitude * q * q * q * scene_wave_value(along * b.turns + b.phase);
    }
}

/* Blur widens the kernel and lowers it so that its integral stays: the variance of (1 - r^2)^3 is a
 * tenth of its squared radius along each axis. */
static struct brush make_brush(const struct block *block, const struct splat *splat, double blur) {
    double widen = 10.0 * blur * blur;
    double a = sqrt((double)splat->long_axis * (double)splat->long_axis + widen);
    double b = sqrt((double)splat->short_axis * (double)splat->short_axis + widen);
    double lower = (double)splat->long_axis * (double)splat->short_axis / (a * b);
    double f = (double)splat->cycles_per_px;
    lower *= exp(-2.0 * M_PI * M_PI * f * f * blur * blur);
    return (struct brush){
        .x = (float)((double)splat->x - block->origin_x),
        .y = (float)((double)splat->y - block->origin_y),
        .ca = splat->cos_a / (float)a,
        .sa = splat->sin_a / (float)a,
        .cb = splat->cos_a / (float)b,
        .sb = splat->sin_a / (float)b,
        .amplitude = (float)((double)splat->amplitude * lower),
        .turns = (float)(f * a),
        .phase = splat->phase,
    };
}

static int clamp_to(double value, int high) {
    return value < 0.0 ? 0 : value > (double)high ? high : (int)value;
}

static void paint_splat(struct block *block, enum splat_kind kind, const struct splat *splat,
                        double blur, float *sum) {
    double reach = ((double)splat->long_axis + 3.2 * blur);
    if (hypot((double)splat->x - block->origin_x, (double)splat->y - block->origin_y) >
        reach + block->radius)
        return;
    double px;
    double py;
    matrix_apply(&block->from_scene, (double)splat->x, (double)splat->y, &px, &py);
    /* a splat lies at most its reach and the radius away: so far does the strain displace it */
    double slack = block->strain * (2.0 * reach + block->radius) / (1.0 - block->strain);
    double half = (reach + slack) * block->magnification + 1.0;
    int left = clamp_to(px - half, block->width);
    int right = clamp_to(px + half + 1.0, block->width);
    int top = clamp_to(py - half, block->height);
    int bottom = clamp_to(py + half + 1.0, block->height);
    struct brush brush = make_brush(block, splat, blur);
    for (int y = top; y < bottom && right > left; y++) {
        int at = y * RENDER_BLOCK_PX + left;
        int count = right - left;
        switch (kind) {
        case SPLAT_SMOOTH:
            paint_smooth(&brush, block->u + at, block->v + at, sum + at, count);
            break;
        case SPLAT_CELL:
            paint_cell(&brush, block->u + at, block->v + at, sum + at, count);
            break;
        case SPLAT_GABOR:
            paint_gabor(&brush, block->u + at, block->v + at, sum + at, count);
            break;
        }
    }
}

static size_t lattice_index(double place, size_t count) {
    return place < 0.0 ? 0 : place >= (double)count ? count - 1 : (size_t)place;
}

static void paint_layer(struct block *block, const struct splat_layer *layer, double blur,
                        float *sum) {
    double reach = layer->reach + 3.2 * blur + block->radius;
    double x = block->origin_x - layer->x0;
    double y = block->origin_y - layer->y0;
    size_t left = lattice_index((x - reach) / layer->spacing, layer->nx);
    size_t right = lattice_index((x + reach) / layer->spacing, layer->nx);
    size_t top = lattice_index((y - reach) / layer->spacing, layer->ny);
    size_t bottom = lattice_index((y + reach) / layer->spacing, layer->ny);
    for (size_t row = top; row <= bottom; row++)
        for (size_t i = layer->first[row * layer->nx + left];
             i < layer->first[row * layer->nx + right + 1]; i++)
            paint_splat(block, layer->kind, &layer->items[i], blur, sum);
}

/* Fills mask with 1 inside the tissue, 0 outside, a smooth step between. Returns false when the
 * block holds no tissue at all. */
static bool fill_mask(struct block *block, const struct view *view) {
    const struct scene *scene = view->scene;
    double edge = scene->edge * (1.0 + view->blur / 4.0);
    double middle = scene_outline(scene, block->origin_x, block->origin_y);
    double change = scene->slope * block->radius + edge;
    if (!scene->has_tissue || middle < -change)
        return false;
    for (int i = 0; i < BLOCK_AREA; i++)
        block->mask[i] = 1.0F;
    for (int y = 0; y < block->height && middle < change; y++)
        for (int x = 0; x < block->width; x++) {
            int i = y * RENDER_BLOCK_PX + x;
            double value = scene_outline(scene, block->origin_x + (double)block->u[i],
                                         block->origin_y + (double)block->v[i]);
            double q = fmin(fmax(value / edge * 0.5 + 0.5, 0.0), 1.0);
            block->mask[i] = (float)(q * q * (3.0 - 2.0 * q));
        }
    return true;
}

/* The holes, and what lies beyond the tear. */
static void take_away(struct block *block, const struct view *view) {
    const struct scene *scene = view->scene;
    float gone[BLOCK_AREA] = {0};
    paint_layer(block, &scene->holes, view->blur, gone);
    for (int y = 0; y < block->height; y++)
        for (int x = 0; x < block->width; x++) {
            int i = y * RENDER_BLOCK_PX + x;
            double torn = scene_torn(scene, block->origin_x + (double)block->u[i],
                                     block->origin_y + (double)block->v[i]);
            float share = (float)fmin(fmax(torn / TEAR_EDGE_PX + 0.5, 0.0), 1.0);
            block->mask[i] *= 1.0F - fminf(gone[i] + share, 1.0F);
        }
}

/* Above a half the response flattens out, as no camera is allowed to saturate. */
static double soften(double s) { return s <= 0.5 ? s : 0.5 + 0.45 * (s - 0.5) / (s - 0.05); }

static double glow(const struct scene *scene, double x, double y) {
    double sum = 1.0;
    for (int i = 0; i < SCENE_GLOW_WAVES; i++) {
        const struct scene_wave *wave = &scene->glow[i];
        sum += (double)(wave->amplitude *
                        scene_wave_value(wave->kx * (float)x + wave->ky * (float)y + wave->phase));
    }
    return scene->glow_level * sum;
}

static void expose(const struct block *block, const struct view *view, const float *bare,
                   const float *objects, bool tissue, float *ret, size_t stride) {
    for (int y = 0; y < block->height; y++)
        for (int x = 0; x < block->width; x++) {
            int i = y * RENDER_BLOCK_PX + x;
            double s = glow(view->scene, block->origin_x + (double)block->u[i],
                            block->origin_y + (double)block->v[i]);
            s += fmax((double)bare[i], 0.0);
            if (tissue)
                s += (double)block->mask[i] * fmax(0.15 + (double)block->sum[i], 0.0);
            double value = view->exposure * soften(s);
            value += fmin((double)objects[i], 0.9) * fmax(0.97 - value, 0.0);
            if (view->gamma != 1.0)
                value = pow(value, view->gamma);
            ret[(size_t)y * stride + (size_t)x] = (float)(value + view->offset);
        }
}

void render_block(const struct view *view, int x0, int y0, int w, int h, float *ret,
                  size_t stride) {
    const struct scene *scene = view->scene;
    struct block block = {.width = w, .height = h};
    float bare[BLOCK_AREA] = {0};
    float objects[BLOCK_AREA] = {0};
    if (view->pure_noise) {
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                ret[(size_t)y * stride + (size_t)x] = 0.3F;
        return;
    }
    place_block(&block, view, x0, y0);
    bool tissue = fill_mask(&block, view);
    for (size_t i = 0; i < scene->n_layers; i++) {
        const struct splat_layer *layer = &scene->layers[i];
        if (layer->beyond_tissue || tissue)
            paint_layer(&block, layer, view->blur, layer->beyond_tissue ? bare : block.sum);
    }
    paint_layer(&block, &scene->objects, view->blur, objects);
    take_away(&block, view);
    expose(&block, view, bare, objects, tissue, ret, stride);
}
