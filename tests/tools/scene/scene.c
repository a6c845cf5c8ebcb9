/* Builds the specimen: outline, then layer by layer the splats.
 *
 * A lattice cell's splats depend on seed, layer and the cell's place alone, so that the same seed
 * gives the same specimen.
 */
#include "tests/tools/scene/scene_recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double between(uint64_t *state, double low, double high) {
    return low + (high - low) * scene_uniform(state);
}

static double wave_at(const struct scene_wave *wave, double x, double y) {
    float turns = wave->kx * (float)x + wave->ky * (float)y + wave->phase;
    return (double)(wave->amplitude * scene_wave_value(turns));
}

double scene_outline(const struct scene *scene, double x, double y) {
    double value = scene->base;
    if (scene->kind == SCENE_TISSUE) {
        double dx = (x - scene->center_x) / scene->half_width;
        double dy = (y - scene->center_y) / scene->half_height;
        value -= dx * dx + dy * dy;
    }
    for (int i = 0; i < SCENE_OUTLINE_WAVES; i++)
        value += wave_at(&scene->outline[i], x, y);
    return value;
}

double scene_torn(const struct scene *scene, double x, double y) {
    const struct scene_tear *tear = &scene->tear;
    return tear->present ? tear->nx * x + tear->ny * y + wave_at(&tear->wave, x, y) - tear->at
                         : -HUGE_VAL;
}

static struct scene_wave random_wave(uint64_t *state, double wavelength, double amplitude) {
    double angle = between(state, 0.0, 2.0 * M_PI);
    return (struct scene_wave){(float)(cos(angle) / wavelength), (float)(sin(angle) / wavelength),
                               (float)scene_uniform(state), (float)amplitude};
}

/* Islands: where long waves happen to add up, a third of the ground. */
static void build_islands(struct scene *scene, double side, uint64_t *state) {
    scene->base = -0.35;
    scene->edge = 40.0 / side;
    for (int i = 0; i < SCENE_OUTLINE_WAVES; i++) {
        double length = (i < 9 ? between(state, 0.15, 0.4) : between(state, 0.03, 0.08)) * side;
        scene->outline[i] = random_wave(state, length, i < 9 ? 0.32 : 0.06);
        scene->slope += 2.0 * M_PI * (double)scene->outline[i].amplitude / length;
    }
}

/* The ellipse with long waves (bays and tongues) and short ones (a ragged edge). */
static void build_ellipse(struct scene *scene, double side, uint64_t *state) {
    scene->base = 1.0;
    scene->edge = 10.0 / side;
    scene->slope = 9.0 / side; /* the ellipse alone, to half an axis beyond it */
    for (int i = 0; i < SCENE_OUTLINE_WAVES; i++) {
        double share = 0.9 * pow(0.05, (double)i / (SCENE_OUTLINE_WAVES - 1));
        scene->outline[i] =
            random_wave(state, share * side * between(state, 0.8, 1.2), 0.16 * sqrt(share));
        scene->slope += 2.0 * M_PI * (double)scene->outline[i].amplitude / (share * side * 0.8);
    }
}

static void build_outline(struct scene *scene, const struct scene_options *options) {
    uint64_t state = options->seed;
    double side = fmin(options->width, options->height);
    scene->center_x = (options->width - 1.0) / 2.0 + between(&state, -0.02, 0.02) * side;
    scene->center_y = (options->height - 1.0) / 2.0 + between(&state, -0.02, 0.02) * side;
    scene->half_width = options->width * between(&state, 0.36, 0.41);
    scene->half_height = options->height * between(&state, 0.36, 0.41);
    switch (scene->kind) {
    case SCENE_TISSUE:
        build_ellipse(scene, side, &state);
        break;
    case SCENE_ISLANDS:
        build_islands(scene, side, &state);
        break;
    case SCENE_NUCLEI:
    case SCENE_FIBRES:
    case SCENE_BLOBS:
    case SCENE_ROCK:
    case SCENE_KIND_COUNT:
        scene->base = 1.0; /* tissue everywhere */
        scene->edge = 1.0;
        break;
    }
    scene->glow_level = 0.12;
    for (int i = 0; i < SCENE_GLOW_WAVES; i++)
        scene->glow[i] = random_wave(&state, side * between(&state, 0.8, 1.6), 0.08);
}

