/* Writing tiled BigTIFFs; see tiff_writer.h.
 *
 * Uncompressed tiles of one size have known places, so the whole header is written first and each
 * tile then goes to its place with one pwrite: no lock, and the same bytes whatever the order.
 * (libtiff appends tiles as they come, and one thread at a time.) Compressed tiles are appended,
 * and their place and length entered in the header's arrays right away: who knows the last tile
 * that is on disk knows where to go on. The space is reserved at the start, for tiles that do not
 * shrink: a full disk is met before the work, not after it. Layout: BigTIFF design, libtiff.org.
 */
#include "worker/tiff/tiff_writer.h"

#include "common/atomic_file.h"
#include "worker/tiff/tiff_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the header is written as it stands");

enum {
    DIRECTORY_OFFSET = 16, /* right after the BigTIFF header */
    MAX_ENTRIES = 20,
    MAX_SAMPLES = 64,
    TILE_ALIGNMENT = 4096,
    ARRAY_PIECE = 4096, /* entries of the tile arrays that are written at once */
    WORD = 2,           /* tiles begin at even bytes (TIFF 6.0, section 2) */
};

/* As on disk. */
struct __attribute__((packed)) entry {
    uint16_t tag, type;
    uint64_t count, value; /* the value itself, or where it stands */
};

struct tiff_writer {
    char *path, *temporary; /* owned */
    int fd;                 /* owned */
    uint32_t columns, rows;
    uint64_t n_tiles, tile_bytes, data_offset;
    uint64_t offsets_at, counts_at; /* where the tiles' places and lengths stand */
    bool compressed;
    bool header_stands; /* it is not written again */
    uint64_t end;       /* compressed: of the last tile */
    atomic_uint_fast64_t n_written;
};

/* The directory while it is put together: entries, and values that do not fit into them. */
struct directory {
    uint16_t n;
    struct entry entries[MAX_ENTRIES];
    uint64_t values_offset; /* where the next value goes */
};

static void add(struct directory *directory, uint16_t tag, uint16_t type, uint64_t count,
                uint64_t value) {
    directory->entries[directory->n++] =
        (struct entry){.tag = tag, .type = type, .count = count, .value = value};
}

static int write_header_bytes(struct tiff_writer *writer, uint64_t at, const void *bytes,
                              size_t size, struct failure *failure) {
    return writer->header_stands
               ? 0
               : tiff_file_write(writer->fd, writer->temporary, at, bytes, size, failure);
}

/* Values of up to 8 bytes stand in the entry; longer ones at values_offset, which moves on. */
static int add_bytes(struct tiff_writer *writer, struct directory *directory, uint16_t tag,
                     uint16_t type, uint64_t count, const void *bytes, size_t size,
                     struct failure *failure) {
    uint64_t value = 0;
    if (size <= sizeof(value)) {
        memcpy(&value, bytes, size);
        add(directory, tag, type, count, value);
        return 0;
    }
    add(directory, tag, type, count, directory->values_offset);
    int r = write_header_bytes(writer, directory->values_offset, bytes, size, failure);
    directory->values_offset += (size + 7) / 8 * 8;
    return r;
}

