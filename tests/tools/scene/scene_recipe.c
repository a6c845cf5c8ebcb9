/* The tables. Small structures have sizes in pixels, as cells under a microscope do; regions grow
 * with the image, so that there is something to see at every level of a pyramid. Kinds differ in
 * what an aligner lives on: corners, edges, directions, empty ground, the size of what repeats. */
#include "tests/tools/scene/scene_recipe.h"

static const struct scene_recipe tissue[] = {
    /* regions of brighter and darker tissue */
    {SPLAT_SMOOTH, true, false, 0.10, 1, 0.8, 0, 0.06, 0.16, 0.4, 1, -0.07, 0.09, 0, 0, 0},
    /* follicles */
    {SPLAT_CELL, false, false, 300, 1, 0.5, 0.3, 60, 170, 0.5, 1, 0.02, 0.07, 0, 0, 0},
    /* vessels and gaps */
    {SPLAT_CELL, false, false, 260, 1, 0.4, 0, 20, 70, 0.25, 0.9, -0.16, -0.08, 0, 0, 0},
    /* fibres */
    {SPLAT_SMOOTH, false, false, 120, 1, 0.6, 0, 40, 140, 0.04, 0.09, 0.04, 0.16, 0, 0, 0},
    /* large cells */
    {SPLAT_CELL, false, false, 70, 1, 0.5, 0.8, 14, 26, 0.6, 1, 0.06, 0.22, 0, 0, 0},
    /* nuclei */
    {SPLAT_CELL, false, false, 21, 1, 0.9, 1, 6, 11, 0.55, 1, 0.10, 0.36, 0, 0, 0},
    /* granules */
    {SPLAT_SMOOTH, false, false, 40, 2, 0.7, 0.5, 4, 7, 0.7, 1, 0.05, 0.25, 0, 0, 0},
    /* coarse and fine texture */
    {SPLAT_GABOR, false, false, 44, 2, 1, 0, 50, 70, 0.6, 1, 0.01, 0.035, 24, 60, 0},
    {SPLAT_GABOR, false, false, 14, 1, 1, 0, 15, 20, 0.6, 1, 0.01, 0.035, 8, 18, 0},
    /* dust on the slide */
    {SPLAT_SMOOTH, false, true, 500, 1, 0.5, 0, 4, 14, 0.4, 1, 0.05, 0.4, 0, 0, 0},
};

/* a dense field of nuclei from edge to edge */
static const struct scene_recipe nuclei[] = {
    {SPLAT_SMOOTH, true, false, 0.10, 1, 0.8, 0, 0.06, 0.16, 0.4, 1, -0.04, 0.05, 0, 0, 0},
    {SPLAT_CELL, false, false, 24, 1, 0.85, 0.3, 7, 13, 0.6, 1, 0.12, 0.40, 0, 0, 0},
    /* chromatin */
    {SPLAT_SMOOTH, false, false, 12, 1, 0.6, 0, 2.5, 4, 0.7, 1, -0.06, 0.06, 0, 0, 0},
    {SPLAT_SMOOTH, false, true, 500, 1, 0.5, 0, 4, 14, 0.4, 1, 0.05, 0.4, 0, 0, 0},
};

/* collagen or muscle: nearly one direction */
static const struct scene_recipe fibres[] = {
    {SPLAT_SMOOTH, true, false, 0.12, 1, 0.7, 0, 0.06, 0.16, 0.4, 1, -0.05, 0.06, 0, 0, 0},
    {SPLAT_SMOOTH, false, false, 50, 2, 0.9, 0, 60, 220, 0.035, 0.08, 0.05, 0.22, 0, 0, 0.35},
    {SPLAT_SMOOTH, false, false, 90, 1, 0.6, 0, 40, 160, 0.04, 0.1, -0.15, -0.05, 0, 0, 0.35},
    {SPLAT_CELL, false, false, 110, 1, 0.4, 0, 8, 18, 0.3, 0.6, 0.1, 0.3, 0, 0, 0.35},
    {SPLAT_GABOR, false, false, 20, 1, 1, 0, 18, 26, 0.6, 1, 0.01, 0.03, 10, 24, 0},
};

/* few large bodies with smooth edges, little between */
static const struct scene_recipe blobs[] = {
    {SPLAT_CELL, true, false, 0.13, 1, 0.75, 0, 0.03, 0.09, 0.45, 1, 0.08, 0.35, 0, 0, 0},
    {SPLAT_SMOOTH, true, false, 0.09, 1, 0.6, 0, 0.02, 0.05, 0.4, 1, -0.10, 0.12, 0, 0, 0},
    {SPLAT_GABOR, false, false, 44, 2, 1, 0, 50, 70, 0.6, 1, 0.004, 0.015, 24, 60, 0},
    {SPLAT_SMOOTH, false, true, 400, 1, 0.5, 0, 4, 14, 0.4, 1, 0.05, 0.3, 0, 0, 0},
};

/* a polished section: grains of many sizes, cracks, bright specks */
static const struct scene_recipe rock[] = {
    {SPLAT_CELL, true, false, 0.05, 1, 0.9, 0, 0.02, 0.06, 0.3, 1, -0.10, 0.16, 0, 0, 0},
    {SPLAT_CELL, false, false, 40, 1, 0.8, 0, 8, 30, 0.3, 1, -0.10, 0.14, 0, 0, 0},
    {SPLAT_SMOOTH, false, false, 200, 1, 0.5, 0, 80, 200, 0.015, 0.03, -0.25, -0.1, 0, 0, 0},
    {SPLAT_SMOOTH, false, false, 60, 1, 0.4, 0, 3, 6, 0.6, 1, 0.1, 0.4, 0, 0, 0},
    {SPLAT_GABOR, false, false, 44, 2, 1, 0, 50, 70, 0.6, 1, 0.01, 0.04, 24, 60, 0},
    {SPLAT_GABOR, false, false, 14, 1, 1, 0, 15, 20, 0.6, 1, 0.01, 0.05, 8, 18, 0},
};

const struct scene_recipe scene_recipe_object = {SPLAT_CELL, false, true, 1,   0,   0, 0, 8,
                                                 60,         0.4,   1,    0.3, 0.7, 0, 0, 0};
const struct scene_recipe scene_recipe_hole = {SPLAT_CELL, true, true, 1, 0, 0, 0, 0.04,
                                               0.12,       0.5,  1,    1, 1, 0, 0, 0};

struct scene_recipe scene_recipe_lattice(double spacing_px) {
    double axis = 0.3 * spacing_px;
    return (struct scene_recipe){SPLAT_CELL, false, true, spacing_px, 1,   1, 0, axis,
                                 axis,       1,     1,    0.4,        0.4, 0, 0, 0};
}

struct scene_recipes scene_recipe_layers(enum scene_kind kind) {
    static const struct scene_recipes all[SCENE_KIND_COUNT] = {
        [SCENE_TISSUE] = {tissue, ARRAY_LEN(tissue)},  [SCENE_NUCLEI] = {nuclei, ARRAY_LEN(nuclei)},
        [SCENE_ISLANDS] = {tissue, ARRAY_LEN(tissue)}, [SCENE_FIBRES] = {fibres, ARRAY_LEN(fibres)},
        [SCENE_BLOBS] = {blobs, ARRAY_LEN(blobs)},     [SCENE_ROCK] = {rock, ARRAY_LEN(rock)}};
    return all[kind];
}
