/* See pyramid.h. The writer is a cascade: each finished pair of rows of a level makes one row of
 * the next, so a single pass over level 2 leaves all levels. The reader uses pread, a row at a
 * time: the page cache is the cache. */
#include "worker/align/pyramid.h"

#include "common/atomic_file.h"
#include "common/checked.h"
#include "common/whole_write.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_REGION_SIDE = 4096 };

void pyramid_plan(uint32_t width, uint32_t height, double signal_max, struct pyramid_layout *ret) {
    uint32_t longer = width > height ? width : height, shorter = width + height - longer;
    int last = PYRAMID_FIRST_LEVEL - 1;
    while (last + 1 < PYRAMID_MAX_LEVELS && (shorter >> (last + 1)) >= 1 &&
           (longer >> (last + 1)) >= PYRAMID_LEAST_SIDE)
        last++;
    *ret = (struct pyramid_layout){width, height, last, UINT16_MAX / signal_max};
}

struct pyramid_size pyramid_level_size(const struct pyramid_layout *layout, int level) {
    return (struct pyramid_size){(int)(layout->width >> level), (int)(layout->height >> level)};
}

static uint64_t level_offset(const struct pyramid_layout *layout, int level) {
    uint64_t offset = 0;
    for (int i = PYRAMID_FIRST_LEVEL; i < level; i++) {
        struct pyramid_size size = pyramid_level_size(layout, i);
        offset += sizeof(uint16_t) * (uint64_t)size.width * (uint64_t)size.height;
    }
    return offset;
}

struct level_rows {
    uint16_t *even;  /* the row that waits for its partner */
    uint16_t *mean;  /* the row for the next level */
    uint32_t n_rows; /* taken so far */
};

struct pyramid_writer {
    struct pyramid_layout layout;
    char *path, *temporary;
    int fd;
    struct level_rows levels[PYRAMID_MAX_LEVELS];
};

void pyramid_writer_abandon(struct pyramid_writer *writer) {
    if (!writer)
        return;
    if (writer->fd >= 0)
        (void)close(writer->fd); /* the file is thrown away */
    if (writer->temporary)
        (void)unlink(writer->temporary); /* gone already after publishing */
    for (int i = 0; i < PYRAMID_MAX_LEVELS; i++) {
        tracked_free(writer->levels[i].even);
        tracked_free(writer->levels[i].mean);
    }
    free(writer->path);
    free(writer->temporary);
    free(writer);
}

static void writer_cleanup(struct pyramid_writer **writer) { pyramid_writer_abandon(*writer); }

static int allocate_rows(struct pyramid_writer *writer) {
    for (int level = PYRAMID_FIRST_LEVEL; level <= writer->layout.last_level; level++) {
        size_t width = (size_t)pyramid_level_size(&writer->layout, level).width;
        struct level_rows *rows = &writer->levels[level];
        rows->even = tracked_alloc(width, sizeof(*rows->even), "level rows");
        rows->mean = tracked_alloc(width / 2 + 1, sizeof(*rows->mean), "level rows");
        if (!rows->even || !rows->mean)
            return -ENOMEM;
    }
    return 0;
}

int pyramid_writer_open(const char *path, const struct pyramid_layout *layout,
                        struct pyramid_writer **ret, struct failure *failure) {
    CLEANUP(writer_cleanup) struct pyramid_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return failure_set(failure, -ENOMEM, "no memory to write %s", path);
    writer->fd = -1;
    writer->layout = *layout;
    writer->path = strdup(path);
    writer->temporary = atomic_file_temporary_name(path);
    if (!writer->path || !writer->temporary || allocate_rows(writer) < 0)
        return failure_set(failure, -ENOMEM, "no memory to write %s", path);
    (void)unlink(writer->temporary); /* of an attempt that was killed; usually there is none */
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (writer->fd < 0)
        return failure_set_errno(failure, -errno, "cannot create %s", writer->temporary);
    *ret = STEAL_PTR(writer);
    return 0;
}

static int write_row(struct pyramid_writer *writer, int level, uint32_t y, const uint16_t *row,
                     struct failure *failure) {
    size_t length = sizeof(*row) * (size_t)pyramid_level_size(&writer->layout, level).width;
    uint64_t offset = level_offset(&writer->layout, level) + (uint64_t)y * length;
    int r = whole_write_at(writer->fd, row, length, offset);
    return r < 0 ? failure_set_errno(failure, r, "cannot write %s", writer->temporary) : 0;
}

/* Means of 2 x 2, rounded to the nearest. */
static void halve_rows(const uint16_t *restrict above, const uint16_t *restrict below, int width,
                       uint16_t *restrict ret) {
    for (int x = 0; x < width; x++) {
        uint32_t sum = (uint32_t)above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1];
        ret[x] = (uint16_t)((sum + 2) / 4);
    }
}

