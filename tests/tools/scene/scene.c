/* Builds the specimen: outline, then layer by layer the splats.
 *
 * A lattice cell's splats depend on seed, layer and the cell's place alone, so that the same seed
 * gives the same specimen. Small structures have sizes in pixels, as cells under a microscope do;
 * regions grow with the image, so that there is something to see at every level of a pyramid.
 */
#include "tests/tools/scene/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct recipe {
    enum splat_kind kind;
    bool relative;                  /* sizes are in shares of the image's shorter side */
    bool beyond_tissue;             /* lies anywhere */
    double spacing;                 /* of the lattice */
    int per_cell;                   /* candidates in each lattice cell */
    double presence;                /* chance of each */
    double clustering;              /* 0: everywhere alike; 1: in clusters only */
    double axis_low, axis_high;     /* long half axis */
    double aspect_low, aspect_high; /* short over long */
    double amplitude_low, amplitude_high;
    double wavelength_low, wavelength_high; /* SPLAT_GABOR, px */
};

static const struct recipe recipes[] = {
    /* regions of brighter and darker tissue */
    {SPLAT_SMOOTH, true, false, 0.10, 1, 0.8, 0, 0.06, 0.16, 0.4, 1, -0.07, 0.09, 0, 0},
    /* follicles */
    {SPLAT_CELL, false, false, 300, 1, 0.5, 0.3, 60, 170, 0.5, 1, 0.02, 0.07, 0, 0},
    /* vessels and gaps */
    {SPLAT_CELL, false, false, 260, 1, 0.4, 0, 20, 70, 0.25, 0.9, -0.16, -0.08, 0, 0},
    /* fibres */
    {SPLAT_SMOOTH, false, false, 120, 1, 0.6, 0, 40, 140, 0.04, 0.09, 0.04, 0.16, 0, 0},
    /* large cells */
    {SPLAT_CELL, false, false, 70, 1, 0.5, 0.8, 14, 26, 0.6, 1, 0.06, 0.22, 0, 0},
    /* nuclei */
    {SPLAT_CELL, false, false, 21, 1, 0.9, 1, 6, 11, 0.55, 1, 0.10, 0.36, 0, 0},
    /* granules */
    {SPLAT_SMOOTH, false, false, 40, 2, 0.7, 0.5, 4, 7, 0.7, 1, 0.05, 0.25, 0, 0},
    /* coarse and fine texture */
    {SPLAT_GABOR, false, false, 44, 2, 1, 0, 50, 70, 0.6, 1, 0.01, 0.035, 24, 60},
    {SPLAT_GABOR, false, false, 14, 1, 1, 0, 15, 20, 0.6, 1, 0.01, 0.035, 8, 18},
    /* dust on the slide */
    {SPLAT_SMOOTH, false, true, 500, 1, 0.5, 0, 4, 14, 0.4, 1, 0.05, 0.4, 0, 0},
};

static const struct recipe lattice_recipe = {SPLAT_CELL, false, true, 60,  1,   1, 0, 18,
                                             18,         1,     1,    0.4, 0.4, 0, 0};
static const struct recipe object_recipe = {SPLAT_CELL, false, true, 1,   0,   0, 0, 8,
                                            60,         0.4,   1,    0.3, 0.7, 0, 0};
static const struct recipe hole_recipe = {SPLAT_CELL, true, true, 1, 0, 0, 0, 0.04,
                                          0.12,       0.5,  1,    1, 1, 0, 0};

static double between(uint64_t *state, double low, double high) {
    return low + (high - low) * scene_uniform(state);
}

double scene_outline(const struct scene *scene, double x, double y) {
    double dx = (x - scene->center_x) / scene->half_width;
    double dy = (y - scene->center_y) / scene->half_height;
    double value = 1.0 - dx * dx - dy * dy;
    for (int i = 0; i < SCENE_OUTLINE_WAVES; i++) {
        const struct scene_wave *wave = &scene->outline[i];
        float turns = wave->kx * (float)x + wave->ky * (float)y + wave->phase;
        value += (double)(wave->amplitude * scene_wave_value(turns));
    }
    return value;
}

static struct scene_wave random_wave(uint64_t *state, double wavelength, double amplitude) {
    double angle = between(state, 0.0, 2.0 * M_PI);
    return (struct scene_wave){(float)(cos(angle) / wavelength), (float)(sin(angle) / wavelength),
                               (float)scene_uniform(state), (float)amplitude};
}

