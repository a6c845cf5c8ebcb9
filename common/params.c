/* The table of parameters and its checks; see params.h. A row says what kind of value it takes;
 * text from --set is first read as JSON and then checked like a manifest's value, so both obey one
 * rule. */
#include "common/params.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

/* Raised whenever the same input and parameters give other results than before. */
#define PARAMS_METHOD_VERSION "13"

enum value_kind { VALUE_INT, VALUE_NUMBER, VALUE_NUMBER_OR_NONE, VALUE_CHOICE, VALUE_CHANNEL };

struct row {
    const char *name;
    enum value_kind kind;
    const char *fallback; /* the default, as JSON text */
    double low, high;     /* inclusive */
    const char *const *choices;
    enum params_effect effect;
    const char *meaning;
};

static const char *const model_names[] = {
    [PARAMS_MODEL_AUTO] = "auto",     [PARAMS_MODEL_SIMILARITY] = "similarity",
    [PARAMS_MODEL_AFFINE] = "affine", [PARAMS_MODEL_HOMOGRAPHY] = "homography",
    [PARAMS_MODEL_GRID] = "grid",     [PARAMS_MODEL_COUNT] = NULL,
};

static const char *const interpolation_names[] = {
    [PARAMS_INTERPOLATION_NEAREST] = "nearest", [PARAMS_INTERPOLATION_LINEAR] = "linear",
    [PARAMS_INTERPOLATION_CUBIC] = "cubic",     [PARAMS_INTERPOLATION_LANCZOS] = "lanczos",
    [PARAMS_INTERPOLATION_COUNT] = NULL,
};

static const char *const compression_names[] = {
    [PARAMS_COMPRESSION_NONE] = "none",
    [PARAMS_COMPRESSION_DEFLATE] = "deflate",
    [PARAMS_COMPRESSION_ZSTD] = "zstd",
    [PARAMS_COMPRESSION_COUNT] = NULL,
};

static const char *const format_names[] = {
    [PARAMS_FORMAT_TIFF] = "tiff", [PARAMS_FORMAT_OME_TIFF] = "ome-tiff",
    [PARAMS_FORMAT_FITS] = "fits", [PARAMS_FORMAT_BOTH] = "both",
    [PARAMS_FORMAT_COUNT] = NULL,
};

static const char *const difference_names[] = {"auto", "yes", "no", NULL};

enum { MAX_PAD_PX = 100000 };

static const struct row rows[] = {
    {"pad", VALUE_INT, "0", 0, MAX_PAD_PX, NULL, PARAMS_EFFECT_PICTURE,
     "canvas margin on every side, px"},
    {"channel", VALUE_CHANNEL, "\"auto\"", 0, PARAMS_MAX_CHANNELS - 1, NULL, PARAMS_EFFECT_SIGNAL,
     "auto, a channel's number from 0, or a list of them to sum"},
    {"angle_range", VALUE_NUMBER, "180", 0, 180, NULL, PARAMS_EFFECT_MAP,
     "searched rotation to either side, degrees"},
    {"scale_min", VALUE_NUMBER, "0.8", 0.1, 10, NULL, PARAMS_EFFECT_MAP,
     "smallest magnification searched"},
    {"scale_max", VALUE_NUMBER, "1.25", 0.1, 10, NULL, PARAMS_EFFECT_MAP,
     "largest magnification searched"},
    {"model", VALUE_CHOICE, "\"auto\"", 0, 0, model_names, PARAMS_EFFECT_MAP,
     "the map: auto, similarity, affine, homography or grid"},
    {"interpolation", VALUE_CHOICE, "\"cubic\"", 0, 0, interpolation_names, PARAMS_EFFECT_PICTURE,
     "how pixels are resampled: nearest, linear, cubic or lanczos"},
    {"compression", VALUE_CHOICE, "\"none\"", 0, 0, compression_names, PARAMS_EFFECT_PICTURE,
     "of the pictures: none, deflate or zstd"},
    {"format", VALUE_CHOICE, "\"tiff\"", 0, 0, format_names, PARAMS_EFFECT_PICTURE,
     "of the pictures: tiff, ome-tiff, fits, or both tiff and fits"},
    {"difference", VALUE_CHOICE, "\"auto\"", 0, 0, difference_names, PARAMS_EFFECT_PICTURE,
     "whether the difference is written; auto: yes, but no in ome-tiff"},
    {"max_residual", VALUE_NUMBER, "2.0", 0.01, 1000, NULL, PARAMS_EFFECT_MAP,
     "held-out residual above which a result is doubtful, px"},
    {"min_tiles", VALUE_INT, "24", 4, 100000, NULL, PARAMS_EFFECT_MAP,
     "agreeing tiles below which a result is doubtful"},
    {"scale_percentile", VALUE_NUMBER_OR_NONE, "\"none\"", 0.001, 99.999, NULL, PARAMS_EFFECT_SCALE,
     "background scale from this percentile of log10(post / pre)"},
    {"manual_scale", VALUE_NUMBER_OR_NONE, "\"none\"", 1e-6, 1e6, NULL, PARAMS_EFFECT_SCALE,
     "background scale given by hand"},
    {"seed", VALUE_INT, "1", 0, UINT32_MAX, NULL, PARAMS_EFFECT_MAP, "seed of everything random"},
};

