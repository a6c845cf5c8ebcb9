/* Row by row of tiles: decoded side by side into a band of whole rows, which is taken apart into
 * channels. Where a band of all rows of the tiles would be too large, the tiles are decoded once
 * for each of its parts. See fits_export.h. */
#include "worker/output/fits_export.h"

#include "common/version.h"
#include "worker/memory/tracked.h"
#include "worker/output/fits_file.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    TILE_PX = TIFF_WRITER_TILE_PX,
    BAND_BYTES = 8 << 20, /* the same figure in common/footprint.c */
};

struct exporter {
    const struct fits_export_job *job;
    struct fits_file *file;
    struct tile_codec *codec;
    uint32_t band_rows;
    size_t pixel_bytes, packed_bytes;
    uint8_t *packed, *tile, *band, *channel; /* tracked */
};

/* --- the header --- */

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "<sample>/<dye>"; other names are a manifest's. */
static void put_name(struct fits_file *file, const char *name) {
    const char *slash = strrchr(name, '/');
    fits_file_put_text(file, "TASK", name, "task of registrar");
    if (!slash)
        return;
    CLEANUP_FREE char *sample = strndup(name, (size_t)(slash - name));
    fits_file_put_text(file, "SAMPLE", sample ? sample : "", NULL);
    fits_file_put_text(file, "DYE", slash + 1, NULL);
}

static void put_map(struct fits_file *file, const struct fits_export_source *source) {
    const json_t *rows = json_object_get(source->verify, "post_to_pre");
    fits_file_put_text(file, "STATUS", text_of(source->verify, "status"), "of the alignment");
    fits_file_put_text(file, "MODEL", text_of(source->verify, "model"), "of the map");
    for (size_t row = 0; row < 3; row++)
        for (size_t column = 0; column < 3; column++) {
            char name[FLEN_KEYWORD];
            (void)snprintf(name, sizeof(name), "MAP%zu_%zu", row + 1, column + 1);
            fits_file_put_number(
                file, name, json_number_value(json_array_get(json_array_get(rows, row), column)),
                row + column == 0 ? "post px to pre px, both counted from 0" : NULL);
        }
    if (json_is_object(json_object_get(source->verify, "grid")))
        fits_file_put_comment(file, "The map has a grid of displacements too: transform.json");
    fits_file_put_integer(file, "PAD", source->pad, "[px] margin around the post frame");
}

/* Lengths in the frame of the post image: its first pixel is 0, y runs down. */
static void put_pixel_size(struct fits_file *file, const struct fits_export_source *source) {
    double size_um[2];
    static const char *const axes[] = {"X", "Y"};
    if (!image_pixel_size(source->frame, &size_um[0], &size_um[1]))
        return;
    for (int i = 0; i < 2; i++) {
        const struct {
            const char *name;
            double value;
            const char *comment;
        } cards[] = {{"CRPIX", 1.0 + source->pad, "post's first pixel"},
                     {"CRVAL", 0, "[um]"},
                     {"CDELT", size_um[i], "[um] size of a pixel"}};
        char name[FLEN_KEYWORD];
        (void)snprintf(name, sizeof(name), "CTYPE%d", i + 1);
        fits_file_put_text(file, name, axes[i], NULL);
        (void)snprintf(name, sizeof(name), "CUNIT%d", i + 1);
        fits_file_put_text(file, name, "um", NULL);
        for (size_t k = 0; k < ARRAY_LEN(cards); k++) {
            (void)snprintf(name, sizeof(name), "%s%d", cards[k].name, i + 1);
            fits_file_put_number(file, name, cards[k].value, cards[k].comment);
        }
    }
}

