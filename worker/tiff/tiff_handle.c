/* libtiff handles; see tiff_handle.h.
 *
 * libtiff reads through our own functions, which pread from the shared descriptor. It can only take
 * in a compressed strip whole; for a strip too large for that the file is mapped, and the pages
 * are dropped again as decoding moves on.
 */
#include "worker/tiff/tiff_handle.h"

#include "worker/tiff/tiff_limits.h"
#include "worker/tiff/tiff_map.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct tiff_handle {
    TIFF *tiff; /* owned */
    const struct tiff_file *file;
    uint64_t position;
    struct tiff_map *map; /* of the whole file; owned; NULL: not mapped */
    int read_error;       /* negative errno of a failed pread */
    bool damaged;
    char message[256];
};

static tmsize_t read_cb(thandle_t context, void *bytes, tmsize_t size) {
    struct tiff_handle *handle = (struct tiff_handle *)context;
    if (size < 0 || handle->position >= handle->file->size)
        return 0;
    uint64_t left = handle->file->size - handle->position;
    size_t wanted = (uint64_t)size < left ? (size_t)size : (size_t)left;
    int r = tiff_file_read(handle->file, handle->position, bytes, wanted, NULL);
    if (r < 0) {
        handle->read_error = r;
        return 0;
    }
    handle->position += wanted;
    return (tmsize_t)wanted;
}

static tmsize_t write_cb(thandle_t context, void *bytes, tmsize_t size) {
    (void)context;
    (void)bytes;
    (void)size;
    return 0; /* opened for reading */
}

static toff_t seek_cb(thandle_t context, toff_t offset, int whence) {
    struct tiff_handle *handle = (struct tiff_handle *)context;
    if (whence == SEEK_CUR)
        offset += handle->position;
    else if (whence == SEEK_END)
        offset += handle->file->size;
    handle->position = offset;
    return offset;
}

static int close_cb(thandle_t context) {
    (void)context;
    return 0; /* the descriptor is the tiff_file's */
}

static toff_t size_cb(thandle_t context) { return ((struct tiff_handle *)context)->file->size; }

static int map_cb(thandle_t context, void **ret_base, toff_t *ret_size) {
    struct tiff_handle *handle = (struct tiff_handle *)context;
    handle->map = tiff_map_open(handle->file->fd, handle->file->size);
    if (!handle->map)
        return 0;
    *ret_base = tiff_map_bytes(handle->map);
    *ret_size = handle->file->size;
    return 1;
}

static void unmap_cb(thandle_t context, void *base, toff_t size) {
    (void)base, (void)size; /* the map knows them */
    tiff_map_close(STEAL_PTR(((struct tiff_handle *)context)->map));
}

/* Made fit for a sentence: without the file's name, which stands there already, without bytes that
 * it quotes from the file, without a full stop. What does not fit is cut. */
__attribute__((format(printf, 2, 0))) static void keep_message(struct tiff_handle *handle,
                                                               const char *format, va_list args) {
    char text[1024];
    (void)vsnprintf(text, sizeof(text), format, args);
    size_t path_length = strlen(handle->file->path);
    const char *from = text;
    if (strncmp(text, handle->file->path, path_length) == 0 &&
        strncmp(text + path_length, ": ", 2) == 0)
        from += path_length + 2;
    (void)snprintf(handle->message, sizeof(handle->message), "%.*s",
                   (int)sizeof(handle->message) - 1, from);
    for (char *at = handle->message; *at; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
    }
    size_t length = strlen(handle->message);
    while (length > 0 && strchr(". ", handle->message[length - 1]))
        handle->message[--length] = '\0';
}

__attribute__((format(printf, 4, 0))) static int
error_cb(TIFF *tiff, void *context, const char *module, const char *format, va_list args) {
    (void)tiff;
    (void)module;
    keep_message(context, format, args);
    return 1;
}

/* libjpeg only warns when it fills in grey for pixels that are missing; its warnings that begin
 * with these words are about pixels, but for bytes too many between two markers. (A missing end
 * marker, "Premature end of JPEG file", is none: some scanners leave it out.) */
static bool is_about_pixels(const char *module, const char *text) {
    if (module && strcmp(module, "JPEGLib") == 0)
        return strncmp(text, "Corrupt JPEG data", 17) == 0 && !strstr(text, "extraneous bytes");
    return strncmp(text, "Improper JPEG strip/tile size", 29) == 0; /* smaller than it must be */
}