int pyramid_writer_row(struct pyramid_writer *writer, const uint16_t *row,
                       struct failure *failure) {
    for (int level = PYRAMID_FIRST_LEVEL; level <= writer->layout.last_level; level++) {
        struct level_rows *rows = &writer->levels[level];
        struct pyramid_size size = pyramid_level_size(&writer->layout, level);
        if (rows->n_rows >= (uint32_t)size.height)
            return 0; /* the odd last row of the level above */
        int r = write_row(writer, level, rows->n_rows, row, failure);
        if (r < 0)
            return r;
        if (rows->n_rows++ % 2 == 0) {
            memcpy(rows->even, row, sizeof(*row) * (size_t)size.width);
            return 0;
        }
        halve_rows(rows->even, row, size.width / 2, rows->mean);
        row = rows->mean;
    }
    return 0;
}

int pyramid_writer_publish(struct pyramid_writer *taken, struct failure *failure) {
    CLEANUP(writer_cleanup) struct pyramid_writer *writer = taken;
    int fd = STEAL_FD(writer->fd);
    if (close(fd) < 0)
        return failure_set_errno(failure, -errno, "cannot close %s", writer->temporary);
    return atomic_file_publish(writer->temporary, writer->path, failure);
}

struct pyramid {
    struct pyramid_source source;
    char *path; /* source.path, owned */
    int fd;     /* -1: no stored level */
    struct image_reader *reader;
    void *pixels; /* scratch: native pixels of a region of level 0, or rows of a stored level */
    size_t pixels_bytes;
    float *full; /* scratch: signal of a region of level 0, for level 1 */
    size_t full_count;
};

void pyramid_close(struct pyramid *pyramid) {
    if (!pyramid)
        return;
    if (pyramid->fd >= 0)
        (void)close(pyramid->fd); /* read only */
    image_reader_close(pyramid->reader);
    tracked_free(pyramid->pixels);
    tracked_free(pyramid->full);
    free(pyramid->path);
    free(pyramid);
}

static void pyramid_cleanup(struct pyramid **pyramid) { pyramid_close(*pyramid); }

