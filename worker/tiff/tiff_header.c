/* Putting together the head of a TIFF; see tiff_header.h. Reduced levels' directories stand before
 * their image's, which names them; tables of tiles are filled at the end, when it is known where
 * the tiles begin. */
#include "worker/tiff/tiff_header.h"

#include "worker/tiff/tiff_file.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <tiffio.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the header is written as it stands");

enum {
    HEADER_BYTES = 16,
    LINK_OFFSET = 8, /* of the first directory's place */
    MAX_ENTRIES = 22,
    MAX_SAMPLES = 64,
    MAX_LEVELS = 31,
    TILE_ALIGNMENT = 4096,
    ARRAY_PIECE = 4096, /* entries of the tile tables that are written at once */
};

/* As on disk. */
struct __attribute__((packed)) entry {
    uint16_t tag, type;
    uint64_t count, value; /* the value itself, or where it stands */
};

/* A directory while it is put together: entries, and values that do not fit into them. */
struct directory {
    uint64_t at;
    uint16_t n;
    struct entry entries[MAX_ENTRIES];
    uint64_t values_offset; /* where the next value goes */
};

static void add(struct directory *directory, uint16_t tag, uint16_t type, uint64_t count,
                uint64_t value) {
    directory->entries[directory->n++] =
        (struct entry){.tag = tag, .type = type, .count = count, .value = value};
}

static int write_bytes(const struct tiff_header *header, uint64_t at, const void *bytes,
                       size_t size, struct failure *failure) {
    return header->fd < 0 ? 0 : tiff_file_write(header->fd, header->path, at, bytes, size, failure);
}

/* Values of up to 8 bytes stand in the entry; longer ones at values_offset, which moves on. */
static int add_bytes(const struct tiff_header *header, struct directory *directory, uint16_t tag,
                     uint16_t type, uint64_t count, const void *bytes, size_t size,
                     struct failure *failure) {
    uint64_t value = 0;
    if (size <= sizeof(value)) {
        memcpy(&value, bytes, size);
        add(directory, tag, type, count, value);
        return 0;
    }
    add(directory, tag, type, count, directory->values_offset);
    int r = write_bytes(header, directory->values_offset, bytes, size, failure);
    directory->values_offset += (size + 7) / 8 * 8;
    return r;
}

/* The same number for every sample. */
static int add_shorts(const struct tiff_header *header, struct directory *directory, uint16_t tag,
                      uint16_t number, uint32_t count, struct failure *failure) {
    uint16_t numbers[MAX_SAMPLES];
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = number;
    return add_bytes(header, directory, tag, TIFF_SHORT, count, numbers, count * sizeof(*numbers),
                     failure);
}

/* Nine digits, fewer before than after the point where it can be. */
static void add_rational(struct directory *directory, uint16_t tag, double number) {
    uint32_t denominator = 1000000000;
    while (denominator > 1 && number * denominator >= 4e9)
        denominator /= 10;
    if (!(number > 0 && number * denominator < 4e9))
        return; /* not given, or not to be written in this form */
    uint64_t numerator = (uint64_t)(number * denominator + 0.5);
    add(directory, tag, TIFF_RATIONAL, 1, numerator | (uint64_t)denominator << 32);
}

