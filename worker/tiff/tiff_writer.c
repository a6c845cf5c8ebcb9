/* Writing tiled BigTIFFs; see tiff_writer.h.
 *
 * Uncompressed tiles of one size have known places, so the whole header is written first and each
 * tile then goes to its place with one pwrite: no lock, and the same bytes whatever the order.
 * (libtiff appends tiles as they come, and one thread at a time.) Compressed tiles are appended,
 * and their place and length entered in the header's tables right away: who knows the last tile
 * that is on disk knows where to go on. The space is reserved at the start, for tiles that do not
 * shrink: a full disk is met before the work, not after it.
 */
#include "worker/tiff/tiff_writer.h"

#include "common/atomic_file.h"
#include "worker/tiff/tiff_file.h"
#include "worker/tiff/tiff_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

enum { WORD = 2 /* tiles begin at even bytes (TIFF 6.0, section 2) */ };

struct tiff_writer {
    char *path, *temporary; /* owned */
    int fd;                 /* owned */
    struct tiff_header header;
    bool compressed, is_read_back;
    uint64_t end; /* compressed: of the last tile */
    atomic_uint_fast64_t n_written;
};

/* file systems that cannot reserve say so; a disk that is full matters */
static int reserve(struct tiff_writer *writer, struct failure *failure) {
    uint64_t size = writer->header.data_end;
    if (ftruncate(writer->fd, (off_t)(writer->compressed ? writer->header.data_offset : size)) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be made %llu bytes long",
                                 writer->temporary, (unsigned long long)size);
    if (fallocate(writer->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return failure_set_errno(failure, -errno, "%llu bytes for %s cannot be reserved",
                                 (unsigned long long)size, writer->temporary);
    return 0;
}

/* All but the file. */
static int make(const char *path, const struct tiff_writer_options *options,
                struct tiff_writer **ret, struct failure *failure) {
    struct tiff_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    writer->fd = -1;
    writer->compressed = options->compression != PARAMS_COMPRESSION_NONE;
    writer->is_read_back = options->is_read_back;
    writer->path = strdup(path);
    writer->temporary = atomic_file_temporary_name(path);
    if (!writer->path || !writer->temporary) {
        tiff_writer_suspend(writer);
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    }
    *ret = writer;
    return 0;
}

/* `is_new`: it is written, else only put together again to know where everything is. */
static int write_header(struct tiff_writer *writer, const struct tiff_writer_options *options,
                        bool is_new, struct failure *failure) {
    writer->header = (struct tiff_header){.fd = is_new ? writer->fd : -1, .path = writer->path};
    int r = tiff_header_write(&writer->header, options, failure);
    writer->end = writer->header.data_offset;
    return r;
}

static int begin(struct tiff_writer *writer, const struct tiff_writer_options *options,
                 struct failure *failure) {
    (void)unlink(writer->temporary); /* a leftover; if it stays, open says so */
    writer->fd = open(writer->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (writer->fd < 0)
        return failure_set_errno(failure, -errno, "%s cannot be created", writer->temporary);
    int r = write_header(writer, options, true, failure);
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

/* One that has a second name by now is somebody else's too, and left alone. */
static bool has_inode(const char *path, uint64_t inode) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == inode &&
           status.st_nlink == 1;
}

static int read_entry(const struct tiff_writer *writer, uint64_t table, uint64_t index,
                      uint64_t *ret, struct failure *failure) {
    struct tiff_file file = {.path = writer->temporary, .fd = writer->fd};
    return tiff_file_read(&file, table + index * sizeof(*ret), ret, sizeof(*ret), failure);
}

/* Where a compressed tile stands. */
static int find_tile(const struct tiff_writer *writer, const struct tiff_grid *grid, uint64_t index,
                     uint64_t *ret_offset, uint64_t *ret_size, struct failure *failure) {
    uint64_t offset = 0, size = 0;
    int r = read_entry(writer, grid->offsets_at, index, &offset, failure);
    if (r == 0)
        r = read_entry(writer, grid->counts_at, index, &size, failure);
    if (r < 0)
        return r;
    if (offset < writer->header.data_offset || size == 0 || size > 2 * grid->tile_bytes)
        return failure_set(failure, -ESTALE, "%s does not hold tile %llu", writer->temporary,
                           (unsigned long long)index);
    *ret_offset = offset;
    *ret_size = size;
    return 0;
}

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
    int r = write_header(writer, options, false, failure);
    if (r == 0 && writer->compressed && n_written > 0) {
        uint64_t offset = 0, count = 0;
        r = find_tile(writer, tiff_header_grid(&writer->header, writer->header.n_images - 1, 0),
                      last, &offset, &count, failure);
        writer->end = offset + count;
    }
    uint64_t size = writer->header.data_end;
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
    atomic_store(&writer->n_written, n_written * writer->header.n_images);
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

static int find_place(const struct tiff_writer *writer, const struct tiff_writer_place *place,
                      const struct tiff_grid **ret_grid, uint64_t *ret_index,
                      struct failure *failure) {
    const struct tiff_grid *grid = NULL;
    if (place->image < writer->header.n_images && place->level <= writer->header.n_levels)
        grid = tiff_header_grid(&writer->header, place->image, place->level);
    if (!grid || place->x >= grid->columns || place->y >= grid->rows)
        return failure_set(failure, -EINVAL, "%s has no tile %u, %u", writer->path, place->x,
                           place->y);
    *ret_grid = grid;
    *ret_index = (uint64_t)place->y * grid->columns + place->x;
    return 0;
}

static int put(struct tiff_writer *writer, const struct tiff_writer_place *place,
               const void *pixels, struct failure *failure) {
    const struct tiff_grid *grid = NULL;
    uint64_t index = 0;
    int r = find_place(writer, place, &grid, &index, failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary,
                            grid->data_offset + index * grid->tile_bytes, pixels, grid->tile_bytes,
                            failure);
    if (r == 0)
        atomic_fetch_add(&writer->n_written, 1);
    return r;
}

int tiff_writer_put(struct tiff_writer *writer, uint32_t tile_x, uint32_t tile_y,
                    const void *pixels, struct failure *failure) {
    return put(writer, &(struct tiff_writer_place){.x = tile_x, .y = tile_y}, pixels, failure);
}

int tiff_writer_append(struct tiff_writer *writer, const struct tiff_writer_place *place,
                       const void *bytes, size_t size, struct failure *failure) {
    if (!writer->compressed)
        return put(writer, place, bytes, failure);
    const struct tiff_grid *grid = NULL;
    uint64_t index = 0, offset = (writer->end + WORD - 1) / WORD * WORD, count = size;
    int r = find_place(writer, place, &grid, &index, failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary, offset, bytes, size, failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary,
                            grid->offsets_at + index * sizeof(offset), &offset, sizeof(offset),
                            failure);
    if (r == 0)
        r = tiff_file_write(writer->fd, writer->temporary, grid->counts_at + index * sizeof(count),
                            &count, sizeof(count), failure);
    if (r < 0)
        return r;
    writer->end = offset + size;
    atomic_fetch_add(&writer->n_written, 1);
    return 0;
}

int tiff_writer_read(const struct tiff_writer *writer, const struct tiff_writer_place *place,
                     void *bytes, size_t room, size_t *ret_size, struct failure *failure) {
    const struct tiff_grid *grid = NULL;
    uint64_t index = 0;
    int r = find_place(writer, place, &grid, &index, failure);
    if (r < 0)
        return r;
    uint64_t offset = grid->data_offset + index * grid->tile_bytes, size = grid->tile_bytes;
    if (writer->compressed)
        r = find_tile(writer, grid, index, &offset, &size, failure);
    if (r == 0 && size > room)
        r = failure_set(failure, -EBADMSG, "%s: tile %u, %u has %llu bytes where %zu have room",
                        writer->temporary, place->x, place->y, (unsigned long long)size, room);
    struct tiff_file file = {.path = writer->temporary, .fd = writer->fd};
    if (r == 0)
        r = tiff_file_read(&file, offset, bytes, size, failure);
    if (r == 0)
        *ret_size = size;
    return r;
}

int tiff_writer_sync(struct tiff_writer *writer, struct failure *failure) {
    if (fdatasync(writer->fd) < 0)
        return failure_set_errno(failure, -errno, "%s cannot be written to disk",
                                 writer->temporary);
    if (!writer->is_read_back) /* gigabytes would push out the images that are being read */
        (void)posix_fadvise(writer->fd, 0, 0, POSIX_FADV_DONTNEED);
    return 0;
}

int tiff_writer_publish(struct tiff_writer *writer, struct failure *failure) {
    uint64_t n_written = atomic_load(&writer->n_written), n_tiles = 0;
    for (size_t i = 0; i < writer->header.n_images * (1 + writer->header.n_levels); i++)
        n_tiles += writer->header.grids[i].n_tiles;
    if (n_written != n_tiles) {
        int r =
            failure_set(failure, -EINVAL, "%s: %llu tiles were written in place of %llu",
                        writer->path, (unsigned long long)n_written, (unsigned long long)n_tiles);
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
    free(writer->header.grids);
    free(writer);
}
