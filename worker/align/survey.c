/* One pass over the image, then one over a sixteenth of it.
 *
 * Which channels make the signal is known only when every pixel was seen (the rule asks for exact
 * means), so the first pass keeps the 4 x 4 means of every channel in an unlinked file; the second
 * combines them, which gives the same numbers since the signal is linear in the channels. */
#include "worker/align/survey.h"

#include "common/json_read.h"
#include "worker/align/levels.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>

enum {
    BLOCK = 1 << PYRAMID_FIRST_LEVEL, /* px: a pixel of level 2 is a block of the image */
    CHANNEL_BINS = 4096,
    SIGNAL_BINS = UINT16_MAX + 1,
    MODE_BINS = 256,
};

struct stream {
    const struct image_info *info;
    const char *path; /* of the image, for sentences */
    uint32_t columns; /* of level 2 */
    double unit;      /* stored 4 x 4 mean = counts * unit */
    uint32_t *sums;   /* of four rows, width * samples */
    uint16_t *means;  /* of one row of level 2, channel after channel */
    FILE *file;       /* the means */
    uint64_t totals[PARAMS_MAX_CHANNELS];
    uint64_t (*histograms)[CHANNEL_BINS];
};

static void stream_cleanup(struct stream *stream) {
    tracked_free(stream->sums);
    tracked_free(stream->means);
    tracked_free(stream->histograms);
    if (stream->file)
        (void)fclose(stream->file); /* unlinked: nothing of it is kept */
}

/* An unlinked file beside the levels: gone with the process, whatever happens to it. */
static int open_unlinked(const struct align_context *context, const char *which, FILE **ret,
                         struct failure *failure) {
    char path[LEVELS_PATH_BYTES];
    int r = levels_path(context, which, "channels.tmp", path, failure);
    if (r < 0)
        return r;
    (void)unlink(path); /* of an attempt that was killed; usually there is none */
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || unlink(path) < 0)
        return failure_set_errno(failure, -errno, "cannot create %s", path);
    FILE *file = fdopen(fd, "w+");
    if (!file)
        return failure_set_errno(failure, -errno, "cannot open %s", path);
    (void)STEAL_FD(fd); /* the stream owns it now */
    *ret = file;
    return 0;
}

static int stream_init(struct stream *stream, struct image *image,
                       const struct align_context *context, const char *which,
                       struct failure *failure) {
    const struct image_info *info = image_get_info(image);
    stream->info = info;
    stream->path = image_path(image);
    stream->columns = info->width / BLOCK;
    stream->unit = info->bits == 8 ? 256 : 1; /* 8 bit: a sum of 16 is kept exactly */
    if (info->samples > PARAMS_MAX_CHANNELS)
        return failure_set(failure, -EINVAL,
                           "%s has %u channels; at most %d can be aligned: keep fewer of them",
                           stream->path, info->samples, PARAMS_MAX_CHANNELS);
    size_t samples = info->samples;
    stream->sums = tracked_alloc((size_t)info->width * samples, sizeof(*stream->sums), "row sums");
    stream->means =
        tracked_alloc((size_t)(stream->columns + 1) * samples, sizeof(*stream->means), "row means");
    stream->histograms = tracked_alloc(samples, sizeof(*stream->histograms), "histograms");
    if (!stream->sums || !stream->means || !stream->histograms)
        return failure_set(failure, -ENOMEM, "no memory for rows of %u px of %s", info->width,
                           stream->path);
    return open_unlinked(context, which, &stream->file, failure);
}

#define DEFINE_ADD_ROWS(name, type)                                                                \
    static void name(const void *pixels, size_t stride_bytes, uint32_t rows, size_t count,         \
                     uint32_t *restrict ret) {                                                     \
        memset(ret, 0, count * sizeof(*ret));                                                      \
        for (uint32_t y = 0; y < rows; y++) {                                                      \
            const type *row = (const type *)((const char *)pixels + y * stride_bytes);             \
            for (size_t i = 0; i < count; i++)                                                     \
                ret[i] += row[i];                                                                  \
        }                                                                                          \
    }
DEFINE_ADD_ROWS(add_rows_8, uint8_t)
DEFINE_ADD_ROWS(add_rows_16, uint16_t)

/* From the sums of four rows: 4 x 4 means, histograms and totals. */
static void take_block_row(struct stream *stream) {
    size_t samples = stream->info->samples;
    for (size_t c = 0; c < samples; c++) {
        const uint32_t *sums = stream->sums + c;
        uint16_t *means = stream->means + c * stream->columns;
        uint64_t total = 0;
        for (uint32_t x = 0; x < stream->columns; x++, sums += BLOCK * samples) {
            uint32_t sum = sums[0] + sums[samples] + sums[2 * samples] + sums[3 * samples];
            total += sum;
            means[x] = (uint16_t)(stream->unit > 1 ? sum * 16 : (sum + 8) / 16);
            stream->histograms[c][means[x] / (SIGNAL_BINS / CHANNEL_BINS)]++;
        }
        for (uint32_t x = stream->columns * BLOCK; x < stream->info->width; x++)
            total += stream->sums[x * samples + c];
        stream->totals[c] += total;
    }
}