/* First value and step of a table with one entry per tile. */
static int write_table(const struct tiff_header *header, uint64_t at, uint64_t n_tiles,
                       uint64_t first, uint64_t step, struct failure *failure) {
    uint64_t piece[ARRAY_PIECE];
    for (uint64_t done = 0; done < n_tiles;) {
        uint64_t left = n_tiles - done, n = left < ARRAY_PIECE ? left : ARRAY_PIECE;
        for (uint64_t i = 0; i < n; i++)
            piece[i] = first + (done + i) * step;
        int r = write_bytes(header, at + done * sizeof(*piece), piece, n * sizeof(*piece), failure);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

/* Where the value of the directory's next entry stands. */
static uint64_t next_value_at(const struct directory *directory) {
    return directory->at + sizeof(uint64_t) + directory->n * sizeof(struct entry) +
           offsetof(struct entry, value);
}

/* Room for the tiles' places and lengths: behind the values, or in the entry where there is one. */
static uint64_t add_table(struct directory *directory, uint16_t tag, uint64_t n_tiles) {
    uint64_t at = n_tiles == 1 ? next_value_at(directory) : directory->values_offset;
    add(directory, tag, TIFF_LONG8, n_tiles, n_tiles == 1 ? 0 : at);
    if (n_tiles > 1)
        directory->values_offset += n_tiles * sizeof(uint64_t);
    return at;
}

/* Where the place of the directory after this one stands. */
static uint64_t link_of(const struct directory *directory) {
    return directory->at + sizeof(uint64_t) + directory->n * sizeof(struct entry);
}

static int write_directory(const struct tiff_header *header, const struct directory *directory,
                           struct failure *failure) {
    uint64_t n = directory->n, next = 0;
    char bytes[sizeof(n) + sizeof(directory->entries) + sizeof(next)];
    memcpy(bytes, &n, sizeof(n));
    memcpy(bytes + sizeof(n), directory->entries, n * sizeof(struct entry));
    memcpy(bytes + sizeof(n) + n * sizeof(struct entry), &next, sizeof(next));
    return write_bytes(header, directory->at, bytes,
                       sizeof(n) + n * sizeof(struct entry) + sizeof(next), failure);
}

/* Size, pixels and meaning: the tags up to 323. */
static int add_image(const struct tiff_header *header, struct directory *directory,
                     const struct tiff_writer_options *options, size_t level,
                     const struct tiff_grid *grid, struct failure *failure) {
    bool rgb = options->samples == 3 && !options->is_float;
    const char *text = level > 0 ? NULL : options->description;
    struct tile_codec_shape shape = tiff_writer_shape(options);
    uint16_t predictor = tile_codec_predictor_tag(options->compression, &shape);
    double reduction = (double)(1U << level);
    if (level > 0)
        add(directory, TIFFTAG_SUBFILETYPE, TIFF_LONG, 1, FILETYPE_REDUCEDIMAGE);
    add(directory, TIFFTAG_IMAGEWIDTH, TIFF_LONG, 1, grid->width);
    add(directory, TIFFTAG_IMAGELENGTH, TIFF_LONG, 1, grid->height);
    int r = add_shorts(header, directory, TIFFTAG_BITSPERSAMPLE, (uint16_t)options->bits,
                       options->samples, failure);
    add(directory, TIFFTAG_COMPRESSION, TIFF_SHORT, 1,
        tile_codec_compression_tag(options->compression));
    add(directory, TIFFTAG_PHOTOMETRIC, TIFF_SHORT, 1,
        rgb ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
    if (r == 0 && text)
        r = add_bytes(header, directory, TIFFTAG_IMAGEDESCRIPTION, TIFF_ASCII, strlen(text) + 1,
                      text, strlen(text) + 1, failure);
    add(directory, TIFFTAG_ORIENTATION, TIFF_SHORT, 1, ORIENTATION_TOPLEFT);
    add(directory, TIFFTAG_SAMPLESPERPIXEL, TIFF_SHORT, 1, options->samples);
    add_rational(directory, TIFFTAG_XRESOLUTION, options->x_resolution / reduction);
    add_rational(directory, TIFFTAG_YRESOLUTION, options->y_resolution / reduction);
    add(directory, TIFFTAG_PLANARCONFIG, TIFF_SHORT, 1, PLANARCONFIG_CONTIG);
    if (options->x_resolution > 0 && options->resolution_unit)
        add(directory, TIFFTAG_RESOLUTIONUNIT, TIFF_SHORT, 1, options->resolution_unit);
    if (predictor != PREDICTOR_NONE)
        add(directory, TIFFTAG_PREDICTOR, TIFF_SHORT, 1, predictor);
    add(directory, TIFFTAG_TILEWIDTH, TIFF_LONG, 1, TIFF_WRITER_TILE_PX);
    add(directory, TIFFTAG_TILELENGTH, TIFF_LONG, 1, TIFF_WRITER_TILE_PX);
    return r;
}

static int add_samples(const struct tiff_header *header, struct directory *directory,
                       const struct tiff_writer_options *options, struct failure *failure) {
    bool rgb = options->samples == 3 && !options->is_float;
    uint32_t n_extra = rgb ? 0 : options->samples - 1;
    int r = 0;
    if (n_extra)
        r = add_shorts(header, directory, TIFFTAG_EXTRASAMPLES, EXTRASAMPLE_UNSPECIFIED, n_extra,
                       failure);
    if (r == 0)
        r = add_shorts(header, directory, TIFFTAG_SAMPLEFORMAT,
                       options->is_float    ? SAMPLEFORMAT_IEEEFP
                       : options->is_signed ? SAMPLEFORMAT_INT
                                            : SAMPLEFORMAT_UINT,
                       options->samples, failure);
    return r;
}

/* One image at one level, its entries in the order of their tags. subs: places of the n_levels
 * reduced ones, for level 0. On return values_offset is behind all of it. */
static int write_image(const struct tiff_header *header, const struct tiff_writer_options *options,
                       size_t level, const uint64_t *subs, struct directory *directory,
                       struct tiff_grid *grid, struct failure *failure) {
    directory->n = 0;
    directory->values_offset =
        directory->at + sizeof(uint64_t) + sizeof(directory->entries) + sizeof(uint64_t);
    int r = add_image(header, directory, options, level, grid, failure);
    grid->offsets_at = add_table(directory, TIFFTAG_TILEOFFSETS, grid->n_tiles);
    grid->counts_at = add_table(directory, TIFFTAG_TILEBYTECOUNTS, grid->n_tiles);
    if (r == 0 && level == 0 && header->n_levels > 0)
        r = add_bytes(header, directory, TIFFTAG_SUBIFD, TIFF_IFD8, header->n_levels, subs,
                      header->n_levels * sizeof(*subs), failure);
    if (r == 0)
        r = add_samples(header, directory, options, failure);
    return r < 0 ? r : write_directory(header, directory, failure);
}

static struct tiff_grid describe_grid(const struct tiff_writer_options *options, size_t level) {
    struct tile_codec_shape shape = tiff_writer_shape(options);
    struct tiff_grid grid = {.width = tiff_writer_level_px(options->width, level),
                             .height = tiff_writer_level_px(options->height, level),
                             .tile_bytes = tile_codec_raw_bytes(&shape)};
    grid.columns = (grid.width - 1) / TIFF_WRITER_TILE_PX + 1;
    grid.rows = (grid.height - 1) / TIFF_WRITER_TILE_PX + 1;
    grid.n_tiles = (uint64_t)grid.columns * grid.rows;
    return grid;
}

static int write_directories(struct tiff_header *header, const struct tiff_writer_options *images,
                             struct failure *failure) {
    static const struct __attribute__((packed)) {
        char order[2];
        uint16_t version, offset_bytes, zero;
        uint64_t directory;
    } head = {{'I', 'I'}, 43, 8, 0, 0};
    struct directory directory = {.at = HEADER_BYTES};
    uint64_t link_at = LINK_OFFSET, subs[MAX_LEVELS] = {0};
    const struct tiff_writer_options *options = images;
    int r = write_bytes(header, 0, &head, sizeof(head), failure);
    for (size_t i = 0; i < header->n_images && r == 0; i++, options = options->next) {
        for (size_t k = 1; k <= header->n_levels + 1 && r == 0; k++) {
            size_t level = k <= header->n_levels ? k : 0; /* the image itself comes last */
            struct tiff_grid *grid = tiff_header_grid(header, i, level);
            *grid = describe_grid(options, level);
            if (level > 0)
                subs[level - 1] = directory.at;
            else
                r = write_bytes(header, link_at, &directory.at, sizeof(directory.at), failure);
            if (r == 0)
                r = write_image(header, options, level, subs, &directory, grid, failure);
            if (level == 0)
                link_at = link_of(&directory);
            directory.at = directory.values_offset;
        }
    }
    header->data_offset = (directory.at + TILE_ALIGNMENT - 1) / TILE_ALIGNMENT * TILE_ALIGNMENT;
    return r;
}

/* Full images first, for these are made first. */
static int write_tables(struct tiff_header *header, bool compressed, struct failure *failure) {
    uint64_t at = header->data_offset;
    int r = 0;
    for (size_t level = 0; level <= header->n_levels; level++)
        for (size_t i = 0; i < header->n_images && r == 0; i++) {
            struct tiff_grid *grid = tiff_header_grid(header, i, level);
            grid->data_offset = at;
            at += grid->n_tiles * grid->tile_bytes;
            if (!compressed)
                r = write_table(header, grid->offsets_at, grid->n_tiles, grid->data_offset,
                                grid->tile_bytes, failure);
            if (!compressed && r == 0)
                r = write_table(header, grid->counts_at, grid->n_tiles, grid->tile_bytes, 0,
                                failure);
        }
    header->data_end = at;
    return r;
}

static bool is_possible(const struct tiff_writer_options *options,
                        const struct tiff_writer_options *first) {
    bool depth =
        options->bits == 32 || (!options->is_float && (options->bits == 8 || options->bits == 16));
    return depth && options->width && options->height && options->samples &&
           options->samples <= MAX_SAMPLES && options->n_levels <= MAX_LEVELS &&
           options->n_levels == first->n_levels && options->compression == first->compression;
}

int tiff_header_write(struct tiff_header *header, const struct tiff_writer_options *images,
                      struct failure *failure) {
    header->n_images = 0;
    header->n_levels = images->n_levels;
    for (const struct tiff_writer_options *at = images; at; at = at->next, header->n_images++)
        if (!is_possible(at, images))
            return failure_set(failure, -EINVAL,
                               "%s cannot be a TIFF of %u x %u px with %u samples of %u bits",
                               header->path, at->width, at->height, at->samples, at->bits);
    header->grids = calloc(header->n_images * (1 + header->n_levels), sizeof(*header->grids));
    if (!header->grids)
        return failure_set(failure, -ENOMEM, "%s: out of memory", header->path);
    int r = write_directories(header, images, failure);
    return r < 0 ? r
                 : write_tables(header, images->compression != PARAMS_COMPRESSION_NONE, failure);
}