/* The same number for every sample. */
static int add_shorts(struct tiff_writer *writer, struct directory *directory, uint16_t tag,
                      uint16_t number, uint32_t count, struct failure *failure) {
    uint16_t numbers[MAX_SAMPLES];
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = number;
    return add_bytes(writer, directory, tag, TIFF_SHORT, count, numbers, count * sizeof(*numbers),
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

/* First value and step of an array with one entry per tile. */
static int write_array(struct tiff_writer *writer, uint64_t at, uint64_t first, uint64_t step,
                       struct failure *failure) {
    uint64_t piece[ARRAY_PIECE];
    for (uint64_t done = 0; done < writer->n_tiles;) {
        uint64_t left = writer->n_tiles - done, n = left < ARRAY_PIECE ? left : ARRAY_PIECE;
        for (uint64_t i = 0; i < n; i++)
            piece[i] = first + (done + i) * step;
        int r = write_header_bytes(writer, at + done * sizeof(*piece), piece, n * sizeof(*piece),
                                   failure);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

/* Where the value of the directory's next entry stands. */
static uint64_t next_value_at(const struct directory *directory) {
    return DIRECTORY_OFFSET + sizeof(uint64_t) + directory->n * sizeof(struct entry) +
           offsetof(struct entry, value);
}

/* Tile offsets and byte counts; they end where the tiles begin. Those of compressed tiles follow.
 */
static int add_tiles(struct tiff_writer *writer, struct directory *directory,
                     struct failure *failure) {
    uint64_t offsets = directory->values_offset;
    uint64_t counts = offsets + writer->n_tiles * sizeof(uint64_t);
    uint64_t end = counts + writer->n_tiles * sizeof(uint64_t);
    writer->data_offset = (end + TILE_ALIGNMENT - 1) / TILE_ALIGNMENT * TILE_ALIGNMENT;
    bool single = writer->n_tiles == 1; /* then both stand in their entries */
    writer->offsets_at = single ? next_value_at(directory) : offsets;
    add(directory, TIFFTAG_TILEOFFSETS, TIFF_LONG8, writer->n_tiles,
        single ? writer->data_offset : offsets);
    writer->counts_at = single ? next_value_at(directory) : counts;
    add(directory, TIFFTAG_TILEBYTECOUNTS, TIFF_LONG8, writer->n_tiles,
        single ? writer->tile_bytes : counts);
    if (single || writer->compressed)
        return 0;
    int r = write_array(writer, offsets, writer->data_offset, writer->tile_bytes, failure);
    return r < 0 ? r : write_array(writer, counts, writer->tile_bytes, 0, failure);
}

static int write_directory(struct tiff_writer *writer, const struct directory *directory,
                           struct failure *failure) {
    static const struct __attribute__((packed)) {
        char order[2];
        uint16_t version, offset_bytes, zero;
        uint64_t directory;
    } header = {{'I', 'I'}, 43, 8, 0, DIRECTORY_OFFSET};
    uint64_t n = directory->n, next = 0;
    char bytes[sizeof(n) + sizeof(directory->entries) + sizeof(next)];
    memcpy(bytes, &n, sizeof(n));
    memcpy(bytes + sizeof(n), directory->entries, n * sizeof(struct entry));
    memcpy(bytes + sizeof(n) + n * sizeof(struct entry), &next, sizeof(next));
    int r = write_header_bytes(writer, 0, &header, sizeof(header), failure);
    return r < 0 ? r
                 : write_header_bytes(writer, sizeof(header), bytes,
                                      sizeof(n) + n * sizeof(struct entry) + sizeof(next), failure);
}

/* Everything but the tiles; entries stand in the order of their tags. */
static int write_header(struct tiff_writer *writer, const struct tiff_writer_options *options,
                        struct failure *failure) {
    struct directory directory = {.values_offset =
                                      DIRECTORY_OFFSET + sizeof(directory.entries) + 16};
    bool rgb = options->samples == 3 && !options->is_float;
    uint32_t n_extra = rgb ? 0 : options->samples - 1;
    const char *text = options->description;
    add(&directory, TIFFTAG_IMAGEWIDTH, TIFF_LONG, 1, options->width);
    add(&directory, TIFFTAG_IMAGELENGTH, TIFF_LONG, 1, options->height);
    int r = add_shorts(writer, &directory, TIFFTAG_BITSPERSAMPLE, (uint16_t)options->bits,
                       options->samples, failure);
    struct tile_codec_shape shape = tiff_writer_shape(options);
    uint16_t predictor = tile_codec_predictor_tag(options->compression, &shape);
    add(&directory, TIFFTAG_COMPRESSION, TIFF_SHORT, 1,
        tile_codec_compression_tag(options->compression));
    add(&directory, TIFFTAG_PHOTOMETRIC, TIFF_SHORT, 1,
        rgb ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
    if (r == 0 && text)
        r = add_bytes(writer, &directory, TIFFTAG_IMAGEDESCRIPTION, TIFF_ASCII, strlen(text) + 1,
                      text, strlen(text) + 1, failure);
    add(&directory, TIFFTAG_ORIENTATION, TIFF_SHORT, 1, ORIENTATION_TOPLEFT);
    add(&directory, TIFFTAG_SAMPLESPERPIXEL, TIFF_SHORT, 1, options->samples);
    add_rational(&directory, TIFFTAG_XRESOLUTION, options->x_resolution);
    add_rational(&directory, TIFFTAG_YRESOLUTION, options->y_resolution);
    add(&directory, TIFFTAG_PLANARCONFIG, TIFF_SHORT, 1, PLANARCONFIG_CONTIG);
    if (options->x_resolution > 0 && options->resolution_unit)
        add(&directory, TIFFTAG_RESOLUTIONUNIT, TIFF_SHORT, 1, options->resolution_unit);
    if (predictor != PREDICTOR_NONE)
        add(&directory, TIFFTAG_PREDICTOR, TIFF_SHORT, 1, predictor);
    add(&directory, TIFFTAG_TILEWIDTH, TIFF_LONG, 1, TIFF_WRITER_TILE_PX);
    add(&directory, TIFFTAG_TILELENGTH, TIFF_LONG, 1, TIFF_WRITER_TILE_PX);
    struct directory samples = directory; /* their values go before the long arrays */
    samples.n = 0;
    if (r == 0 && n_extra)
        r = add_shorts(writer, &samples, TIFFTAG_EXTRASAMPLES, EXTRASAMPLE_UNSPECIFIED, n_extra,
                       failure);
    if (r == 0)
        r = add_shorts(writer, &samples, TIFFTAG_SAMPLEFORMAT,
                       options->is_float ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT,
                       options->samples, failure);
    directory.values_offset = samples.values_offset;
    if (r == 0)
        r = add_tiles(writer, &directory, failure);
    for (uint16_t i = 0; i < samples.n; i++)
        directory.entries[directory.n++] = samples.entries[i];
    return r < 0 ? r : write_directory(writer, &directory, failure);
}

/* file systems that cannot reserve say so; a disk that is full matters */
static int reserve(struct tiff_writer *writer, struct failure *failure) {
    uint64_t size = writer->data_offset + writer->n_tiles * writer->tile_bytes;
    if (ftruncate(writer->fd, (off_t)(writer->compressed ? writer->data_offset : size)) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be made %llu bytes long",
                                 writer->temporary, (unsigned long long)size);
    if (fallocate(writer->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return failure_set_errno(failure, -errno, "%llu bytes for %s cannot be reserved",
                                 (unsigned long long)size, writer->temporary);
    return 0;
}

static bool is_possible(const struct tiff_writer_options *options) {
    bool depth =
        options->is_float ? options->bits == 32 : options->bits == 8 || options->bits == 16;
    return depth && options->width && options->height && options->samples &&
           options->samples <= MAX_SAMPLES;
}

/* All but the file. */
static int make(const char *path, const struct tiff_writer_options *options,
                struct tiff_writer **ret, struct failure *failure) {
    if (!is_possible(options))
        return failure_set(failure, -EINVAL,
                           "%s cannot be a TIFF of %u x %u px with %u samples of %u bits", path,
                           options->width, options->height, options->samples, options->bits);
    struct tiff_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    writer->fd = -1;
    writer->columns = (options->width - 1) / TIFF_WRITER_TILE_PX + 1;
    writer->rows = (options->height - 1) / TIFF_WRITER_TILE_PX + 1;
    writer->n_tiles = (uint64_t)writer->columns * writer->rows;
    writer->tile_bytes =
        (uint64_t)TIFF_WRITER_TILE_PX * TIFF_WRITER_TILE_PX * options->samples * options->bits / 8;
    writer->compressed = options->compression != PARAMS_COMPRESSION_NONE;
    writer->path = strdup(path);
    writer->temporary = atomic_file_temporary_name(path);
    if (!writer->path || !writer->temporary) {
        tiff_writer_suspend(writer);
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    }
    *ret = writer;
    return 0;
}

static int begin(struct tiff_writer *writer, const struct tiff_writer_options *options,
                 struct failure *failure) {
    (void)unlink(writer->temporary); /* a leftover; if it stays, open says so */
    writer->fd = open(writer->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (writer->fd < 0)
        return failure_set_errno(failure, -errno, "%s cannot be created", writer->temporary);
    int r = write_header(writer, options, failure);
    writer->end = writer->data_offset;
    return r < 0 ? r : reserve(writer, failure);
}

int tiff_writer_open(const char *path, const struct tiff_writer_options *options,
                     struct tiff_writer **ret, struct failure *failure) {
    struct tiff_writer *writer = NULL;
    int r = make(path, options, &writer, failure);
    if (r == 0)
        r = begin(writer, options, failure);
    if (r < 0)
        tiff_writer_abandon(writer);
    else
        *ret = writer;
    return r;
}

static bool has_inode(const char *path, uint64_t inode) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == inode;
}

/* Where a compressed file goes on. */
static int find_end(struct tiff_writer *writer, uint64_t last, struct failure *failure) {
    uint64_t offset = 0, count = 0;
    struct tiff_file file = {.path = writer->temporary, .fd = writer->fd};
    int r = tiff_file_read(&file, writer->offsets_at + last * sizeof(offset), &offset,
                           sizeof(offset), failure);
    if (r == 0)
        r = tiff_file_read(&file, writer->counts_at + last * sizeof(count), &count, sizeof(count),
                           failure);
    if (r < 0)
        return r;
    if (offset < writer->data_offset || count == 0 || count > 2 * writer->tile_bytes)
        return failure_set(failure, -ESTALE, "%s does not hold tile %llu", writer->temporary,
                           (unsigned long long)last);
    writer->end = offset + count;
    return 0;
}

/* The header stands; it is put together again to know where everything is. */
static int go_on(struct tiff_writer *writer, const struct tiff_writer_options *options,
                 uint64_t inode, uint64_t n_written, uint64_t last, struct failure *failure) {
    if (has_inode(writer->path, inode) && rename(writer->path, writer->temporary) < 0)
        return failure_set_errno(failure, -errno, "cannot rename %s to %s", writer->path,
                                 writer->temporary);
    if (!has_inode(writer->temporary, inode))
        return failure_set(failure, -ESTALE, "%s is gone or was replaced", writer->temporary);
    writer->fd = open(writer->temporary, O_RDWR | O_CLOEXEC);
    if (writer->fd < 0)
        return failure_set_errno(failure, -errno, "%s cannot be opened", writer->temporary);
    writer->header_stands = true;
    int r = write_header(writer, options, failure);
    writer->end = writer->data_offset;
    if (r == 0 && writer->compressed && n_written > 0)
        r = find_end(writer, last, failure);
    uint64_t size = writer->data_offset + writer->n_tiles * writer->tile_bytes;
    struct stat status;
    if (r == 0 && (fstat(writer->fd, &status) < 0 ||
                   (writer->compressed ? (uint64_t)status.st_size < writer->end
                                       : (uint64_t)status.st_size != size)))
        r = failure_set(failure, -ESTALE, "%s is not %llu bytes long any more", writer->temporary,
                        (unsigned long long)(writer->compressed ? writer->end : size));
    return r;
}

int tiff_writer_reopen(const char *path, const struct tiff_writer_options *options, uint64_t inode,
                       uint64_t n_written, uint64_t last, struct tiff_writer **ret,
                       struct failure *failure) {
    struct tiff_writer *writer = NULL;
    int r = make(path, options, &writer, failure);
    if (r < 0)
        return r;
    r = go_on(writer, options, inode, n_written, last, failure);
    if (r < 0) {
        tiff_writer_suspend(writer);
        return r;
    }
    atomic_store(&writer->n_written, n_written);
    *ret = writer;
    return 0;
}

int tiff_writer_get_inode(const struct tiff_writer *writer, uint64_t *ret,
                          struct failure *failure) {
    struct stat status;
    if (fstat(writer->fd, &status) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be examined", writer->temporary);
    *ret = status.st_ino;
    return 0;
}

static int tile_index(const struct tiff_writer *writer, uint32_t tile_x, uint32_t tile_y,
                      uint64_t *ret, struct failure *failure) {
    if (tile_x >= writer->columns || tile_y >= writer->rows)
        return failure_set(failure, -EINVAL, "%s has no tile %u, %u", writer->path, tile_x, tile_y);
    *ret = (uint64_t)tile_y * writer->columns + tile_x;
    return 0;
}

int tiff_writer_put(struct tiff_writer *writer, uint32_t tile_x, uint32_t tile_y,
                    const void *pixels, struct failure *failure) {
    uint64_t index = 0;
    int r = tile_index(writer, tile_x, tile_y, &index, failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary,
                            writer->data_offset + index * writer->tile_bytes, pixels,
                            writer->tile_bytes, failure);
    if (r == 0)
        atomic_fetch_add(&writer->n_written, 1);
    return r;
}

int tiff_writer_append(struct tiff_writer *writer, uint32_t tile_x, uint32_t tile_y,
                       const void *bytes, size_t size, struct failure *failure) {
    if (!writer->compressed)
        return tiff_writer_put(writer, tile_x, tile_y, bytes, failure);
    uint64_t index = 0, offset = (writer->end + WORD - 1) / WORD * WORD, count = size;
    int r = tile_index(writer, tile_x, tile_y, &index, failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary, offset, bytes, size, failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary,
                            writer->offsets_at + index * sizeof(offset), &offset, sizeof(offset),
                            failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary,
                            writer->counts_at + index * sizeof(count), &count, sizeof(count),
                            failure);
    if (r < 0)
        return r;
    writer->end = offset + size;
    atomic_fetch_add(&writer->n_written, 1);
    return 0;
}

int tiff_writer_sync(struct tiff_writer *writer, struct failure *failure) {
    if (fdatasync(writer->fd) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be written to disk",
                                 writer->temporary);
    return 0;
}

int tiff_writer_publish(struct tiff_writer *writer, struct failure *failure) {
    uint64_t n_written = atomic_load(&writer->n_written);
    if (n_written != writer->n_tiles) {
        int r = failure_set(failure, -EINVAL, "%s: %llu tiles were written in place of %llu",
                            writer->path, (unsigned long long)n_written,
                            (unsigned long long)writer->n_tiles);
        tiff_writer_abandon(writer);
        return r;
    }
    int r = 0;
    /* what was reserved, or left by an attempt that got further, goes */
    if (writer->compressed && ftruncate(writer->fd, (off_t)writer->end) < 0)
        r = failure_set_errno(failure, -errno, "%s cannot be cut to %llu bytes", writer->temporary,
                              (unsigned long long)writer->end);
    if (r == 0 && close(STEAL_FD(writer->fd)) < 0)
        r = failure_set_errno(failure, -errno, "%s cannot be written", writer->temporary);
    if (r == 0)
        r = atomic_file_publish(writer->temporary, writer->path, failure);
    if (r < 0) {
        tiff_writer_abandon(writer);
        return r;
    }
    tiff_writer_suspend(writer);
    return 0;
}

void tiff_writer_abandon(struct tiff_writer *writer) {
    if (writer && writer->temporary)
        (void)unlink(writer->temporary); /* whoever writes it next removes it too */
    tiff_writer_suspend(writer);
}

void tiff_writer_suspend(struct tiff_writer *writer) {
    if (!writer)
        return;
    if (writer->fd >= 0)
        (void)close(writer->fd); /* what counts was synced */
    free(writer->path);
    free(writer->temporary);
    free(writer);
}
