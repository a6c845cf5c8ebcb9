/* Checking an image's layout; see tiff_layout.h.
 *
 * The checks run from what the pixels mean, over how they are stored, to where they lie: the first
 * reason found is the one a user can act on. Every block's place is compared with the file's size,
 * so a file that was cut while being copied is refused in the pre-flight and not hours later.
 */
#include "worker/tiff/tiff_layout.h"

#include "common/checked.h"
#include "worker/tiff/tiff_limits.h"

#include <errno.h>

static const struct compression {
    uint16_t tag;
    bool read;
    const char *name;
} compressions[] = {
    {COMPRESSION_NONE, true, "none"},
    {COMPRESSION_LZW, true, "LZW"},
    {COMPRESSION_ADOBE_DEFLATE, true, "deflate"},
    {COMPRESSION_DEFLATE, true, "deflate"},
    {COMPRESSION_PACKBITS, true, "PackBits"},
    {COMPRESSION_JPEG, true, "JPEG"},
    {COMPRESSION_ZSTD, true, "ZSTD"},
    {COMPRESSION_WEBP, true, "WebP"},
    {COMPRESSION_LZMA, true, "LZMA"},
    {COMPRESSION_OJPEG, false, "old-style JPEG"},
    {COMPRESSION_CCITTRLE, false, "CCITT RLE"},
    {COMPRESSION_CCITTRLEW, false, "CCITT RLE"},
    {COMPRESSION_CCITTFAX3, false, "CCITT fax 3"},
    {COMPRESSION_CCITTFAX4, false, "CCITT fax 4"},
    {COMPRESSION_T85, false, "JBIG"},
    {COMPRESSION_T43, false, "JBIG"},
    {COMPRESSION_JBIG, false, "JBIG"},
    {COMPRESSION_NEXT, false, "NeXT RLE"},
    {COMPRESSION_THUNDERSCAN, false, "ThunderScan"},
    {COMPRESSION_PIXARFILM, false, "Pixar film"},
    {COMPRESSION_PIXARLOG, false, "Pixar log"},
    {COMPRESSION_DCS, false, "Kodak DCS"},
    {COMPRESSION_SGILOG, false, "SGI LogLuv"},
    {COMPRESSION_SGILOG24, false, "SGI LogLuv"},
    {COMPRESSION_JP2000, false, "JPEG 2000"},
    {33003, false, "JPEG 2000 (Aperio)"},
    {33005, false, "JPEG 2000 (Aperio)"},
    {COMPRESSION_LERC, false, "LERC"},
    {COMPRESSION_JXL, false, "JPEG XL"},
    {22610, false, "JPEG XR"},
};

static const struct {
    uint16_t tag;
    const char *name;
} refused_photometrics[] = {
    {PHOTOMETRIC_PALETTE, "palette colours"},
    {PHOTOMETRIC_MASK, "a transparency mask"},
    {PHOTOMETRIC_SEPARATED, "CMYK (printing inks)"},
    {PHOTOMETRIC_CIELAB, "CIELab colours"},
    {PHOTOMETRIC_ICCLAB, "ICCLab colours"},
    {PHOTOMETRIC_ITULAB, "ITULab colours"},
    {PHOTOMETRIC_CFA, "a colour filter array (raw camera data)"},
    {PHOTOMETRIC_LOGL, "LogL pixels"},
    {PHOTOMETRIC_LOGLUV, "LogLuv pixels"},
};

/* A kind of image that registrar does not read. */
__attribute__((format(printf, 3, 4))) static int
refuse(const struct tiff_file *file, struct failure *failure, const char *format, ...) {
    char what[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args); /* a cut sentence still names the problem */
    va_end(args);
    return failure_set(failure, -ENOTSUP, "%s: %s", file->path, what);
}