static int take_band(void *opaque, const struct image_band *band, struct failure *failure) {
    struct stream *stream = opaque;
    size_t samples = stream->info->samples, count = stream->info->width * samples;
    for (uint32_t y = 0; y < band->rows; y += BLOCK) {
        uint32_t rows = band->rows - y < BLOCK ? band->rows - y : BLOCK;
        const char *pixels = (const char *)band->pixels + y * band->stride_bytes;
        (stream->info->bits == 8 ? add_rows_8 : add_rows_16)(pixels, band->stride_bytes, rows,
                                                             count, stream->sums);
        if (rows < BLOCK) { /* below the last whole block: counts for the mean alone */
            for (size_t i = 0; i < count; i++)
                stream->totals[i % samples] += stream->sums[i];
            continue;
        }
        take_block_row(stream);
        size_t n = stream->columns * samples;
        if (fwrite(stream->means, sizeof(*stream->means), n, stream->file) != n)
            return failure_set_errno(failure, -errno, "cannot keep the reduced channels of %s",
                                     stream->path);
    }
    return 0;
}

/* Value below which the share p of the histogram lies, in bins. */
static double histogram_quantile(const uint64_t *histogram, size_t bins, double p) {
    uint64_t total = 0, sum = 0;
    for (size_t i = 0; i < bins; i++)
        total += histogram[i];
    for (size_t i = 0; i < bins; i++) {
        double before = (double)sum;
        sum += histogram[i];
        if ((double)sum >= p * (double)total && histogram[i] > 0)
            return (double)i + (p * (double)total - before) / (double)histogram[i];
    }
    return 0;
}

static void channel_statistics(const struct stream *stream,
                               struct signal_channel ret[PARAMS_MAX_CHANNELS]) {
    double pixels = (double)stream->info->width * stream->info->height;
    double counts = (double)SIGNAL_BINS / CHANNEL_BINS / stream->unit; /* per bin */
    for (size_t c = 0; c < stream->info->samples; c++) {
        const uint64_t *histogram = stream->histograms[c];
        ret[c] = (struct signal_channel){
            .mean = (double)stream->totals[c] / pixels,
            .p5 = counts * histogram_quantile(histogram, CHANNEL_BINS, 0.05),
            .p50 = counts * histogram_quantile(histogram, CHANNEL_BINS, 0.5),
            .p95 = counts * histogram_quantile(histogram, CHANNEL_BINS, 0.95),
            .p999 = counts * histogram_quantile(histogram, CHANNEL_BINS, 0.999),
        };
    }
}

/* One row of level 2: the channels' means combined, scaled to 16 bit, counted. */
static void combine_row(const struct stream *stream, const struct signal_weights *weights,
                        double factor, uint16_t *ret, uint64_t *histogram) {
    for (uint32_t x = 0; x < stream->columns; x++) {
        double sum = 0;
        for (uint32_t c = 0; c < stream->info->samples; c++)
            sum += weights->channels[c] * stream->means[c * stream->columns + x];
        double value = factor * (weights->offset + sum / stream->unit);
        ret[x] = (uint16_t)fmin(fmax(value + 0.5, 0), UINT16_MAX);
        histogram[ret[x]]++;
    }
}

static int write_levels(struct stream *stream, const struct pyramid_layout *layout,
                        const struct signal *signal, const char *path, uint64_t *histogram,
                        struct failure *failure) {
    struct signal_weights weights = signal_get_weights(signal);
    CLEANUP_TRACKED uint16_t *row = tracked_alloc(stream->columns + 1, sizeof(*row), "level rows");
    if (!row)
        return failure_set(failure, -ENOMEM, "no memory to write %s", path);
    struct pyramid_writer *writer = NULL;
    int r = pyramid_writer_open(path, layout, &writer, failure);
    rewind(stream->file);
    size_t n = stream->columns * stream->info->samples;
    for (uint32_t y = 0; r == 0 && y < stream->info->height / BLOCK; y++) {
        if (fread(stream->means, sizeof(*stream->means), n, stream->file) != n) {
            r = failure_set(failure, -EIO, "cannot read back the reduced channels of %s",
                            stream->path);
            break;
        }
        combine_row(stream, &weights, layout->factor, row, histogram);
        r = pyramid_writer_row(writer, row, failure);
    }
    if (r == 0)
        return pyramid_writer_publish(writer, failure);
    pyramid_writer_abandon(writer);
    return r;
}