/* Those that are not at their defaults. */
static void put_params(struct fits_file *file, const json_t *params) {
    CLEANUP_JSON json_t *defaults = params_defaults();
    for (size_t row = 0; params_name(row); row++) {
        const json_t *value = json_object_get(params, params_name(row));
        if (!value || json_equal(value, json_object_get(defaults, params_name(row))))
            continue;
        CLEANUP_FREE char *shown = json_dumps(
            value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
        char text[128];
        (void)snprintf(text, sizeof(text), "parameter %s = %s", params_name(row),
                       shown ? shown : "?");
        fits_file_put_history(file, text);
    }
}

static void put_scale(struct fits_file *file, const struct fits_export_job *job) {
    const struct background_scale_difference *difference = job->picture->difference;
    const json_t *in_use = job->source->scale;
    fits_file_put_number(file, "BGSCALE",
                         difference ? difference->scale
                                    : json_number_value(json_object_get(in_use, "scale")),
                         "background of post over that of pre");
    fits_file_put_text(file, "BGKIND",
                       difference ? difference->kind : text_of(in_use, "scale_kind"),
                       "where this scale comes from");
}

static void put_header(struct fits_file *file, const struct fits_export_job *job) {
    const struct fits_export_source *source = job->source;
    bool is_difference = job->picture->kind == PICTURE_DIFFERENCE;
    fits_file_put_text(file, "BUNIT", "count", NULL);
    fits_file_put_text(file, "CREATOR", "registrar " REGISTRAR_VERSION, NULL);
    fits_file_put_text(file, "CONTENT",
                       is_difference ? "post - BGSCALE x aligned pre" : "aligned pre", NULL);
    put_name(file, source->name);
    fits_file_put_text(file, "PREFILE", last_part(source->pre), NULL);
    fits_file_put_text(file, "POSTFILE", last_part(source->post), NULL);
    put_scale(file, job);
    put_map(file, source);
    put_pixel_size(file, source);
    put_params(file, source->params);
    fits_file_put_comment(file, "The first row is the upper one.");
    fits_file_put_text(file, "DATASUM", "0", "data unit checksum");
    fits_file_put_text(file, "CHECKSUM", "0000000000000000", "HDU checksum");
}

/* --- the pixels --- */

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* A tile's rows [y, y + rows) to their place in the band. */
static int read_tile(struct exporter *exporter, uint32_t tile_x, uint32_t y, uint32_t rows,
                     struct failure *failure) {
    const struct fits_export_job *job = exporter->job;
    const struct tiff_writer_place place = {
        .image = job->picture->image, .x = tile_x, .y = y / TILE_PX};
    size_t size = 0, pixel = exporter->pixel_bytes;
    int r = tiff_writer_read(job->writer, &place, exporter->packed, exporter->packed_bytes, &size,
                             failure);
    if (r == 0)
        r = tile_codec_decode(exporter->codec, &job->picture->shape, exporter->packed, size,
                              exporter->tile, failure);
    uint32_t x = tile_x * TILE_PX, width = min_u32(TILE_PX, job->width - x);
    for (uint32_t row = 0; row < rows && r == 0; row++)
        memcpy(exporter->band + ((size_t)row * job->width + x) * pixel,
               exporter->tile + (size_t)(y % TILE_PX + row) * TILE_PX * pixel, width * pixel);
    return r;
}

#define DEFINE_PICK(name, type)                                                                    \
    static void name(const type *from, size_t samples, size_t count, type *to) {                   \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = from[i * samples];                                                             \
    }

DEFINE_PICK(pick_u8, uint8_t)
DEFINE_PICK(pick_u16, uint16_t)

static int write_band(struct exporter *exporter, uint32_t y, uint32_t rows,
                      struct failure *failure) {
    const struct fits_export_job *job = exporter->job;
    const struct tile_codec_shape *shape = &job->picture->shape;
    size_t count = (size_t)rows * job->width;
    int r = 0;
    if (shape->samples == 1)
        return fits_file_write(exporter->file, 0, y, count, exporter->band, failure);
    for (uint32_t sample = 0; sample < shape->samples && r == 0; sample++) {
        if (shape->bits == 16)
            pick_u16((const uint16_t *)(const void *)exporter->band + sample, shape->samples, count,
                     (uint16_t *)(void *)exporter->channel);
        else
            pick_u8(exporter->band + sample, shape->samples, count, exporter->channel);
        r = fits_file_write(exporter->file, sample, y, count, exporter->channel, failure);
    }
    return r;
}

static int write_bands(struct exporter *exporter, struct failure *failure) {
    const struct fits_export_job *job = exporter->job;
    uint32_t columns = (job->width - 1) / TILE_PX + 1;
    int r = 0;
    for (uint32_t y = 0, rows; y < job->height && r == 0; y += rows) {
        rows = min_u32(exporter->band_rows, job->height - y);
        for (uint32_t x = 0; x < columns && r == 0; x++)
            r = read_tile(exporter, x, y, rows, failure);
        if (r == 0)
            r = write_band(exporter, y, rows, failure);
        if (r == 0)
            r = progress_set(job->progress, (double)y / job->height);
    }
    return r;
}

/* --- the whole --- */

/* A power of two, so that it divides a tile. */
static uint32_t choose_rows(size_t row_bytes) {
    uint32_t rows = TILE_PX;
    while (rows > 1 && rows * row_bytes > BAND_BYTES)
        rows /= 2;
    return rows;
}

static int open_exporter(struct exporter *exporter, struct failure *failure) {
    const struct fits_export_job *job = exporter->job;
    const struct tile_codec_shape *shape = &job->picture->shape;
    size_t raw = tile_codec_raw_bytes(shape);
    exporter->pixel_bytes = (size_t)shape->samples * shape->bits / 8;
    exporter->packed_bytes = tile_codec_bound(job->compression, shape);
    exporter->band_rows = choose_rows(job->width * exporter->pixel_bytes);
    size_t band_px = (size_t)exporter->band_rows * job->width;
    exporter->packed = tracked_alloc(exporter->packed_bytes, 1, "tile for FITS");
    exporter->tile = tracked_alloc(raw, 1, "tile for FITS");
    exporter->band = tracked_alloc(band_px, exporter->pixel_bytes, "rows for FITS");
    exporter->channel =
        tracked_alloc(shape->samples > 1 ? band_px : 1, shape->bits / 8, "rows for FITS");
    if (!exporter->packed || !exporter->tile || !exporter->band || !exporter->channel)
        return failure_set(failure, -ENOMEM, "no memory for %s; raise --worker-memory", job->path);
    return tile_codec_open(job->compression, raw, &exporter->codec, failure);
}

static void close_exporter(struct exporter *exporter) {
    fits_file_abandon(exporter->file);
    tile_codec_close(exporter->codec);
    tracked_free(exporter->packed);
    tracked_free(exporter->tile);
    tracked_free(exporter->band);
    tracked_free(exporter->channel);
}

int fits_export_run(const struct fits_export_job *job, struct failure *failure) {
    struct exporter exporter = {.job = job};
    const struct tile_codec_shape *tile = &job->picture->shape;
    const struct fits_file_shape shape = {.width = job->width,
                                          .height = job->height,
                                          .samples = tile->samples,
                                          .bits = tile->bits,
                                          .is_float = tile->is_float};
    int r = open_exporter(&exporter, failure);
    if (r == 0)
        r = fits_file_create(job->library, job->path, &shape, &exporter.file, failure);
    if (r == 0) {
        put_header(exporter.file, job);
        r = write_bands(&exporter, failure);
    }
    if (r == 0)
        r = fits_file_close(STEAL_PTR(exporter.file), failure);
    close_exporter(&exporter);
    if (r < 0)
        (void)unlink(job->path); /* whoever writes it next removes it too */
    return r;
}