/* A file that contradicts itself or is not whole. */
__attribute__((format(printf, 3, 4))) static int
damaged(const struct tiff_file *file, struct failure *failure, const char *format, ...) {
    char what[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return failure_set(failure, -EBADMSG,
                       "%s: %s; the file is damaged or incomplete, copy or export it again",
                       file->path, what);
}

static int check_size(TIFF *tiff, const struct tiff_file *file, struct tiff_layout *layout,
                      struct failure *failure) {
    uint16_t samples = 1;
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &layout->width) ||
        !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &layout->height))
        return damaged(file, failure, "it has no width or no height");
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
    layout->stored_samples = samples;
    if (layout->width == 0 || layout->height == 0 || samples == 0)
        return damaged(file, failure, "its size is %u x %u px with %u samples", layout->width,
                       layout->height, samples);
    if (layout->width > TIFF_LIMIT_SIDE_PX || layout->height > TIFF_LIMIT_SIDE_PX)
        return refuse(file, failure,
                      "its size of %u x %u px is above the %d px that a side may have; crop it or "
                      "check the file",
                      layout->width, layout->height, TIFF_LIMIT_SIDE_PX);
    if (samples > TIFF_LIMIT_SAMPLES)
        return refuse(file, failure,
                      "%u samples per pixel are above the %d that are read; export "
                      "fewer channels",
                      samples, TIFF_LIMIT_SAMPLES);
    return 0;
}

/* Kind of number first: "float pixels" tells more than "32-bit pixels". */
static int check_format(const struct tiff_file *file, uint16_t format, uint16_t bits,
                        enum tiff_layout_numbers numbers, const char *fix,
                        struct failure *failure) {
    const bool any = numbers == TIFF_LAYOUT_ANY;
    if (format == SAMPLEFORMAT_IEEEFP && !(any && bits == 32))
        return refuse(file, failure, "float pixels (%u-bit) are not read; %s", bits, fix);
    if (format == SAMPLEFORMAT_INT && !any)
        return refuse(file, failure, "signed pixels (%u-bit) are not read; %s", bits, fix);
    if (format == SAMPLEFORMAT_COMPLEXINT || format == SAMPLEFORMAT_COMPLEXIEEEFP)
        return refuse(file, failure, "complex pixels (%u-bit) are not read; %s", bits, fix);
    if (format == SAMPLEFORMAT_UINT || format == SAMPLEFORMAT_VOID || format == SAMPLEFORMAT_INT ||
        format == SAMPLEFORMAT_IEEEFP)
        return 0;
    return refuse(file, failure, "pixels of the unknown sample format %u are not read; %s", format,
                  fix);
}

static int check_numbers(TIFF *tiff, const struct tiff_file *file, enum tiff_layout_numbers numbers,
                         struct tiff_layout *layout, struct failure *failure) {
    const bool any = numbers == TIFF_LAYOUT_ANY;
    const char *fix = any ? "save it as 8-, 16- or 32-bit integers, or as 32-bit floats"
                          : "save it as 8- or 16-bit unsigned integers";
    uint16_t bits = 1, format = SAMPLEFORMAT_UINT;
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
    int r = check_format(file, format, bits, numbers, fix, failure);
    if (r == 0 && bits != 8 && bits != 16 && !(any && bits == 32))
        r = refuse(file, failure, "%u-bit pixels are not read; %s", bits, fix);
    layout->bits = bits;
    layout->sample_format = format == SAMPLEFORMAT_VOID ? SAMPLEFORMAT_UINT : format;
    return r;
}

static const struct compression *find_compression(uint16_t tag) {
    for (size_t i = 0; i < ARRAY_LEN(compressions); i++) {
        if (compressions[i].tag == tag)
            return &compressions[i];
    }
    return NULL;
}