/* Where cells gather: 0 to 1. Interference of a few waves, long against a cell. */
static double cluster_density(const struct scene_wave waves[8], double x, double y) {
    double sum = 0.0;
    for (int i = 0; i < 8; i++)
        sum += (double)scene_wave_value(waves[i].kx * (float)x + waves[i].ky * (float)y +
                                        waves[i].phase);
    double share = 0.5 + sum / 4.0;
    return fmin(fmax(share, 0.0), 1.0);
}

static struct splat random_splat(const struct scene_recipe *recipe, double unit, double x, double y,
                                 double direction, uint64_t *state) {
    /* small ones are more frequent than large ones */
    double share = scene_uniform(state);
    double axis = recipe->axis_low + (recipe->axis_high - recipe->axis_low) * share * share;
    double aspect = between(state, recipe->aspect_low, recipe->aspect_high);
    double angle = recipe->scatter > 0.0
                       ? direction + between(state, -recipe->scatter, recipe->scatter)
                       : between(state, 0.0, 2.0 * M_PI);
    double wavelength = between(state, recipe->wavelength_low, recipe->wavelength_high);
    return (struct splat){
        .x = (float)x,
        .y = (float)y,
        .cos_a = (float)cos(angle),
        .sin_a = (float)sin(angle),
        .long_axis = (float)(axis * unit),
        .short_axis = (float)(axis * unit * aspect),
        .amplitude = (float)between(state, recipe->amplitude_low, recipe->amplitude_high),
        .cycles_per_px = recipe->kind == SPLAT_GABOR ? (float)(1.0 / wavelength) : 0.0F,
        .phase = (float)scene_uniform(state),
    };
}

/* Lattice cells cover the tissue, or the image and what a turned and shifted one sees around it. */
static bool open_layer(struct splat_layer *layer, const struct scene_recipe *recipe, double unit,
                       const struct scene_options *options) {
    double margin = recipe->beyond_tissue ? 0.5 : options->kind == SCENE_TISSUE ? 0.1 : 0.8;
    layer->kind = recipe->kind;
    layer->beyond_tissue = recipe->beyond_tissue;
    layer->spacing = recipe->spacing * unit;
    layer->reach = recipe->axis_high * unit;
    layer->x0 = -margin * options->width;
    layer->y0 = -margin * options->height;
    layer->nx = (size_t)ceil(options->width * (1.0 + 2.0 * margin) / layer->spacing);
    layer->ny = (size_t)ceil(options->height * (1.0 + 2.0 * margin) / layer->spacing);
    layer->first = calloc(layer->nx * layer->ny + 1, sizeof(*layer->first));
    return layer->first != NULL;
}

static bool append_splat(struct splat_layer *layer, size_t *capacity, size_t count,
                         const struct splat *splat) {
    if (count == *capacity) {
        size_t grown = *capacity ? *capacity * 2 : 1024;
        struct splat *items = realloc(layer->items, grown * sizeof(*items));
        if (!items)
            return false;
        layer->items = items;
        *capacity = grown;
    }
    layer->items[count] = *splat;
    return true;
}

static bool build_layer(struct scene *scene, struct splat_layer *layer,
                        const struct scene_recipe *recipe, const struct scene_options *options,
                        uint64_t seed, const struct scene_wave clusters[8]) {
    double unit = recipe->relative ? fmin(options->width, options->height) : 1.0;
    if (!open_layer(layer, recipe, unit, options))
        return false;
    size_t count = 0;
    size_t capacity = 0;
    for (size_t cell = 0; cell < layer->nx * layer->ny; cell++) {
        uint64_t state = seed + cell * 0x632be59bd9b4e019ULL;
        double column = (double)(cell % layer->nx);
        size_t whole_row = cell / layer->nx;
        double row = (double)whole_row;
        layer->first[cell] = count;
        for (int i = 0; i < recipe->per_cell; i++) {
            double jitter_x = scene->is_lattice ? 0.5 : scene_uniform(&state);
            double jitter_y = scene->is_lattice ? 0.5 : scene_uniform(&state);
            double x = layer->x0 + (column + jitter_x) * layer->spacing;
            double y = layer->y0 + (row + jitter_y) * layer->spacing;
            double chance = recipe->presence;
            if (recipe->clustering > 0.0)
                chance *= 1.0 - recipe->clustering * (1.0 - cluster_density(clusters, x, y));
            if (scene_uniform(&state) >= chance)
                continue;
            if (!recipe->beyond_tissue && scene_outline(scene, x, y) < -scene->slope * layer->reach)
                continue;
            double direction = 0.0; /* bends slowly */
            if (recipe->scatter > 0.0)
                direction = 6.0 * (double)clusters[0].phase + 0.5 * wave_at(&clusters[0], x, y);
            struct splat splat = random_splat(recipe, unit, x, y, direction, &state);
            if (!append_splat(layer, &capacity, count, &splat))
                return false;
            count++;
        }
    }
    layer->first[layer->nx * layer->ny] = count;
    return true;
}

