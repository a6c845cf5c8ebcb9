/* The tiled copy; see scratch.h. A page of header, then the tiles row by row. */
#include "worker/tiff/scratch.h"

#include "common/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { HEADER_BYTES = 4096, BOOT_ID_BYTES = 36 };

/* Compared byte by byte: no padding, all of it set. */
struct header {
    char magic[32];
    char boot[BOOT_ID_BYTES];
    uint32_t bits;
    uint64_t source_size;
    int64_t source_mtime_ns;
    uint64_t directory;
    uint32_t width, height, samples, inverted;
};
_Static_assert(sizeof(struct header) == 112, "the header must have no holes");

struct scratch {
    struct header header;
    char *path;      /* owned */
    char *temporary; /* owned; NULL once it has its final name */
    int fd;          /* owned */
    uint32_t columns;
    size_t pixel_bytes, tile_bytes;
    char *tile; /* owned; while writing */
};

static int read_boot_id(char boot[BOOT_ID_BYTES]) {
    CLEANUP_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, boot, BOOT_ID_BYTES);
    return n == BOOT_ID_BYTES ? 0 : -EIO;
}

static int describe(const struct tiff_file *source, const struct tiff_layout *layout,
                    struct header *ret, struct failure *failure) {
    struct header header = {.magic = "registrar scratch tiles 1",
                            .bits = layout->bits,
                            .source_size = source->size,
                            .source_mtime_ns = source->mtime_ns,
                            .directory = layout->directory,
                            .width = layout->width,
                            .height = layout->height,
                            .samples = layout->samples,
                            .inverted = layout->inverted};
    int r = read_boot_id(header.boot);
    if (r < 0)
        return failure_set_errno(failure, r, "/proc/sys/kernel/random/boot_id cannot be read");
    *ret = header;
    return 0;
}

static int new_scratch(const char *path, const struct header *header, struct scratch **ret,
                       struct failure *failure) {
    struct scratch *scratch = calloc(1, sizeof(*scratch));
    char *copy = strdup(path);
    if (!scratch || !copy) {
        free(scratch);
        free(copy);
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    }
    scratch->header = *header;
    scratch->path = copy;
    scratch->fd = -1;
    scratch->columns = (header->width - 1) / SCRATCH_TILE_WIDTH + 1;
    scratch->pixel_bytes = (size_t)header->samples * (header->bits / 8);
    scratch->tile_bytes = scratch->pixel_bytes * SCRATCH_TILE_WIDTH * SCRATCH_TILE_HEIGHT;
    *ret = scratch;
    return 0;
}

static int write_all(const struct scratch *scratch, uint64_t offset, const void *bytes, size_t size,
                     struct failure *failure) {
    return tiff_file_write(scratch->fd, scratch->temporary, offset, bytes, size, failure);
}