static int check_compression(const struct tiff_file *file, uint16_t tag, struct failure *failure) {
    static const char fix[] = "save it uncompressed or with LZW, deflate or JPEG";
    const struct compression *compression = find_compression(tag);
    if (!compression)
        return refuse(file, failure, "the unknown compression %u is not read; %s", tag, fix);
    if (!compression->read)
        return refuse(file, failure, "%s compression is not read; %s", compression->name, fix);
    if (!TIFFIsCODECConfigured(tag))
        return refuse(file, failure, "this machine's libtiff does not know %s compression; %s",
                      compression->name, fix);
    return 0;
}

static int check_photometric(const struct tiff_file *file, uint16_t photometric,
                             struct failure *failure) {
    for (size_t i = 0; i < ARRAY_LEN(refused_photometrics); i++) {
        if (refused_photometrics[i].tag == photometric)
            return refuse(file, failure, "%s cannot be compared; save it as grey or RGB",
                          refused_photometrics[i].name);
    }
    if (photometric > PHOTOMETRIC_YCBCR)
        return refuse(file, failure,
                      "the unknown colour space %u cannot be compared; save it as grey or RGB",
                      photometric);
    return 0;
}

/* Grey with further samples that are not alpha is an image of several channels. */
static uint32_t grey_channels(TIFF *tiff, uint32_t stored_samples) {
    uint16_t n_extra = 0;
    const uint16_t *extra = NULL;
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &n_extra, &extra);
    uint32_t first_extra = n_extra < stored_samples ? stored_samples - n_extra : 1;
    for (uint32_t i = 0; i < n_extra && extra; i++) {
        if (extra[i] != EXTRASAMPLE_UNSPECIFIED)
            return first_extra + i;
    }
    return stored_samples;
}

static int check_colour(TIFF *tiff, const struct tiff_file *file, uint16_t compression,
                        struct tiff_layout *layout, struct failure *failure) {
    uint16_t photometric = PHOTOMETRIC_MINISBLACK;
    if (!TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric) && layout->stored_samples >= 3)
        photometric = PHOTOMETRIC_RGB; /* the tag is missing: what everybody guesses */
    int r = check_photometric(file, photometric, failure);
    if (r == 0)
        r = check_compression(file, compression, failure);
    if (r < 0)
        return r;
    if (photometric == PHOTOMETRIC_YCBCR && compression != COMPRESSION_JPEG)
        return refuse(file, failure,
                      "YCbCr colours without JPEG compression are not read; save it as RGB");
    if (photometric == PHOTOMETRIC_YCBCR && (layout->planar || layout->stored_samples != 3))
        return refuse(file, failure, "YCbCr colours with %u samples%s are not read; save it as RGB",
                      layout->stored_samples, layout->planar ? " in separate planes" : "");
    layout->rgb = photometric == PHOTOMETRIC_RGB || photometric == PHOTOMETRIC_YCBCR;
    if (layout->rgb && layout->stored_samples < 3)
        return damaged(file, failure, "it says RGB and has %u samples per pixel",
                       layout->stored_samples);
    layout->inverted = photometric == PHOTOMETRIC_MINISWHITE;
    layout->samples = layout->rgb ? 3 : grey_channels(tiff, layout->stored_samples);
    return 0;
}