/* One lattice cell for all of them: they are few. */
static bool open_scattered(struct splat_layer *layer, const struct scene_recipe *recipe,
                           const struct scene_options *options) {
    double unit = recipe->relative ? fmin(options->width, options->height) : 1.0;
    *layer = (struct splat_layer){.kind = recipe->kind,
                                  .beyond_tissue = true,
                                  .spacing = 4.0 * (options->width + options->height),
                                  .reach = recipe->axis_high * unit,
                                  .x0 = -1.5 * (options->width + options->height),
                                  .y0 = -1.5 * (options->width + options->height),
                                  .nx = 1,
                                  .ny = 1};
    layer->first = calloc(2, sizeof(*layer->first));
    return layer->first != NULL;
}

/* A splat at a random place of the tissue. */
static bool scatter_one(const struct scene *scene, struct splat_layer *layer, size_t *capacity,
                        const struct scene_recipe *recipe, const struct scene_options *options,
                        uint64_t *state) {
    double unit = recipe->relative ? fmin(options->width, options->height) : 1.0;
    double x, y;
    do {
        x = between(state, 0.0, options->width);
        y = between(state, 0.0, options->height);
    } while (scene->has_tissue && scene_outline(scene, x, y) < 0.0);
    struct splat splat = random_splat(recipe, unit, x, y, 0.0, state);
    if (!append_splat(layer, capacity, layer->first[1], &splat))
        return false;
    layer->first[1]++;
    return true;
}

static bool build_objects(struct scene *scene, const struct scene_options *options, uint64_t seed) {
    struct splat_layer *layer = &scene->objects;
    double area = options->objects * options->width * options->height;
    size_t capacity = 0;
    if (!open_scattered(layer, &scene_recipe_object, options))
        return false;
    while (area > 0.0) {
        if (!scatter_one(scene, layer, &capacity, &scene_recipe_object, options, &seed))
            return false;
        const struct splat *splat = &layer->items[layer->first[1] - 1];
        area -= M_PI * (double)splat->long_axis * (double)splat->short_axis;
    }
    return true;
}

/* Places all over the image that the tissue's share is counted at. */
enum { COUNT_SIDE = 64, COUNT_POINTS = COUNT_SIDE * COUNT_SIDE };

struct tissue_points {
    double x[COUNT_POINTS], y[COUNT_POINTS];
    size_t count;
};

static void find_tissue(const struct scene *scene, const struct scene_options *options,
                        struct tissue_points *ret) {
    ret->count = 0;
    for (int i = 0; i < COUNT_POINTS; i++) {
        int row = i / COUNT_SIDE;
        double x = (i % COUNT_SIDE + 0.5) * options->width / COUNT_SIDE;
        double y = (row + 0.5) * options->height / COUNT_SIDE;
        if (scene->has_tissue && scene_outline(scene, x, y) < 0.0)
            continue;
        ret->x[ret->count] = x;
        ret->y[ret->count++] = y;
    }
}

/* Half of what the splat takes away and more. */
static bool is_below(const struct splat *splat, double x, double y) {
    double dx = x - (double)splat->x, dy = y - (double)splat->y;
    double along = (dx * (double)splat->cos_a + dy * (double)splat->sin_a) / splat->long_axis;
    double across = (dy * (double)splat->cos_a - dx * (double)splat->sin_a) / splat->short_axis;
    return along * along + across * across < 0.77;
}

