/* The generator's options: flags, numbers by a table, and the few that are words. */
#include "tests/tools/scene/request.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

static const char *const kinds[PAIR_KIND_COUNT] = {"pair",     "unrelated", "replaced", "mirrored",
                                                   "periodic", "blank",     "noise",    "defects",
                                                   "empty",    "static"};
static const char *const scenes[SCENE_KIND_COUNT] = {"tissue", "nuclei", "islands",
                                                     "fibres", "blobs",  "rock"};
static const char *const tilings[] = {"strips", "tiles", "onestrip"};
static const char *const compressions[] = {"none", "lzw", "deflate", "packbits", "jpeg", "zstd"};
static const uint16_t compression_numbers[] = {COMPRESSION_NONE,          COMPRESSION_LZW,
                                               COMPRESSION_ADOBE_DEFLATE, COMPRESSION_PACKBITS,
                                               COMPRESSION_JPEG,          COMPRESSION_ZSTD};

static const struct {
    const char *name, *meaning;
    size_t slot;
    double low, high;
} numbers[] = {
    {"seed", "of specimen and noise", offsetof(struct request, seed), 0, 9e15},
    {"rotation", "degrees, x towards y", offsetof(struct request, rotation_deg), -360, 360},
    {"scale", "magnification of pre relative to post", offsetof(struct request, scale), 0.05, 20},
    {"shear", "x gains this share of y", offsetof(struct request, shear), -1, 1},
    {"perspective", "change of scale over half the width", offsetof(struct request, perspective),
     -0.5, 0.5},
    {"bend", "amplitude of a smooth deformation, px", offsetof(struct request, bend_px), 0, 1000},
    {"bend-waves", "of it, along the longer side", offsetof(struct request, bend_waves), 0.1, 20},
    {"gain", "brightness of post over that of pre", offsetof(struct request, gain), 0.01, 100},
    {"gamma", "of the post image", offsetof(struct request, gamma), 0.1, 10},
    {"offset", "added to the post image, share of full scale", offsetof(struct request, offset),
     -0.5, 0.5},
    {"noise", "deviation at full brightness, share of full scale", offsetof(struct request, noise),
     0, 1},
    {"read-noise", "deviation everywhere, share of full scale",
     offsetof(struct request, read_noise), 0, 1},
    {"photons", "at full brightness: shot noise; 0: none", offsetof(struct request, photons), 0,
     1e6},
    {"blur", "of the post image, px", offsetof(struct request, blur_px), 0, 100},
    {"blur-pre", "of the pre image, px", offsetof(struct request, blur_pre_px), 0, 100},
    {"objects", "share of the image below post-only objects",
     offsetof(struct request, objects_share), 0, 0.5},
    {"missing", "share of the tissue that post lacks", offsetof(struct request, missing_share), 0,
     0.9},
    {"missing-pre", "share of the tissue that pre lacks",
     offsetof(struct request, missing_pre_share), 0, 0.9},
    {"bits", "8 or 16", offsetof(struct request, bits), 8, 16},
    {"rows-per-strip", "of layout strips", offsetof(struct request, rows_per_strip), 1, 1e6},
    {"orientation", "the TIFF tag, 1 to 8", offsetof(struct request, orientation), 1, 8},
};

const char *request_kind_name(enum pair_kind kind) { return kinds[kind]; }

void request_print_usage(FILE *stream) {
    (void)fputs(
        "usage: generate [OPTIONS] RAW SAMPLE DYE\n"
        "Writes RAW/SAMPLE/SAMPLE_{pre,post}_DYE.tif and the truth.\n"
        "  --size WxH            of post (and pre)\n"
        "  --pre-size WxH        of pre alone\n"
        "  --shift X,Y           px, or with %: of post's width, height\n"
        "  --grey | --rgb | --bright-field\n"
        "  --colour R,G,B        what share of the signal each channel of --rgb gets\n"
        "  --layout strips|tiles|onestrip   --planar --predictor --big-endian --bigtiff\n"
        "  --compression none|lzw|deflate|packbits|jpeg|zstd\n"
        "  --kind pair|unrelated|replaced|mirrored|periodic|blank|noise|defects|empty|static\n"
        "  --scene tissue|nuclei|islands|fibres|blobs|rock\n"
        "  --torn                what is missing is one piece\n"
        "  --truth FILE          (truth/SAMPLE/DYE.truth.json beside RAW)\n",
        stream);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        (void)fprintf(stream, "  --%-19s %s\n", numbers[i].name, numbers[i].meaning);
}

static bool parse_flag(struct request *request, const char *name) {
    struct image_layout *layout = &request->layout;
    if (strcmp(name, "grey") == 0)
        layout->colour = IMAGE_GREY;
    else if (strcmp(name, "rgb") == 0)
        layout->colour = IMAGE_RGB;
    else if (strcmp(name, "bright-field") == 0)
        layout->colour = IMAGE_BRIGHT_FIELD;
    else if (strcmp(name, "torn") == 0)
        request->torn = true;
    else if (strcmp(name, "planar") == 0)
        layout->planar = true;
    else if (strcmp(name, "predictor") == 0)
        layout->predictor = true;
    else if (strcmp(name, "big-endian") == 0)
        layout->big_endian = true;
    else if (strcmp(name, "bigtiff") == 0)
        layout->bigtiff = true;
    else
        return false;
    return true;
}

static bool parse_number(struct request *request, const char *name, const char *text) {
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (strcmp(numbers[i].name, name) != 0)
            continue;
        char *end;
        double value = strtod(text, &end);
        if (end == text || *end || !(value >= numbers[i].low) || !(value <= numbers[i].high))
            return false;
        *(double *)(void *)((char *)request + numbers[i].slot) = value;
        return true;
    }
    return false;
}