static const struct row *find_row(const char *name, size_t length) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

const char *params_name(size_t row) { return row < ARRAY_LEN(rows) ? rows[row].name : NULL; }

const char *params_default_text(size_t row) {
    return row < ARRAY_LEN(rows) ? rows[row].fallback : NULL;
}

const char *params_meaning(size_t row) { return row < ARRAY_LEN(rows) ? rows[row].meaning : NULL; }

static json_t *fallback_value(const struct row *row) {
    return json_loads(row->fallback, JSON_DECODE_ANY, NULL);
}

json_t *params_defaults(void) {
    CLEANUP_JSON json_t *params = json_object();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (json_object_set_new(params, rows[i].name, fallback_value(&rows[i])) < 0)
            return NULL;
    return STEAL_PTR(params);
}

static bool is_choice(const char *const *choices, const char *text) {
    for (size_t i = 0; choices[i]; i++)
        if (strcmp(choices[i], text) == 0)
            return true;
    return false;
}

static bool is_channel(const struct row *row, const json_t *value) {
    return json_is_integer(value) && json_integer_value(value) >= (json_int_t)row->low &&
           json_integer_value(value) <= (json_int_t)row->high;
}

static bool is_channel_list(const struct row *row, const json_t *value) {
    if (!json_is_array(value) || json_array_size(value) == 0 ||
        json_array_size(value) > PARAMS_MAX_CHANNELS)
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!is_channel(row, json_array_get(value, i)))
            return false;
        for (size_t k = 0; k < i; k++) /* the same channel twice would be summed twice */
            if (json_equal(json_array_get(value, i), json_array_get(value, k)))
                return false;
    }
    return true;
}

static bool is_number_in_range(const struct row *row, const json_t *value) {
    return json_is_number(value) && json_number_value(value) >= row->low &&
           json_number_value(value) <= row->high;
}

static bool is_text(const json_t *value, const char *text) {
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool is_valid(const struct row *row, const json_t *value) {
    switch (row->kind) {
    case VALUE_INT:
        return json_is_integer(value) && is_number_in_range(row, value);
    case VALUE_NUMBER:
        return is_number_in_range(row, value);
    case VALUE_NUMBER_OR_NONE:
        return is_text(value, "none") || is_number_in_range(row, value);
    case VALUE_CHOICE:
        return json_is_string(value) && is_choice(row->choices, json_string_value(value));
    case VALUE_CHANNEL:
        return is_text(value, "auto") || is_channel(row, value) || is_channel_list(row, value);
    }
    return false;
}

static void describe(const struct row *row, char *text, size_t size) {
    size_t used = 0;
    switch (row->kind) {
    case VALUE_INT:
        (void)snprintf(text, size, "a whole number from %.0f to %.0f", row->low, row->high);
        return;
    case VALUE_NUMBER:
        (void)snprintf(text, size, "a number from %g to %g", row->low, row->high);
        return;
    case VALUE_NUMBER_OR_NONE:
        (void)snprintf(text, size, "none or a number from %g to %g", row->low, row->high);
        return;
    case VALUE_CHOICE:
        used = (size_t)snprintf(text, size, "one of");
        for (size_t i = 0; row->choices[i] && used < size; i++)
            used += (size_t)snprintf(text + used, size - used, " %s", row->choices[i]);
        return;
    case VALUE_CHANNEL:
        (void)snprintf(text, size, "auto, a number from 0 to %.0f, or a list like [0,2]",
                       row->high);
        return;
    }
}

static int set_checked(json_t *params, const struct row *row, json_t *value, const char *shown,
                       const char *where, struct failure *failure) {
    if (!is_valid(row, value)) {
        char allowed[256];
        describe(row, allowed, sizeof(allowed));
        return failure_set(failure, -EINVAL, "%s: %s is %s; it must be %s", where, row->name, shown,
                           allowed);
    }
    /* 2 and 2.0 mean the same number and must have the same fingerprint */
    if (row->kind != VALUE_INT && json_is_integer(value) && row->kind != VALUE_CHANNEL)
        return json_object_set_new(params, row->name, json_real(json_number_value(value))) < 0
                   ? failure_set(failure, -ENOMEM, "%s: out of memory", where)
                   : 0;
    if (json_object_set(params, row->name, value) < 0)
        return failure_set(failure, -ENOMEM, "%s: out of memory", where);
    return 0;
}

static int unknown(const char *name, int length, const char *where, struct failure *failure) {
    char known[512];
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows) && used < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                                 rows[i].name);
    return failure_set(failure, -EINVAL, "%s: unknown parameter \"%.*s\"; known are %s", where,
                       length, name, known);
}

/* A value as people type it: JSON's numbers and lists; also .95, 1. and +2; else a word, which
 * stands without quotes (auto, none, the choices). */