__attribute__((format(printf, 4, 0))) static int
warning_cb(TIFF *tiff, void *context, const char *module, const char *format, va_list args) {
    (void)tiff;
    struct tiff_handle *handle = context;
    char text[sizeof(handle->message)];
    va_list copy;
    va_copy(copy, args);
    (void)vsnprintf(text, sizeof(text), format, copy); /* the beginning is enough */
    va_end(copy);
    if (!is_about_pixels(module, text))
        return 1;
    handle->damaged = true;
    if (!handle->message[0])
        keep_message(handle, format, args);
    return 1;
}

int tiff_handle_open(const struct tiff_file *file, bool mapped, struct tiff_handle **ret,
                     struct failure *failure) {
    struct tiff_handle *handle = calloc(1, sizeof(*handle));
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!handle || !options) {
        free(handle);
        TIFFOpenOptionsFree(options);
        return failure_set(failure, -ENOMEM, "%s: out of memory", file->path);
    }
    handle->file = file;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, TIFF_LIMIT_LIBTIFF_BYTES);
    TIFFOpenOptionsSetErrorHandlerExtR(options, error_cb, handle);
    TIFFOpenOptionsSetWarningHandlerExtR(options, warning_cb, handle);
    /* h: no directory yet; c: a single strip stays one; M, m: mapped or not */
    handle->tiff =
        TIFFClientOpenExt(file->path, mapped ? "rhcM" : "rhcm", (thandle_t)handle, read_cb,
                          write_cb, seek_cb, close_cb, size_cb, map_cb, unmap_cb, options);
    TIFFOpenOptionsFree(options);
    if (!handle->tiff) {
        int r = tiff_handle_fail(handle, "the TIFF header cannot be read", failure);
        free(handle);
        return r;
    }
    *ret = handle;
    return 0;
}

int tiff_handle_open_directory(const struct tiff_file *file, bool mapped, uint64_t offset,
                               struct tiff_handle **ret, struct failure *failure) {
    struct tiff_handle *handle = NULL;
    int r = tiff_handle_open(file, mapped, &handle, failure);
    if (r < 0)
        return r;
    if (!TIFFSetSubDirectory(handle->tiff, offset)) {
        r = tiff_handle_fail(handle, "the image's directory cannot be read", failure);
        tiff_handle_close(handle);
        return r;
    }
    uint16_t compression = 0, photometric = 0;
    (void)TIFFGetFieldDefaulted(handle->tiff, TIFFTAG_COMPRESSION, &compression);
    (void)TIFFGetFieldDefaulted(handle->tiff, TIFFTAG_PHOTOMETRIC, &photometric);
    if (compression == COMPRESSION_JPEG && photometric == PHOTOMETRIC_YCBCR)
        (void)TIFFSetField(handle->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    tiff_handle_forget(handle);
    *ret = handle;
    return 0;
}

void tiff_handle_close(struct tiff_handle *handle) {
    if (!handle)
        return;
    TIFFClose(handle->tiff);
    free(handle);
}

TIFF *tiff_handle_tiff(struct tiff_handle *handle) { return handle->tiff; }

const char *tiff_handle_message(const struct tiff_handle *handle) { return handle->message; }

bool tiff_handle_damaged(const struct tiff_handle *handle) {
    return handle->damaged || (handle->map && tiff_map_was_cut(handle->map));
}

void tiff_handle_forget(struct tiff_handle *handle) {
    handle->message[0] = '\0';
    handle->damaged = false;
}

int tiff_handle_fail(const struct tiff_handle *handle, const char *what, struct failure *failure) {
    if (tiff_file_check_unchanged(handle->file, failure) == -ESTALE)
        return -ESTALE; /* whatever libtiff made of what is left, this is why */
    if (handle->read_error)
        return failure_set_errno(failure, handle->read_error, "%s: %s", handle->file->path, what);
    return failure_set(
        failure, -EBADMSG, "%s: %s: %s; the file is damaged or incomplete, copy or export it again",
        handle->file->path, what, handle->message[0] ? handle->message : "libtiff gives no reason");
}

void tiff_handle_release(struct tiff_handle *handle) {
    if (handle->map)
        tiff_map_release(handle->map);
}
