/* A picture in the making: pixels of the tracked allocator, drawn on by cairo. */
#ifndef WORKER_QC_CANVAS_H
#define WORKER_QC_CANVAS_H

#include "common/failure.h"

#include <cairo/cairo.h>
#include <stdint.h>

struct canvas {
    int width, height;
    uint32_t *pixels; /* owned; 0x00rrggbb, row after row */
    cairo_surface_t *surface;
    cairo_t *cairo; /* owned; to draw with */
};

/* White. Close in any case. */
MUST_USE int canvas_open(int width, int height, struct canvas *ret, struct failure *failure);
void canvas_close(struct canvas *canvas); /* a zeroed one is fine */

/* For writing to pixels by hand: cairo's own work is finished before, and told after. */
uint32_t *canvas_begin_pixels(struct canvas *canvas);
void canvas_end_pixels(struct canvas *canvas);

MUST_USE int canvas_write(struct canvas *canvas, const char *path, struct failure *failure);

/* 0xrrggbb as the colour that cairo draws with from now on. */
void canvas_set_colour(struct canvas *canvas, uint32_t rgb);

#endif