/* The most common value, to 1/256 of the range in use. */
static double histogram_mode(const uint64_t *histogram, double low, double high) {
    double width = fmax((high - low) / MODE_BINS, 1);
    uint64_t counts[MODE_BINS + 1] = {0}, most = 0;
    int best = 0;
    for (int i = (int)low; i < SIGNAL_BINS && i <= (int)high; i++)
        counts[(int)fmin((i - (int)low) / width, MODE_BINS)] += histogram[i];
    for (int i = 0; i <= MODE_BINS; i++)
        if (counts[i] > most) {
            most = counts[i];
            best = i;
        }
    return low + (best + 0.5) * width;
}

static json_t *describe_channels(const struct signal_channel *channels, uint32_t count) {
    CLEANUP_JSON json_t *means = json_array();
    for (uint32_t c = 0; c < count; c++)
        if (json_array_append_new(means, json_real(channels[c].mean)) < 0)
            return NULL;
    return STEAL_PTR(means);
}

static json_t *describe(const char *which, const struct stream *stream,
                        const struct image_identity *identity, const struct signal *signal,
                        const struct signal_channel *channels, const struct pyramid_layout *layout,
                        const uint64_t *histogram) {
    double low = histogram_quantile(histogram, SIGNAL_BINS, 0.01);
    double high = histogram_quantile(histogram, SIGNAL_BINS, 0.995);
    double mode = histogram_mode(histogram, low, high), f = layout->factor;
    const struct image_info *info = stream->info;
    return json_pack(
        "{s:s, s:{s:I,s:I,s:i,s:i,s:b}, s:{s:I,s:I,s:s}, s:o, s:o, s:i, s:{s:f,s:f,s:f}, s:f}",
        "which", which, "info", "width", (json_int_t)info->width, "height",
        (json_int_t)info->height, "samples", (int)info->samples, "bits", (int)info->bits, "rgb",
        info->rgb, "identity", "size", (json_int_t)identity->size, "mtime_ns",
        (json_int_t)identity->mtime_ns, "hash", identity->hash, "signal", signal_to_json(signal),
        "channel_means", describe_channels(channels, info->samples), "last_level",
        layout->last_level, "percentiles", "p1", low / f, "p50",
        histogram_quantile(histogram, SIGNAL_BINS, 0.5) / f, "p99_5", high / f, "background",
        mode / f);
}

int align_survey(const struct align_context *context, const char *which, json_t **ret_survey,
                 struct failure *failure) {
    struct image *image = strcmp(which, "pre") == 0 ? context->pre : context->post;
    char levels[LEVELS_PATH_BYTES], scratch[LEVELS_PATH_BYTES];
    int r = levels_path(context, which, "levels", levels, failure);
    if (r == 0)
        r = levels_path(context, which, "scratch", scratch, failure);
    if (r < 0)
        return r;
    CLEANUP(stream_cleanup) struct stream stream = {0};
    r = stream_init(&stream, image, context, which, failure);
    if (r < 0)
        return r;
    struct image_identity identity;
    r = image_stream(image, scratch, take_band, &stream, context->progress, &identity, failure);
    if (r < 0)
        return r;
    struct signal_channel channels[PARAMS_MAX_CHANNELS];
    channel_statistics(&stream, channels);
    struct signal signal;
    r = signal_choose(stream.info, channels, context->params, stream.path, &signal, failure);
    if (r < 0)
        return r;
    struct pyramid_layout layout;
    pyramid_plan(stream.info->width, stream.info->height, signal_max(&signal), &layout);
    CLEANUP_TRACKED uint64_t *histogram =
        tracked_alloc(SIGNAL_BINS, sizeof(*histogram), "histograms");
    if (!histogram)
        return failure_set(failure, -ENOMEM, "no memory for the histogram of %s", stream.path);
    r = write_levels(&stream, &layout, &signal, levels, histogram, failure);
    if (r < 0)
        return r;
    *ret_survey = describe(which, &stream, &identity, &signal, channels, &layout, histogram);
    return *ret_survey ? 0 : failure_set(failure, -ENOMEM, "no memory for the survey's result");
}

int survey_read(const json_t *checkpoint, const char *which, struct survey *ret,
                struct failure *failure) {
    const json_t *info = json_object_get(checkpoint, "info");
    const json_t *percentiles = json_object_get(checkpoint, "percentiles");
    int64_t width = 0, height = 0;
    struct survey survey = {0};
    int r = json_read_int(info, "width", which, 1, UINT32_MAX, &width, failure);
    if (r == 0)
        r = json_read_int(info, "height", which, 1, UINT32_MAX, &height, failure);
    if (r == 0)
        r = json_read_number(percentiles, "p1", which, &survey.low, failure);
    if (r == 0)
        r = json_read_number(percentiles, "p99_5", which, &survey.high, failure);
    if (r == 0)
        r = json_read_number(checkpoint, "background", which, &survey.background, failure);
    if (r == 0)
        r = signal_from_json(json_object_get(checkpoint, "signal"), &survey.signal, failure);
    if (r < 0)
        return r;
    pyramid_plan((uint32_t)width, (uint32_t)height, signal_max(&survey.signal), &survey.layout);
    *ret = survey;
    return 0;
}
