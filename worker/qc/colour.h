/* Colours that people with any kind of colour vision tell apart, as 0xrrggbb.
 *
 * Maps take values from 0 to 1; what lies outside is drawn as the end. Sequential: viridis (Smith &
 * van der Walt 2015), dark is little. Errors: the darker part of plasma, for marks on a light
 * ground. Diverging: ColorBrewer's RdBu (Brewer 2003), its middle, at 0.5, nearly white. Lines and
 * marks: Okabe & Ito 2008.
 */
#ifndef WORKER_QC_COLOUR_H
#define WORKER_QC_COLOUR_H

#include <stdint.h>

enum colour_map {
    COLOUR_SEQUENTIAL,
    COLOUR_ERROR,
    COLOUR_DIVERGING,
    COLOUR_GREY,
    COLOUR_MAP_COUNT
};

enum {
    COLOUR_TEXT = 0x222222,
    COLOUR_FAINT = 0x707070,
    COLOUR_GRID = 0xe4e4e4,
    COLOUR_OUTSIDE = 0xb4b4b4, /* where there is nothing to show */
    COLOUR_PRE = 0x0072b2,
    COLOUR_POST = 0xd55e00,
    COLOUR_LINE = 0x000000,
    COLOUR_SECOND_LINE = 0xcc79a7,
    COLOUR_THIRD_LINE = 0x009e73,
    COLOUR_BARS = 0x8aa6c1,
    COLOUR_LEFT_OUT = 0xc4c4c4,
    COLOUR_BAND = 0xececec,
    COLOUR_FIT = 0xa6006b,
    COLOUR_GOOD = 0x00704e,
    COLOUR_DOUBT = 0xa35200,
    COLOUR_BAD = 0xa8001c,
};

uint32_t colour_at(enum colour_map map, double value);

/* Complementary: post as magenta, pre as green; both alike are grey. Tones from 0 to 1. */
uint32_t colour_overlay(double post, double pre);

#endif
