/* See canvas.h. Cairo reports what went wrong at the end: an object in error draws nothing. */
#include "worker/qc/canvas.h"

#include "worker/memory/tracked.h"
#include "worker/qc/png_file.h"

#include <errno.h>
#include <string.h>

void canvas_close(struct canvas *canvas) {
    if (canvas->cairo)
        cairo_destroy(canvas->cairo);
    if (canvas->surface)
        cairo_surface_destroy(canvas->surface);
    tracked_free(canvas->pixels);
    *canvas = (struct canvas){0};
}

int canvas_open(int width, int height, struct canvas *ret, struct failure *failure) {
    size_t count = (size_t)width * (size_t)height;
    *ret = (struct canvas){.width = width, .height = height};
    ret->pixels = tracked_alloc(count, sizeof(*ret->pixels), "picture");
    if (!ret->pixels)
        return failure_set(failure, -ENOMEM, "no memory for a picture of %d x %d px", width,
                           height);
    memset(ret->pixels, 0xff, count * sizeof(*ret->pixels));
    ret->surface = cairo_image_surface_create_for_data(
        (unsigned char *)ret->pixels, CAIRO_FORMAT_RGB24, width, height, 4 * width);
    ret->cairo = cairo_create(ret->surface);
    cairo_status_t status = cairo_status(ret->cairo);
    if (status != CAIRO_STATUS_SUCCESS)
        return failure_set(failure, status == CAIRO_STATUS_NO_MEMORY ? -ENOMEM : -EINVAL,
                           "a picture of %d x %d px cannot be drawn: %s", width, height,
                           cairo_status_to_string(status));
    return 0;
}

uint32_t *canvas_begin_pixels(struct canvas *canvas) {
    cairo_surface_flush(canvas->surface);
    return canvas->pixels;
}

void canvas_end_pixels(struct canvas *canvas) { cairo_surface_mark_dirty(canvas->surface); }

int canvas_write(struct canvas *canvas, const char *path, struct failure *failure) {
    cairo_surface_flush(canvas->surface);
    cairo_status_t status = cairo_status(canvas->cairo);
    if (status != CAIRO_STATUS_SUCCESS)
        return failure_set(failure, status == CAIRO_STATUS_NO_MEMORY ? -ENOMEM : -EINVAL,
                           "%s cannot be drawn: %s", path, cairo_status_to_string(status));
    return png_file_write(path, canvas->pixels, (uint32_t)canvas->width, (uint32_t)canvas->height,
                          failure);
}

void canvas_set_colour(struct canvas *canvas, uint32_t rgb) {
    cairo_set_source_rgb(canvas->cairo, (rgb >> 16 & 0xff) / 255.0, (rgb >> 8 & 0xff) / 255.0,
                         (rgb & 0xff) / 255.0);
}
