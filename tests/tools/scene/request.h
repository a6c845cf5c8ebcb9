/* What the generator's command line asks for. */
#ifndef TESTS_TOOLS_SCENE_REQUEST_H
#define TESTS_TOOLS_SCENE_REQUEST_H

#include "tests/tools/scene/image_file.h"

#include <stdio.h>

enum pair_kind {
    PAIR_ALIGNABLE,
    PAIR_UNRELATED, /* another specimen in the post image */
    PAIR_REPLACED,  /* the same outline, other content */
    PAIR_MIRRORED,  /* the pre image is a mirror image: no map of positive determinant */
    PAIR_PERIODIC,  /* a lattice of identical cells: every step of it fits as well */
    PAIR_BLANK,     /* a bare slide in the post image */
    PAIR_NOISE,     /* nothing but noise in the post image */
    PAIR_DEFECTS,   /* a lattice that lacks some cells, others in each image */
    PAIR_EMPTY,     /* a bare slide in the pre image */
    PAIR_STATIC,    /* nothing but noise in both */
    PAIR_KIND_COUNT
};

struct request {
    /* shares are 0 to 1 */
    double seed, rotation_deg, scale, shear, perspective, gain, gamma, offset, noise, read_noise,
        photons, blur_px, blur_pre_px, objects_share, missing_share, missing_pre_share, bits,
        rows_per_strip, orientation;
    double bend_px, bend_waves; /* waves along the longer side */
    double shift_x, shift_y;    /* px */
    struct bend bend;           /* made of bend_px and bend_waves */
    enum pair_kind kind;
    enum scene_kind scene;
    bool torn;                      /* what is missing is one piece, not holes */
    struct image_layout layout;     /* its size is the post image's */
    uint32_t pre_width, pre_height; /* 0: as the post image */
    const char *raw, *sample, *dye;
    const char *truth; /* NULL: beside RAW */
};

const char *request_kind_name(enum pair_kind kind);
void request_print_usage(FILE *stream);
/* Borrows argv's strings. The sentence names the option and what it takes. */
MUST_USE int request_parse(int argc, char **argv, struct request *ret, struct failure *failure);

#endif
