/* cfitsio keeps a status: once it is set, its calls do nothing and return it. So cards are put
 * without looking, and what can fail looks. The checksums are summed here: cfitsio's own call adds
 * the time of day, and reads the data twice. See fits_file.h. */
#include "worker/output/fits_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 2880,
    HEADER_BYTES = 4 * BLOCK_BYTES, /* about; for the reservation */
    CHECKSUM_TEXT_BYTES = 17,
    PIECE_BYTES = 64 << 10,
    MOST_TEXT = 512,
    DIGITS = 12,
};

struct fits_file {
    const struct fits_library *library; /* borrowed */
    struct fits_file_shape shape;
    char *path;     /* owned */
    fitsfile *fits; /* owned */
    int status;
};

/* cfitsio tells of a write that failed, and not why; errno is still that of it. */
static int check(struct fits_file *file, struct failure *failure) {
    if (file->status == 0)
        return 0;
    char text[FLEN_STATUS] = "";
    int code = errno > 0 ? -errno : -EIO;
    file->library->ffgerr(file->status, text);
    file->library->ffcmsg(); /* the messages that explain it repeat the path */
    return failure_set_errno(failure, code, "%s cannot be written (cfitsio: %s)", file->path, text);
}

static uint64_t data_bytes(const struct fits_file_shape *shape) {
    uint64_t bytes = (uint64_t)shape->width * shape->height * shape->samples * shape->bits / 8;
    return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* File systems that cannot reserve say so; a disk that is full matters. */
static int reserve(const struct fits_file *file, struct failure *failure) {
    uint64_t size = HEADER_BYTES + data_bytes(&file->shape);
    CLEANUP_CLOSE int fd = open(file->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "%s cannot be opened", file->path);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return failure_set_errno(failure, -errno, "%llu bytes for %s cannot be reserved",
                                 (unsigned long long)size, file->path);
    return 0;
}

int fits_file_create(const struct fits_library *library, const char *path,
                     const struct fits_file_shape *shape, struct fits_file **ret,
                     struct failure *failure) {
    struct fits_file *file = calloc(1, sizeof(*file));
    if (file)
        *file = (struct fits_file){.library = library, .shape = *shape, .path = strdup(path)};
    if (!file || !file->path) {
        free(file);
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    }
    LONGLONG sides[3] = {shape->width, shape->height, shape->samples};
    int kind = shape->is_float ? FLOAT_IMG : shape->bits == 16 ? USHORT_IMG : BYTE_IMG;
    (void)unlink(path); /* a leftover; if it stays, cfitsio says so */
    errno = 0;
    library->ffdkinit(&file->fits, path, &file->status);
    library->ffcrimll(file->fits, kind, shape->samples > 1 ? 3 : 2, sides, &file->status);
    int r = check(file, failure);
    if (r == 0)
        r = reserve(file, failure);
    if (r < 0)
        fits_file_abandon(file);
    else
        *ret = file;
    return r;
}

/* --- cards --- */

static const char *to_ascii(const char *text, char ret[MOST_TEXT]) {
    (void)snprintf(ret, MOST_TEXT, "%s", text);
    for (char *at = ret; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return ret;
}

void fits_file_put_text(struct fits_file *file, const char *name, const char *value,
                        const char *comment) {
    char text[MOST_TEXT];
    file->library->ffpkls(file->fits, name, to_ascii(value, text), comment, &file->status);
}

void fits_file_put_number(struct fits_file *file, const char *name, double value,
                          const char *comment) {
    file->library->ffpkyd(file->fits, name, value, DIGITS, comment, &file->status);
}

void fits_file_put_integer(struct fits_file *file, const char *name, int64_t value,
                           const char *comment) {
    file->library->ffpkyj(file->fits, name, value, comment, &file->status);
}

void fits_file_put_history(struct fits_file *file, const char *text) {
    char plain[MOST_TEXT];
    file->library->ffphis(file->fits, to_ascii(text, plain), &file->status);
}

void fits_file_put_comment(struct fits_file *file, const char *text) {
    char plain[MOST_TEXT];
    file->library->ffpcom(file->fits, to_ascii(text, plain), &file->status);
}

/* --- pixels --- */

int fits_file_write(struct fits_file *file, uint32_t channel, uint32_t y, uint64_t count,
                    const void *values, struct failure *failure) {
    const struct fits_file_shape *shape = &file->shape;
    int kind = shape->is_float ? TFLOAT : shape->bits == 16 ? TUSHORT : TBYTE;
    uint64_t first = ((uint64_t)channel * shape->height + y) * shape->width + 1;
    void *unchanged = (void *)(uintptr_t)values; /* cfitsio only reads it */
    errno = 0;
    file->library->ffppr(file->fits, kind, (LONGLONG)first, (LONGLONG)count, unchanged,
                         &file->status);
    return check(file, failure);
}

/* --- checksums --- */

/* Ones' complement sum of 32-bit words, most significant byte first (FITS Standard 4.0, appendix
 * J), of bytes [from, end), whose number is a multiple of 4. */
static int sum_bytes(int fd, const struct fits_file *file, uint64_t from, uint64_t end,
                     uint32_t *sum, struct failure *failure) {
    uint64_t total = *sum;
    uint32_t words[PIECE_BYTES / sizeof(uint32_t)];
    while (from < end) {
        size_t wanted = end - from < sizeof(words) ? (size_t)(end - from) : sizeof(words), n = 0;
        while (n < wanted) {
            ssize_t got = pread(fd, (char *)words + n, wanted - n, (off_t)(from + n));
            if (got <= 0)
                return failure_set_errno(failure, got < 0 ? -errno : -EIO, "%s cannot be read back",
                                         file->path);
            n += (size_t)got;
        }
        for (size_t i = 0; i < wanted / sizeof(*words); i++)
            total += __builtin_bswap32(words[i]);
        total = (total & UINT32_MAX) + (total >> 32);
        from += wanted;
    }
    while (total >> 32)
        total = (total & UINT32_MAX) + (total >> 32);
    *sum = (uint32_t)total;
    return 0;
}

static int write_checksums(struct fits_file *file, struct failure *failure) {
    const struct fits_library *library = file->library;
    LONGLONG header = 0, data = 0, end = 0;
    uint32_t data_sum = 0, sum = 0;
    char text[CHECKSUM_TEXT_BYTES];
    library->ffflus(file->fits, &file->status); /* fills the last block too */
    library->ffghadll(file->fits, &header, &data, &end, &file->status);
    int r = check(file, failure);
    if (r < 0)
        return r;
    CLEANUP_CLOSE int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "%s cannot be opened", file->path);
    r = sum_bytes(fd, file, (uint64_t)data, (uint64_t)end, &data_sum, failure);
    if (r < 0)
        return r;
    (void)snprintf(text, sizeof(text), "%lu", (unsigned long)data_sum);
    library->ffmkys(file->fits, "DATASUM", text, "data unit checksum", &file->status);
    library->ffflus(file->fits, &file->status);
    sum = data_sum;
    r = check(file, failure);
    if (r == 0)
        r = sum_bytes(fd, file, (uint64_t)header, (uint64_t)data, &sum, failure);
    if (r < 0)
        return r;
    library->ffesum(sum, 1, text); /* its complement: all together is then all ones */
    library->ffmkys(file->fits, "CHECKSUM", text, "HDU checksum", &file->status);
    return check(file, failure);
}

int fits_file_close(struct fits_file *file, struct failure *failure) {
    errno = 0;
    int r = write_checksums(file, failure);
    if (r == 0) {
        file->library->ffclos(file->fits, &file->status);
        file->fits = NULL;
        r = check(file, failure);
    }
    fits_file_abandon(file);
    return r;
}

void fits_file_abandon(struct fits_file *file) {
    if (!file)
        return;
    int ignored = 0; /* the file is of no use */
    if (file->fits)
        file->library->ffclos(file->fits, &ignored);
    free(file->path);
    free(file);
}
