/* An analytic specimen: tissue with an irregular outline, cells of several sizes in clusters,
 * fibres and band-limited texture. Everything is a formula of the position, so an image of it under
 * any map is exact: no pixel was ever interpolated, and nothing is shared with the aligner.
 *
 * The frame is the post image's: pixels, centres at integers. Brightness 0 to 1 before exposure.
 */
#ifndef TESTS_TOOLS_SCENE_SCENE_H
#define TESTS_TOOLS_SCENE_SCENE_H

#include "common/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum splat_kind {
    SPLAT_SMOOTH, /* (1 - d)^3, much like a Gaussian */
    SPLAT_CELL,   /* a plateau with a soft edge */
    SPLAT_GABOR,  /* (1 - d)^3 times a wave */
};

/* An elliptic kernel with compact support; d is the squared distance in units of its half axes. */
struct splat {
    float x, y;
    float cos_a, sin_a;
    float long_axis, short_axis; /* px; long_axis is also its reach */
    float amplitude;
    float cycles_per_px, phase; /* SPLAT_GABOR: along the long axis; phase in turns */
};

/* Splats of one kind in a lattice of square cells, row by row: what makes culling cheap. */
struct splat_layer {
    enum splat_kind kind;
    bool beyond_tissue; /* not masked by the outline (dust) */
    double x0, y0, spacing, reach;
    size_t nx, ny;
    struct splat *items;
    size_t *first; /* nx * ny + 1: where a cell's splats begin */
};

enum { SCENE_MAX_LAYERS = 10, SCENE_OUTLINE_WAVES = 12, SCENE_GLOW_WAVES = 3 };

struct scene_wave {
    float kx, ky, phase, amplitude; /* cycles per px, turns */
};

enum scene_kind {
    SCENE_TISSUE,  /* one piece with a ragged outline */
    SCENE_NUCLEI,  /* a dense field, wider than the image, like those below */
    SCENE_ISLANDS, /* small pieces of tissue on empty ground */
    SCENE_FIBRES,
    SCENE_BLOBS,
    SCENE_ROCK,
    SCENE_KIND_COUNT
};

/* A straight cut, wavy in detail: what lies beyond it is gone. */
struct scene_tear {
    bool present;
    double nx, ny, at; /* normal; where along it, px */
    struct scene_wave wave;
};

struct scene {
    enum scene_kind kind;
    double base; /* of the outline: waves are added, and for SCENE_TISSUE an ellipse */
    double center_x, center_y, half_width, half_height; /* of the tissue's ellipse */
    double edge;                                        /* of the outline, in outline units */
    double slope; /* the outline changes by at most this per px */
    struct scene_wave outline[SCENE_OUTLINE_WAVES], glow[SCENE_GLOW_WAVES];
    double glow_level; /* autofluorescence of the bare slide */
    bool has_tissue, is_lattice;
    struct splat_layer layers[SCENE_MAX_LAYERS];
    size_t n_layers;
    struct splat_layer objects; /* in the post image only */
    struct splat_layer holes;   /* tissue that the image lacks */
    struct scene_tear tear;
};

struct scene_options {
    uint64_t seed;
    uint64_t content_seed; /* of what lies inside the outline */
    double width, height;  /* of the post image, px */
    enum scene_kind kind;
    double objects;  /* share of the image's area below them */
    double missing;  /* share of the tissue that is gone: */
    bool torn;       /* in one piece; else in holes */
    bool no_tissue;  /* a bare slide */
    bool is_lattice; /* identical cells at regular places: nothing to tell them apart */
    double defects;  /* share of the lattice's cells that are not there */
};

/* false when out of memory. */
MUST_USE bool scene_build(const struct scene_options *options, struct scene *ret);
void scene_free(struct scene *scene);

/* Above 0 inside the tissue, below outside. */
double scene_outline(const struct scene *scene, double x, double y);
/* Above 0 beyond the tear, px. */
double scene_torn(const struct scene *scene, double x, double y);

/* splitmix64 (Steele, Lea, Flood 2014): the next number, and one in [0, 1). */
static inline uint64_t scene_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static inline double scene_uniform(uint64_t *state) {
    return (double)(scene_random(state) >> 11) * 0x1p-53;
}

/* cos(2 pi t) as an even polynomial: branch-free, so that loops over pixels become vectors. */
static inline float scene_wave_value(float turns) {
    float t = turns - (float)(int)(turns + (turns < 0.0F ? -0.5F : 0.5F));
    float t2 = t * t;
    return 1.0F + t2 * (-19.739208F +
                        t2 * (64.939392F + t2 * (-85.456817F + t2 * (60.24464F - t2 * 26.42625F))));
}

#endif