static int begin(struct scratch *scratch, struct failure *failure) {
    const char *path = scratch->path;
    scratch->temporary = atomic_file_temporary_name(path);
    scratch->tile = calloc(1, scratch->tile_bytes);
    if (!scratch->temporary || !scratch->tile)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    (void)unlink(scratch->temporary); /* a leftover; if it stays, open says so */
    scratch->fd = open(scratch->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (scratch->fd < 0)
        return failure_set_errno(failure, -errno, "%s cannot be created", scratch->temporary);
    uint64_t rows = (scratch->header.height - 1) / SCRATCH_TILE_HEIGHT + 1;
    uint64_t size = HEADER_BYTES + rows * scratch->columns * scratch->tile_bytes;
    if (ftruncate(scratch->fd, (off_t)size) < 0) /* the tiles at the edges need not be full */
        return failure_set_errno(failure, -errno, "%s cannot be made %llu bytes long",
                                 scratch->temporary, (unsigned long long)size);
    return write_all(scratch, 0, &scratch->header, sizeof(scratch->header), failure);
}

int scratch_create(const char *path, const struct tiff_file *source,
                   const struct tiff_layout *layout, struct scratch **ret,
                   struct failure *failure) {
    struct header header;
    struct scratch *scratch = NULL;
    int r = describe(source, layout, &header, failure);
    if (r == 0)
        r = new_scratch(path, &header, &scratch, failure);
    if (r < 0)
        return r;
    r = begin(scratch, failure);
    if (r < 0) {
        scratch_close(scratch);
        return r;
    }
    *ret = scratch;
    return 0;
}

static uint64_t place_of(const struct scratch *scratch, uint32_t column, uint32_t row) {
    return HEADER_BYTES + ((uint64_t)row * scratch->columns + column) * scratch->tile_bytes;
}

/* The part of the rectangle that lies in one tile: x, y, width and height within the tile. */
static int put_in_tile(struct scratch *scratch, uint64_t place, uint32_t x, uint32_t y,
                       uint32_t width, uint32_t height, const char *pixels, size_t stride_bytes,
                       struct failure *failure) {
    size_t row_bytes = SCRATCH_TILE_WIDTH * scratch->pixel_bytes;
    size_t used = width * scratch->pixel_bytes;
    if (x == 0 && width == SCRATCH_TILE_WIDTH) { /* its rows are one piece of the file */
        for (uint32_t i = 0; i < height; i++)
            memcpy(scratch->tile + i * row_bytes, pixels + i * stride_bytes, used);
        return write_all(scratch, place + y * row_bytes, scratch->tile, height * row_bytes,
                         failure);
    }
    for (uint32_t i = 0; i < height; i++) {
        uint64_t at = place + (y + i) * row_bytes + x * scratch->pixel_bytes;
        int r = write_all(scratch, at, pixels + i * stride_bytes, used, failure);
        if (r < 0)
            return r;
    }
    return 0;
}

int scratch_put(struct scratch *scratch, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
                const void *pixels, size_t stride_bytes, struct failure *failure) {
    for (uint32_t v = y, h; v < y + height; v += h) {
        uint32_t row = v / SCRATCH_TILE_HEIGHT, in_y = v % SCRATCH_TILE_HEIGHT;
        uint32_t room_y = SCRATCH_TILE_HEIGHT - in_y, left_y = y + height - v;
        h = left_y < room_y ? left_y : room_y;
        for (uint32_t u = x, w; u < x + width; u += w) {
            uint32_t column = u / SCRATCH_TILE_WIDTH, in_x = u % SCRATCH_TILE_WIDTH;
            uint32_t room_x = SCRATCH_TILE_WIDTH - in_x, left_x = x + width - u;
            w = left_x < room_x ? left_x : room_x;
            const char *from = (const char *)pixels + (size_t)(v - y) * stride_bytes +
                               (u - x) * scratch->pixel_bytes;
            int r = put_in_tile(scratch, place_of(scratch, column, row), in_x, in_y, w, h, from,
                                stride_bytes, failure);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int scratch_publish(struct scratch *scratch, struct failure *failure) {
    if (rename(scratch->temporary, scratch->path) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be renamed to %s", scratch->temporary,
                                 scratch->path);
    free(STEAL_PTR(scratch->temporary));
    free(STEAL_PTR(scratch->tile));
    return 0;
}

int scratch_open(const char *path, const struct tiff_file *source, const struct tiff_layout *layout,
                 struct scratch **ret, struct failure *failure) {
    struct header wanted, found;
    struct scratch *scratch = NULL;
    struct tiff_file file = {.fd = -1};
    int r = describe(source, layout, &wanted, failure);
    if (r == 0)
        r = new_scratch(path, &wanted, &scratch, failure);
    if (r == 0)
        r = tiff_file_open_any(path, &file, failure);
    if (r < 0) {
        scratch_close(scratch);
        return r;
    }
    scratch->fd = STEAL_FD(file.fd);
    free(file.path);
    uint64_t rows = (wanted.height - 1) / SCRATCH_TILE_HEIGHT + 1;
    uint64_t size = HEADER_BYTES + rows * scratch->columns * scratch->tile_bytes;
    if (file.size != size || pread(scratch->fd, &found, sizeof(found), 0) != sizeof(found) ||
        memcmp(&found, &wanted, sizeof(found)) != 0) {
        scratch_close(scratch);
        return failure_set(failure, -ESTALE, "%s is not a copy of %s as it is now", path,
                           source->path);
    }
    *ret = scratch;
    return 0;
}

void scratch_close(struct scratch *scratch) {
    if (!scratch)
        return;
    if (scratch->fd >= 0)
        (void)close(scratch->fd); /* finished or given up: no data is at stake */
    if (scratch->temporary)
        (void)unlink(scratch->temporary); /* the next copy removes it too */
    free(scratch->temporary);
    free(scratch->path);
    free(scratch->tile);
    free(scratch);
}

size_t scratch_tile_bytes(const struct scratch *scratch) { return scratch->tile_bytes; }

int scratch_read_tile(const struct scratch *scratch, uint32_t column, uint32_t row, void *pixels,
                      struct failure *failure) {
    struct tiff_file file = {.path = scratch->path, .fd = scratch->fd};
    return tiff_file_read(&file, place_of(scratch, column, row), pixels, scratch->tile_bytes,
                          failure);
}