static int check_blocks(TIFF *tiff, const struct tiff_file *file, uint16_t compression,
                        struct tiff_layout *layout, struct failure *failure) {
    uint32_t rows = layout->height;
    layout->tiled = TIFFIsTiled(tiff);
    layout->block_width = layout->width;
    if (layout->tiled) {
        if (!TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &layout->block_width) ||
            !TIFFGetField(tiff, TIFFTAG_TILELENGTH, &rows) || layout->block_width == 0 || rows == 0)
            return damaged(file, failure, "its tiles have no size");
    } else {
        (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
        if (rows == 0)
            return damaged(file, failure, "its strips have no rows");
        if (rows > layout->height)
            rows = layout->height;
    }
    layout->block_height = rows;
    uint64_t stored = tiff_layout_stored_bytes(layout);
    uint64_t pixel = tiff_layout_pixel_bytes(layout);
    uint64_t widest = layout->orientation > ORIENTATION_BOTLEFT && layout->height > layout->width
                          ? layout->height
                          : layout->width;
    pixel = pixel > stored ? pixel : stored;
    if (widest * pixel > TIFF_LIMIT_ROW_BYTES)
        return refuse(file, failure,
                      "a row of %llu px with %llu bytes each is above the %d bytes that are read; "
                      "crop it or export fewer channels",
                      (unsigned long long)widest, (unsigned long long)pixel, TIFF_LIMIT_ROW_BYTES);
    uint64_t bytes = 0;
    bool whole = layout->tiled || compression == COMPRESSION_WEBP;
    if (!checked_mul_u64((uint64_t)layout->block_width * rows, pixel, &bytes) ||
        (whole && bytes > TIFF_LIMIT_BLOCK_BYTES))
        return refuse(file, failure,
                      "%s of %u x %u px are above the %d MiB that are decoded at once; save it "
                      "with tiles of 256 x 256 px",
                      layout->tiled ? "tiles" : "WebP strips", layout->block_width, rows,
                      TIFF_LIMIT_BLOCK_BYTES >> 20);
    return 0;
}

/* Bytes that a block must hold when nothing compresses it. */
static uint64_t plain_bytes(const struct tiff_layout *layout, uint32_t index) {
    uint64_t row = (uint64_t)layout->block_width * tiff_layout_stored_bytes(layout);
    if (layout->tiled)
        return row * layout->block_height;
    uint32_t per_plane = (layout->height - 1) / layout->block_height + 1;
    uint32_t first_row = index % per_plane * layout->block_height;
    uint32_t rows = layout->height - first_row;
    return row * (rows < layout->block_height ? rows : layout->block_height);
}

/* Every block lies inside the file and, where nothing is compressed, is as large as it must be. */
static int check_places(TIFF *tiff, const struct tiff_file *file, uint16_t compression,
                        struct tiff_layout *layout, struct failure *failure) {
    const char *kind = layout->tiled ? "tile" : "strip";
    uint64_t across = (layout->width - 1) / layout->block_width + 1;
    uint64_t down = (layout->height - 1) / layout->block_height + 1;
    uint64_t expected = across * down * (layout->planar ? layout->stored_samples : 1);
    uint32_t count = layout->tiled ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
    if (count != expected)
        return damaged(file, failure, "it has %u %ss where %llu are needed", count, kind,
                       (unsigned long long)expected);
    for (uint32_t i = 0; i < count; i++) {
        int error = 0;
        uint64_t offset = TIFFGetStrileOffsetWithErr(tiff, i, &error), end = 0;
        uint64_t bytes = TIFFGetStrileByteCountWithErr(tiff, i, &error);
        if (error || bytes == 0)
            return damaged(file, failure, "%s %u of %u is missing", kind, i + 1, count);
        if (compression == COMPRESSION_NONE && bytes < plain_bytes(layout, i))
            return damaged(file, failure, "%s %u of %u has %llu bytes where %llu are needed", kind,
                           i + 1, count, (unsigned long long)bytes,
                           (unsigned long long)plain_bytes(layout, i));
        if (layout->raw)
            bytes = plain_bytes(layout, i);
        if (!checked_add_u64(offset, bytes, &end) || end > file->size)
            return damaged(file, failure,
                           "%s %u of %u ends at byte %llu, but the file has only %llu bytes", kind,
                           i + 1, count, (unsigned long long)end, (unsigned long long)file->size);
        if (layout->tiled && bytes > TIFF_LIMIT_LIBTIFF_BYTES)
            return damaged(file, failure, "tile %u of %u claims %llu bytes", i + 1, count,
                           (unsigned long long)bytes);
        if (!layout->raw && bytes > layout->largest_read)
            layout->largest_read = bytes;
    }
    layout->mapped = !layout->tiled && layout->largest_read > TIFF_LIMIT_READ_BYTES;
    if (layout->mapped)
        layout->largest_read = 0;
    return 0;
}