static json_t *read_value(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (value || !*text || text[strspn(text, "+-.0123456789")])
        return value ? value : json_string(text);
    char *end = NULL;
    const double number = strtod(text, &end);
    return *end ? json_string(text) : json_real(number);
}

int params_set_text(json_t *params, const char *assignment, const char *where,
                    struct failure *failure) {
    const char *equals = strchr(assignment, '=');
    if (!equals)
        return failure_set(failure, -EINVAL, "%s: \"%s\" has no value; write it as NAME=VALUE",
                           where, assignment);
    size_t length = (size_t)(equals - assignment);
    const struct row *row = find_row(assignment, length);
    if (!row)
        return unknown(assignment, (int)length, where, failure);
    const char *text = equals + 1;
    CLEANUP_JSON json_t *value = read_value(text);
    return set_checked(params, row, value, *text ? text : "empty", where, failure);
}

int params_merge(json_t *params, const json_t *changes, const char *where,
                 struct failure *failure) {
    if (!json_is_object(changes))
        return failure_set(failure, -EINVAL, "%s: \"params\" must be an object", where);
    for (void *at = json_object_iter((json_t *)changes); at;
         at = json_object_iter_next((json_t *)changes, at)) {
        const char *name = json_object_iter_key(at);
        const struct row *row = find_row(name, strlen(name));
        if (!row)
            return unknown(name, (int)strlen(name), where, failure);
        CLEANUP_FREE char *shown = json_dumps(
            json_object_iter_value(at), JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
        int r = set_checked(params, row, json_object_iter_value(at), shown ? shown : "?", where,
                            failure);
        if (r < 0)
            return r;
    }
    return 0;
}

static int choice_index(const char *const *choices, const json_t *value) {
    for (int i = 0; choices[i]; i++)
        if (is_text(value, choices[i]))
            return i;
    return 0;
}

static void parse_channels(const json_t *value, struct params *parsed) {
    parsed->channel_auto = json_is_string(value);
    if (json_is_integer(value)) {
        parsed->n_channels = 1;
        parsed->channels[0] = (int)json_integer_value(value);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        parsed->channels[parsed->n_channels++] = (int)json_integer_value(json_array_get(value, i));
}

static double number_or_nan(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : NAN;
}

int params_parse(const json_t *params, struct params *ret, struct failure *failure) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const json_t *value = json_object_get(params, rows[i].name);
        if (!value || !is_valid(&rows[i], value))
            return failure_set(failure, -EINVAL, "parameter %s is missing or out of range",
                               rows[i].name);
    }
    struct params parsed = {0};
    parsed.pad = (int)json_integer_value(json_object_get(params, "pad"));
    parse_channels(json_object_get(params, "channel"), &parsed);
    parsed.angle_range_deg = json_number_value(json_object_get(params, "angle_range"));
    parsed.scale_min = json_number_value(json_object_get(params, "scale_min"));
    parsed.scale_max = json_number_value(json_object_get(params, "scale_max"));
    parsed.model = (enum params_model)choice_index(model_names, json_object_get(params, "model"));
    parsed.interpolation = (enum params_interpolation)choice_index(
        interpolation_names, json_object_get(params, "interpolation"));
    parsed.compression = (enum params_compression)choice_index(
        compression_names, json_object_get(params, "compression"));
    parsed.format =
        (enum params_format)choice_index(format_names, json_object_get(params, "format"));
    const json_t *difference = json_object_get(params, "difference");
    parsed.has_difference = is_text(difference, "yes") || (is_text(difference, "auto") &&
                                                           parsed.format != PARAMS_FORMAT_OME_TIFF);
    parsed.max_residual_px = json_number_value(json_object_get(params, "max_residual"));
    parsed.min_tiles = (int)json_integer_value(json_object_get(params, "min_tiles"));
    parsed.scale_percentile = number_or_nan(json_object_get(params, "scale_percentile"));
    parsed.manual_scale = number_or_nan(json_object_get(params, "manual_scale"));
    parsed.seed = (uint32_t)json_integer_value(json_object_get(params, "seed"));
    if (parsed.scale_min > parsed.scale_max)
        return failure_set(failure, -EINVAL,
                           "scale_min (%g) is above scale_max (%g); swap or widen them",
                           parsed.scale_min, parsed.scale_max);
    *ret = parsed;
    return 0;
}

bool params_agree(const json_t *a, const json_t *b, enum params_effect effect) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].effect <= effect &&
            !json_equal(json_object_get(a, rows[i].name), json_object_get(b, rows[i].name)))
            return false;
    return true;
}

const char *params_fingerprint(const json_t *params, char text[PARAMS_FINGERPRINT_BYTES]) {
    uLong crc = crc32(0, (const Bytef *)PARAMS_METHOD_VERSION, sizeof(PARAMS_METHOD_VERSION));
    CLEANUP_FREE char *canonical = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
    if (canonical)
        crc = crc32(crc, (const Bytef *)canonical, (uInt)strlen(canonical));
    (void)snprintf(text, PARAMS_FINGERPRINT_BYTES, "%08lx", crc & 0xffffffffUL);
    return text;
}