/* Holes until the share is gone. */
static bool build_holes(struct scene *scene, const struct scene_options *options,
                        struct tissue_points *tissue, uint64_t seed) {
    struct splat_layer *layer = &scene->holes;
    if (!open_scattered(layer, &scene_recipe_hole, options))
        return false;
    size_t capacity = 0, left = tissue->count;
    double keep = (1.0 - options->missing) * (double)left;
    while (!options->torn && (double)left > keep) {
        if (!scatter_one(scene, layer, &capacity, &scene_recipe_hole, options, &seed))
            return false;
        const struct splat *splat = &layer->items[layer->first[1] - 1];
        for (size_t i = 0; i < left;)
            if (is_below(splat, tissue->x[i], tissue->y[i])) {
                left--;
                tissue->x[i] = tissue->x[left];
                tissue->y[i] = tissue->y[left];
            } else {
                i++;
            }
    }
    return true;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Across the tissue in any direction, so far in that the share lies beyond. */
static void build_tear(struct scene *scene, const struct scene_options *options,
                       struct tissue_points *tissue, uint64_t seed) {
    if (!options->torn || options->missing <= 0.0 || tissue->count == 0)
        return;
    double side = fmin(options->width, options->height);
    double angle = between(&seed, 0.0, 2.0 * M_PI);
    scene->tear = (struct scene_tear){.present = true, .nx = cos(angle), .ny = sin(angle)};
    scene->tear.wave = random_wave(&seed, 0.2 * side, 0.02 * side);
    for (size_t i = 0; i < tissue->count; i++)
        tissue->x[i] = scene_torn(scene, tissue->x[i], tissue->y[i]);
    qsort(tissue->x, tissue->count, sizeof(*tissue->x), compare_doubles);
    double place = (1.0 - options->missing) * (double)(tissue->count - 1);
    scene->tear.at = tissue->x[(size_t)place];
}

/* Layer after layer, from the back to the front. */
static bool build_layers(struct scene *scene, const struct scene_options *options,
                         uint64_t *state) {
    double side = fmin(options->width, options->height);
    struct scene_wave clusters[8];
    for (int i = 0; i < 8; i++)
        clusters[i] = random_wave(
            state, i < 4 ? between(state, 0.1, 0.3) * side : between(state, 90.0, 400.0), 1.0);
    if (options->is_lattice) {
        uint64_t places = options->seed ^ 0x2545f4914f6cdd1dULL;
        struct scene_recipe recipe = scene_recipe_lattice(between(&places, 24.0, 90.0));
        recipe.presence -= options->defects;
        return build_layer(scene, &scene->layers[scene->n_layers++], &recipe, options,
                           scene_random(state), clusters);
    }
    struct scene_recipes recipes = scene_recipe_layers(options->kind);
    for (size_t i = 0; i < recipes.count; i++) {
        uint64_t seed = scene_random(state);
        if (options->no_tissue && !recipes.items[i].beyond_tissue)
            continue;
        if (!build_layer(scene, &scene->layers[scene->n_layers++], &recipes.items[i], options, seed,
                         clusters))
            return false;
    }
    return true;
}

bool scene_build(const struct scene_options *options, struct scene *ret) {
    *ret = (struct scene){.kind = options->kind,
                          .has_tissue = !options->no_tissue && !options->is_lattice,
                          .is_lattice = options->is_lattice};
    build_outline(ret, options);
    uint64_t state = options->content_seed ^ 0x5851f42d4c957f2dULL;
    CLEANUP_FREE struct tissue_points *tissue = malloc(sizeof(*tissue));
    if (!tissue || !build_layers(ret, options, &state))
        return false;
    uint64_t objects_seed = scene_random(&state), holes_seed = scene_random(&state);
    find_tissue(ret, options, tissue);
    build_tear(ret, options, tissue, holes_seed);
    return build_objects(ret, options, objects_seed) &&
           build_holes(ret, options, tissue, holes_seed);
}

static void free_layer(struct splat_layer *layer) {
    free(layer->items);
    free(layer->first);
}

void scene_free(struct scene *scene) {
    for (size_t i = 0; i < scene->n_layers; i++)
        free_layer(&scene->layers[i]);
    free_layer(&scene->objects);
    free_layer(&scene->holes);
}