/* The ellipse with long waves (bays and tongues) and short ones (a ragged edge). */
static void build_outline(struct scene *scene, const struct scene_options *options) {
    uint64_t state = options->seed;
    double side = fmin(options->width, options->height);
    scene->center_x = (options->width - 1.0) / 2.0 + between(&state, -0.02, 0.02) * side;
    scene->center_y = (options->height - 1.0) / 2.0 + between(&state, -0.02, 0.02) * side;
    scene->half_width = options->width * between(&state, 0.36, 0.41);
    scene->half_height = options->height * between(&state, 0.36, 0.41);
    scene->edge = 10.0 / side;
    scene->slope = 9.0 / side; /* the ellipse alone, to half an axis beyond it */
    for (int i = 0; i < SCENE_OUTLINE_WAVES; i++) {
        double share = 0.9 * pow(0.05, (double)i / (SCENE_OUTLINE_WAVES - 1));
        scene->outline[i] =
            random_wave(&state, share * side * between(&state, 0.8, 1.2), 0.16 * sqrt(share));
        scene->slope += 2.0 * M_PI * (double)scene->outline[i].amplitude / (share * side * 0.8);
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

static struct splat random_splat(const struct recipe *recipe, double unit, double x, double y,
                                 uint64_t *state) {
    /* small ones are more frequent than large ones */
    double share = scene_uniform(state);
    double axis = recipe->axis_low + (recipe->axis_high - recipe->axis_low) * share * share;
    double aspect = between(state, recipe->aspect_low, recipe->aspect_high);
    double angle = between(state, 0.0, 2.0 * M_PI);
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

/* Lattice cells cover the tissue, or with beyond_tissue the image and as much around it. */
static bool open_layer(struct splat_layer *layer, const struct recipe *recipe, double unit,
                       const struct scene_options *options) {
    double margin = recipe->beyond_tissue ? 0.5 : 0.1;
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

static bool build_layer(struct scene *scene, struct splat_layer *layer, const struct recipe *recipe,
                        const struct scene_options *options, uint64_t seed,
                        const struct scene_wave clusters[8]) {
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
            struct splat splat = random_splat(recipe, unit, x, y, &state);
            if (!append_splat(layer, &capacity, count, &splat))
                return false;
            count++;
        }
    }
    layer->first[layer->nx * layer->ny] = count;
    return true;
}

/* Drops splats at random places of the tissue until they cover the area. One lattice cell holds
 * them all: they are few. */
static bool build_scattered(const struct scene *scene, struct splat_layer *layer,
                            const struct recipe *recipe, const struct scene_options *options,
                            double area, uint64_t seed) {
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
    if (!layer->first)
        return false;
    uint64_t state = seed;
    size_t capacity = 0;
    while (area > 0.0) {
        double x = between(&state, 0.0, options->width);
        double y = between(&state, 0.0, options->height);
        if (scene->has_tissue && scene_outline(scene, x, y) < 0.0)
            continue;
        struct splat splat = random_splat(recipe, unit, x, y, &state);
        if (!append_splat(layer, &capacity, layer->first[1], &splat))
            return false;
        layer->first[1]++;
        area -= M_PI * (double)splat.long_axis * (double)splat.short_axis;
    }
    return true;
}

bool scene_build(const struct scene_options *options, struct scene *ret) {
    *ret = (struct scene){.has_tissue = !options->no_tissue && !options->is_lattice,
                          .is_lattice = options->is_lattice};
    build_outline(ret, options);
    uint64_t state = options->content_seed ^ 0x5851f42d4c957f2dULL;
    struct scene_wave clusters[8];
    double side = fmin(options->width, options->height);
    for (int i = 0; i < 8; i++)
        clusters[i] = random_wave(
            &state, i < 4 ? between(&state, 0.1, 0.3) * side : between(&state, 90.0, 400.0), 1.0);
    for (size_t i = 0; i < ARRAY_LEN(recipes); i++) {
        const struct recipe *recipe = ret->is_lattice ? &lattice_recipe : &recipes[i];
        uint64_t seed = scene_random(&state);
        if (ret->is_lattice ? i > 0 : options->no_tissue && !recipe->beyond_tissue)
            continue;
        if (!build_layer(ret, &ret->layers[ret->n_layers++], recipe, options, seed, clusters))
            return false;
    }
    double image_area = options->width * options->height;
    double tissue_area = M_PI * ret->half_width * ret->half_height;
    uint64_t objects_seed = scene_random(&state);
    return build_scattered(ret, &ret->objects, &object_recipe, options,
                           options->objects * image_area, objects_seed) &&
           build_scattered(ret, &ret->holes, &hole_recipe, options, options->holes * tissue_area,
                           scene_random(&state));
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