static bool parse_size(const char *text, uint32_t *ret_width, uint32_t *ret_height) {
    char *end;
    unsigned long width = strtoul(text, &end, 10);
    unsigned long height = *end == 'x' ? strtoul(end + 1, &end, 10) : 0;
    if (*end || width < 16 || height < 16 || width > 200000 || height > 200000)
        return false;
    *ret_width = (uint32_t)width;
    *ret_height = (uint32_t)height;
    return true;
}

static bool parse_length(const char **text, double whole, double *ret) {
    char *end;
    double value = strtod(*text, &end);
    bool ok = end != *text;
    if (*end == '%') {
        value *= whole / 100.0;
        end++;
    }
    *text = end;
    *ret = value;
    return ok;
}

static bool parse_shift(struct request *request, const char *text) {
    return parse_length(&text, request->layout.width, &request->shift_x) && *text++ == ',' &&
           parse_length(&text, request->layout.height, &request->shift_y) && *text == '\0';
}

static bool parse_colour(struct request *request, const char *text) {
    for (int i = 0; i < 3; i++) {
        double *weight = &request->layout.weights[i];
        if (!parse_length(&text, 1.0, weight) || !(*weight >= 0.0) || !(*weight <= 1.0) ||
            *text++ != (i < 2 ? ',' : '\0'))
            return false;
    }
    return true;
}

static bool find_word(const char *const *words, size_t count, const char *word, size_t *ret) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

static bool parse_valued(struct request *request, const char *name, const char *text) {
    struct image_layout *layout = &request->layout;
    size_t index = 0;
    if (strcmp(name, "size") == 0)
        return parse_size(text, &layout->width, &layout->height);
    if (strcmp(name, "pre-size") == 0)
        return parse_size(text, &request->pre_width, &request->pre_height);
    if (strcmp(name, "shift") == 0)
        return parse_shift(request, text);
    if (strcmp(name, "colour") == 0)
        return parse_colour(request, text);
    if (strcmp(name, "truth") == 0) {
        request->truth = text;
        return true;
    }
    if (strcmp(name, "kind") == 0 && find_word(kinds, PAIR_KIND_COUNT, text, &index)) {
        request->kind = (enum pair_kind)index;
        return true;
    }
    if (strcmp(name, "scene") == 0 && find_word(scenes, SCENE_KIND_COUNT, text, &index)) {
        request->scene = (enum scene_kind)index;
        return true;
    }
    if (strcmp(name, "layout") == 0 && find_word(tilings, ARRAY_LEN(tilings), text, &index)) {
        layout->tiling = (enum image_tiling)index;
        return true;
    }
    if (strcmp(name, "compression") == 0 &&
        find_word(compressions, ARRAY_LEN(compressions), text, &index)) {
        layout->compression = compression_numbers[index];
        return true;
    }
    return parse_number(request, name, text);
}

static int check_combination(struct request *request, struct failure *failure) {
    struct image_layout *layout = &request->layout;
    layout->bits = (int)request->bits;
    layout->rows_per_strip = (uint32_t)request->rows_per_strip;
    layout->orientation = (int)request->orientation;
    if (layout->bits != 8 && layout->bits != 16)
        return failure_set(failure, -EINVAL, "--bits %d: 8 or 16", layout->bits);
    if (layout->compression == COMPRESSION_JPEG &&
        (layout->bits != 8 || (layout->tiling == IMAGE_STRIPS && layout->rows_per_strip % 16 != 0)))
        return failure_set(failure, -EINVAL,
                           "--compression jpeg: takes --bits 8 and a --rows-per-strip that 16 "
                           "divides");
    double longer = layout->width > layout->height ? layout->width : layout->height;
    struct bend bend = {request->bend_px, request->bend_waves / longer};
    if (bend_strain(&bend) > 0.5)
        return failure_set(failure, -EINVAL,
                           "--bend %g --bend-waves %g: stretches by more than half",
                           request->bend_px, request->bend_waves);
    request->bend = bend;
    if (layout->planar && layout->colour == IMAGE_GREY)
        return failure_set(failure, -EINVAL, "--planar: takes --rgb or --bright-field");
    return 0;
}

int request_parse(int argc, char **argv, struct request *ret, struct failure *failure) {
    *ret = (struct request){
        .seed = 1,
        .scale = 1,
        .gain = 1,
        .gamma = 1,
        .noise = 0.01,
        .bend_waves = 1.5,
        .bits = 8,
        .rows_per_strip = 64,
        .orientation = 1,
        .layout = {.width = 1024, .height = 768, .weights = {0, 0, 1}, .compression = 1},
    };
    const char **places[] = {&ret->raw, &ret->sample, &ret->dye};
    size_t placed = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            if (placed == ARRAY_LEN(places))
                return failure_set(failure, -EINVAL, "%s: one argument too many", argv[i]);
            *places[placed++] = argv[i];
        } else if (!parse_flag(ret, argv[i] + 2)) {
            if (i + 1 == argc)
                return failure_set(failure, -EINVAL, "%s: unknown, or its value is missing",
                                   argv[i]);
            if (!parse_valued(ret, argv[i] + 2, argv[i + 1]))
                return failure_set(failure, -EINVAL, "%s %s: unknown, or not a value it takes",
                                   argv[i], argv[i + 1]);
            i++;
        }
    }
    if (placed < ARRAY_LEN(places))
        return failure_set(failure, -EINVAL, "RAW, SAMPLE and DYE are needed");
    return check_combination(ret, failure);
}