/* More pixels than the file's bytes can unpack to. */
static int check_plausible(const struct tiff_file *file, uint16_t compression,
                           const struct tiff_layout *layout, struct failure *failure) {
    uint64_t pixels = (uint64_t)layout->width * layout->height; /* sides are limited */
    uint64_t bytes = pixels * layout->stored_samples * (layout->bits / 8);
    bool compressed = compression != COMPRESSION_NONE;
    if (compressed && bytes <= TIFF_LIMIT_DENSE_BYTES)
        return 0;
    if (bytes / (compressed ? TIFF_LIMIT_EXPANSION : 1) > file->size)
        return damaged(file, failure,
                       "it claims %llu bytes of pixels (%u x %u px) in a file of %llu",
                       (unsigned long long)bytes, layout->width, layout->height,
                       (unsigned long long)file->size);
    return 0;
}

static void read_placement(TIFF *tiff, struct tiff_layout *layout) {
    float x = 0, y = 0;
    uint16_t unit = RESUNIT_INCH, orientation = ORIENTATION_TOPLEFT;
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &orientation);
    /* values that do not exist mean what a missing tag means */
    layout->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
    layout->resolution_unit = unit >= RESUNIT_NONE && unit <= RESUNIT_CENTIMETER ? unit : 1;
    if (TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &x) && x > 0 && x < 1e9F)
        layout->x_resolution = (double)x;
    if (TIFFGetField(tiff, TIFFTAG_YRESOLUTION, &y) && y > 0 && y < 1e9F)
        layout->y_resolution = (double)y;
}

int tiff_layout_read(struct tiff_handle *handle, const struct tiff_file *file,
                     enum tiff_layout_numbers numbers, struct tiff_layout *ret,
                     struct failure *failure) {
    TIFF *tiff = tiff_handle_tiff(handle);
    struct tiff_layout layout = {.directory = TIFFCurrentDirOffset(tiff)};
    uint16_t compression = COMPRESSION_NONE, planar = PLANARCONFIG_CONTIG, fill = FILLORDER_MSB2LSB;
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_FILLORDER, &fill);
    int r = check_size(tiff, file, &layout, failure);
    layout.planar = planar == PLANARCONFIG_SEPARATE && layout.stored_samples > 1;
    if (r == 0)
        r = check_colour(tiff, file, compression, &layout, failure);
    if (r == 0)
        r = check_numbers(tiff, file, numbers, &layout, failure);
    read_placement(tiff, &layout);
    if (r == 0)
        r = check_blocks(tiff, file, compression, &layout, failure);
    if (r < 0)
        return r;
    layout.inverted = layout.inverted && layout.sample_format == SAMPLEFORMAT_UINT;
    layout.raw = !layout.tiled && compression == COMPRESSION_NONE && fill == FILLORDER_MSB2LSB;
    layout.swapped = layout.bits > 8 && TIFFIsByteSwapped(tiff);
    r = check_plausible(file, compression, &layout, failure);
    if (r == 0)
        r = check_places(tiff, file, compression, &layout, failure);
    if (r < 0)
        return r;
    *ret = layout;
    return 0;
}

bool tiff_layout_fits_window(const struct tiff_layout *layout) {
    uint64_t rows = layout->tiled ? layout->block_height : 64;
    if (rows % 64)
        rows += 63; /* what is left of one band waits for the next tiles */
    return rows * layout->width * tiff_layout_pixel_bytes(layout) <= TIFF_LIMIT_WINDOW_BYTES;
}

bool tiff_layout_needs_copy(const struct tiff_layout *layout) {
    if (layout->orientation > ORIENTATION_TOPRIGHT)
        return true;
    if (layout->raw)
        return false;
    return !layout->tiled || tiff_layout_block_bytes(layout) > TIFF_LIMIT_RANDOM_BLOCK_BYTES ||
           !tiff_layout_fits_window(layout);
}