static int open_file(struct pyramid *pyramid, struct failure *failure) {
    const struct pyramid_source *source = &pyramid->source;
    if (source->layout.last_level < PYRAMID_FIRST_LEVEL)
        return 0;
    pyramid->fd = open(source->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (pyramid->fd < 0 || fstat(pyramid->fd, &st) < 0)
        return failure_set_errno(failure, -errno, "cannot open %s", source->path);
    uint64_t expected = level_offset(&source->layout, source->layout.last_level + 1);
    if ((uint64_t)st.st_size != expected)
        return failure_set(failure, -ESTALE,
                           "%s has %lld bytes in place of %llu: remove the checkpoints folder and "
                           "run again",
                           source->path, (long long)st.st_size, (unsigned long long)expected);
    return 0;
}

int pyramid_open(const struct pyramid_source *source, struct pyramid **ret,
                 struct failure *failure) {
    CLEANUP(pyramid_cleanup) struct pyramid *pyramid = calloc(1, sizeof(*pyramid));
    if (!pyramid)
        return failure_set(failure, -ENOMEM, "no memory to read %s", source->path);
    pyramid->source = *source;
    pyramid->fd = -1;
    pyramid->source.path = pyramid->path = strdup(source->path);
    if (!pyramid->path)
        return failure_set(failure, -ENOMEM, "no memory to read %s", source->path);
    int r = open_file(pyramid, failure);
    if (r < 0)
        return r;
    if (source->image) {
        r = image_reader_open(source->image, source->cache_bytes, &pyramid->reader, failure);
        if (r < 0)
            return r;
    }
    *ret = STEAL_PTR(pyramid);
    return 0;
}

/* Scratch that only grows; its size follows the region's, which is bounded. */
static void *grow(void **buffer, size_t *bytes, size_t wanted) {
    if (wanted > *bytes) {
        tracked_free(*buffer);
        *buffer = tracked_alloc(wanted, 1, "region");
        *bytes = *buffer ? wanted : 0;
    }
    return *buffer;
}

/* The part of [start, start + length) inside [0, size). */
struct span {
    int start, length;
};

static struct span clip(int start, int length, int size) {
    int first = start > 0 ? start : 0;
    int end = start + length < size ? start + length : size;
    return (struct span){first, end > first ? end - first : 0};
}

static int read_stored(struct pyramid *pyramid, const struct pyramid_region *region,
                       struct span columns, struct span rows, float *ret, struct failure *failure) {
    const struct pyramid_source *source = &pyramid->source;
    struct pyramid_size size = pyramid_level_size(&source->layout, region->level);
    size_t length = sizeof(uint16_t) * (size_t)columns.length;
    uint16_t *values = grow(&pyramid->pixels, &pyramid->pixels_bytes, length);
    if (!values)
        return failure_set(failure, -ENOMEM, "no memory for a row of %s", source->path);
    uint64_t base = level_offset(&source->layout, region->level);
    float scale = (float)(1 / source->layout.factor);
    for (int y = rows.start; y < rows.start + rows.length; y++) {
        uint64_t index = (uint64_t)y * (uint64_t)size.width + (uint64_t)columns.start;
        ssize_t n = pread(pyramid->fd, values, length, (off_t)(base + sizeof(uint16_t) * index));
        if (n != (ssize_t)length)
            return failure_set_errno(failure, n < 0 ? -errno : -EIO, "cannot read %s",
                                     source->path);
        float *to =
            ret + (size_t)(y - region->y) * (size_t)region->width + (columns.start - region->x);
        for (int x = 0; x < columns.length; x++)
            to[x] = scale * (float)values[x];
    }
    return 0;
}

static int read_full(struct pyramid *pyramid, const struct pyramid_region *region,
                     struct span columns, struct span rows, float *ret, struct failure *failure) {
    const struct signal *signal = &pyramid->source.signal;
    size_t stride = (size_t)columns.length * signal->samples * (signal->bits / 8);
    size_t wanted = stride * (size_t)rows.length;
    if (!grow(&pyramid->pixels, &pyramid->pixels_bytes, wanted))
        return failure_set(failure, -ENOMEM, "no memory for a region of %d x %d px", columns.length,
                           rows.length);
    int r = image_reader_read(pyramid->reader, (uint32_t)columns.start, (uint32_t)rows.start,
                              (uint32_t)columns.length, (uint32_t)rows.length, pyramid->pixels,
                              stride, failure);
    if (r < 0)
        return r;
    for (int y = 0; y < rows.length; y++) {
        float *to = ret + (size_t)(rows.start + y - region->y) * (size_t)region->width +
                    (columns.start - region->x);
        signal_extract(signal, (const char *)pyramid->pixels + (size_t)y * stride,
                       (size_t)columns.length, to);
    }
    return 0;
}

/* Level 1 is not stored: it is made from full-resolution rows, a few at a time, so that even a
 * region as large as the image takes little. */
static int read_half(struct pyramid *pyramid, const struct pyramid_region *region,
                     struct span columns, struct span rows, float *ret, struct failure *failure) {
    const int most_rows = 128; /* one row of 256 px tiles is decoded once */
    size_t stride = 2 * (size_t)columns.length;
    void *slot = pyramid->full;
    float *full = grow(&slot, &pyramid->full_count, sizeof(*full) * stride * 2 * (size_t)most_rows);
    pyramid->full = slot;
    if (!full)
        return failure_set(failure, -ENOMEM, "no memory for a region of %d x %d px",
                           2 * columns.length, 2 * most_rows);
    for (int done = 0, n; done < rows.length; done += n) {
        n = rows.length - done < most_rows ? rows.length - done : most_rows;
        struct pyramid_region twice = {0, 2 * columns.start, 2 * (rows.start + done),
                                       2 * columns.length, 2 * n};
        int r = read_full(pyramid, &twice, (struct span){twice.x, twice.width},
                          (struct span){twice.y, twice.height}, full, failure);
        if (r < 0)
            return r;
        for (int y = 0; y < n; y++) {
            const float *above = full + (size_t)(2 * y) * stride, *below = above + stride;
            float *to = ret + (size_t)(rows.start + done + y - region->y) * (size_t)region->width +
                        (columns.start - region->x);
            for (int x = 0; x < columns.length; x++)
                to[x] = (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]) / 4;
        }
    }
    return 0;
}

int pyramid_read(struct pyramid *pyramid, const struct pyramid_region *region, float *ret,
                 struct failure *failure) {
    struct pyramid_size size = pyramid_level_size(&pyramid->source.layout, region->level);
    if (region->width < 1 || region->height < 1 || region->width > MAX_REGION_SIDE ||
        region->height > MAX_REGION_SIDE)
        return failure_set(failure, -EINVAL, "a region of %d x %d px is not read at once",
                           region->width, region->height);
    memset(ret, 0, sizeof(*ret) * (size_t)region->width * (size_t)region->height);
    struct span columns = clip(region->x, region->width, size.width);
    struct span rows = clip(region->y, region->height, size.height);
    if (columns.length == 0 || rows.length == 0)
        return 0;
    if (region->level >= PYRAMID_FIRST_LEVEL)
        return read_stored(pyramid, region, columns, rows, ret, failure);
    if (region->level == 1)
        return read_half(pyramid, region, columns, rows, ret, failure);
    return read_full(pyramid, region, columns, rows, ret, failure);
}
