/* See apply_words.h. What depends on one word alone is checked as it comes, the rest at the end. */
#include "supervisor/cli/apply_words.h"

#include "common/footprint.h"
#include "common/names.h"
#include "common/params.h"
#include "common/units.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_THREADS = 256, DEFAULT_MEMORY_BYTES = 512 << 20 };

enum {
    OPTION_IMAGE,
    OPTION_POINTS,
    OPTION_OUT,
    OPTION_INVERSE,
    OPTION_INTERPOLATION,
    OPTION_LABELS,
    OPTION_PAD,
    OPTION_COMPRESSION,
    OPTION_COLUMNS,
    OPTION_THREADS,
    OPTION_MEMORY,
    OPTION_JSON,
    OPTION_QUIET,
};

#define WHAT "What and where to"
#define IMAGES "Images"
#define POINTS "Points"
#define GENERAL "General"

static const struct option_row rows[] = {
    [OPTION_IMAGE] = {"image", "FILE", NULL, "a TIFF in the pre image's frame", WHAT, 0, "apply"},
    [OPTION_POINTS] = {"points", "FILE", NULL, "a table (CSV) of points there; - is stdin", WHAT, 0,
                       "apply"},
    [OPTION_OUT] = {"out", "FILE", NULL, "the result; for points - or nothing is stdout", WHAT, 'o',
                    "apply"},
    [OPTION_INVERSE] = {"inverse", NULL, NULL,
                        "the other way: what lies in the post image's frame into the pre image's",
                        WHAT, 0, "apply"},
    [OPTION_INTERPOLATION] = {"interpolation", "KIND", "cubic", "nearest, linear, cubic or lanczos",
                              IMAGES, 0, "apply"},
    [OPTION_LABELS] = {"labels", NULL, NULL,
                       "it is a label mask: nearest, so that no new labels appear", IMAGES, 0,
                       "apply"},
    [OPTION_PAD] = {"pad", "PX", "0", "margin on every side, as run's parameter pad", IMAGES, 0,
                    "apply"},
    [OPTION_COMPRESSION] = {"compression", "KIND", "none", "none, deflate or zstd", IMAGES, 0,
                            "apply"},
    [OPTION_COLUMNS] = {"columns", "X,Y", NULL,
                        "names or numbers of the columns (without it: x,y or X,Y)", POINTS, 0,
                        "apply"},
    [OPTION_THREADS] = {"threads", "N|auto", "auto", "threads", GENERAL, 0, "apply"},
    [OPTION_MEMORY] = {"worker-memory", "SIZE", "512M", "cap that the worker obeys", GENERAL, 0,
                       "apply"},
    [OPTION_JSON] = {"json", NULL, NULL, "what was done as JSON on stdout", GENERAL, 0, "apply"},
    [OPTION_QUIET] = {"quiet", NULL, NULL, "no progress and no summary, only what is wrong",
                      GENERAL, 'q', "apply"},
};

const struct option_row *apply_words_row(size_t n) { return n < ARRAY_LEN(rows) ? &rows[n] : NULL; }

void apply_words_clear(struct apply_words *words) {
    free(words->transform);
    free(words->columns[0]);
    free(words->columns[1]);
    json_decref(words->params);
    *words = (struct apply_words){0};
}

static int refuse(const char *name, const char *value, const char *allowed,
                  struct failure *failure) {
    return failure_set(failure, -EINVAL, "--%s: \"%.100s\" is not allowed; give %s", name, value,
                       allowed);
}

/* Checked by the table of alignment parameters, and kept only as it was given. */
static int set_parameter(struct apply_words *words, const char *name, json_t *value,
                         struct failure *failure) {
    char where[32];
    CLEANUP_JSON json_t *all = params_defaults();
    CLEANUP_JSON json_t *change = json_pack("{s:o}", name, value);
    (void)snprintf(where, sizeof(where), "--%s", name);
    if (!all || !change)
        return failure_set(failure, -EINVAL, "%s: the value is no text", where);
    int r = params_merge(all, change, where, failure);
    if (r == 0 && json_object_update(words->params, change) < 0)
        r = failure_set(failure, -ENOMEM, "out of memory");
    return r;
}

static int set_columns(struct apply_words *words, const char *value, struct failure *failure) {
    const char *comma = strchr(value, ',');
    if (!comma || comma == value || !comma[1] || strchr(comma + 1, ',') || !names_is_clean(value))
        return refuse("columns", value, "two names or numbers with one comma in between, like X,Y",
                      failure);
    free(words->columns[0]);
    free(words->columns[1]);
    words->columns[0] = strndup(value, (size_t)(comma - value));
    words->columns[1] = strdup(comma + 1);
    return words->columns[0] && words->columns[1] ? 0
                                                  : failure_set(failure, -ENOMEM, "out of memory");
}

static int set_number(struct apply_words *words, size_t n, const char *value,
                      struct failure *failure) {
    int64_t number = 0;
    uint64_t bytes = 0;
    if (n == OPTION_PAD) {
        if (units_parse_int(value, 0, INT32_MAX, &number) < 0)
            return refuse("pad", value, "a whole number of px", failure);
        return set_parameter(words, "pad", json_integer(number), failure);
    }
    if (n == OPTION_THREADS) {
        if (strcmp(value, "auto") != 0 && units_parse_int(value, 1, MAX_THREADS, &number) < 0)
            return refuse("threads", value, "auto or a number from 1 to 256", failure);
        words->threads = (int)number;
        return 0;
    }
    if (units_parse_size(value, &bytes) < 0 || bytes < FOOTPRINT_LEAST_CAP_BYTES)
        return refuse("worker-memory", value, "a size of at least 192 MiB, like 300M or 1G",
                      failure);
    words->memory_bytes = bytes;
    return 0;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct apply_words *words = context;
    switch (n) {
    case OPTION_IMAGE:
    case OPTION_POINTS:
    case OPTION_OUT:
        if (!*value)
            return failure_set(failure, -EINVAL, "--%s: the path is empty", rows[n].name);
        *(n == OPTION_IMAGE ? &words->image
          : n == OPTION_OUT ? &words->out
                            : &words->points) = value;
        return 0;
    case OPTION_INVERSE:
        return words->is_inverse = true, 0;
    case OPTION_LABELS:
        return words->is_labels = true, 0;
    case OPTION_JSON:
        return words->as_json = true, 0;
    case OPTION_QUIET:
        return words->is_quiet = true, 0;
    case OPTION_INTERPOLATION:
        words->interpolation = value;
        return set_parameter(words, "interpolation", json_string(value), failure);
    case OPTION_COMPRESSION:
        return set_parameter(words, "compression", json_string(value), failure);
    case OPTION_COLUMNS:
        return set_columns(words, value, failure);
    default:
        return set_number(words, n, value, failure);
    }
}

/* A task's folder stands for the map in it. */
static int set_word(void *context, const char *word, struct failure *failure) {
    struct apply_words *words = context;
    struct stat status;
    if (words->transform)
        return failure_set(failure, -EINVAL, "one transform at a time: \"%.200s\" is one too many",
                           word);
    const bool is_folder = stat(word, &status) == 0 && S_ISDIR(status.st_mode);
    words->transform = is_folder ? names_format("%s/transform.json", word) : strdup(word);
    return words->transform ? 0 : failure_set(failure, -ENOMEM, "out of memory");
}

/* --- what must go together --- */

/* Options that were given and mean nothing here are refused: they would go unheard. */
static int check_unheard(const struct apply_words *words, uint32_t given, struct failure *failure) {
    static const size_t of_images[] = {OPTION_INTERPOLATION, OPTION_LABELS,  OPTION_PAD,
                                       OPTION_COMPRESSION,   OPTION_THREADS, OPTION_MEMORY};
    for (size_t i = 0; i < ARRAY_LEN(of_images) && words->points; i++)
        if (given & (1U << of_images[i]))
            return failure_set(failure, -EINVAL, "--%s is for images; points do without it",
                               rows[of_images[i]].name);
    if (words->image && words->columns[0])
        return failure_set(failure, -EINVAL, "--columns is for points; an image does without it");
    return 0;
}

/* Nobody is to take it for a PNG. */
static bool is_other_than_tiff(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *ending = strrchr(slash ? slash : path, '.');
    return ending && strcasecmp(ending, ".tif") != 0 && strcasecmp(ending, ".tiff") != 0;
}

static int check_output(struct apply_words *words, struct failure *failure) {
    if (words->out && strcmp(words->out, "-") == 0)
        words->out = NULL;
    if (words->image && !words->out)
        return failure_set(failure, -EINVAL,
                           "say where the image is to be written: -o OUT.tiff (not to stdout)");
    if (words->image && is_other_than_tiff(words->out))
        return failure_set(failure, -EINVAL,
                           "-o %s: the image is written as TIFF; give a name that ends in .tiff",
                           words->out);
    if (!words->out && words->as_json)
        return failure_set(failure, -EINVAL,
                           "--json and the points cannot both go to stdout; write the points to a "
                           "file with -o OUT.csv");
    return 0;
}

static int check(struct apply_words *words, uint32_t given, struct failure *failure) {
    if (!words->transform)
        return failure_set(failure, -EINVAL,
                           "which map? registrar apply OUT/<sample>/<dye>/transform.json --image "
                           "FILE -o OUT.tiff");
    if (!words->image == !words->points)
        return failure_set(failure, -EINVAL,
                           words->image
                               ? "--image and --points are two runs: give one of them"
                               : "what is to be moved? give --image FILE or --points FILE");
    int r = check_unheard(words, given, failure);
    if (r == 0)
        r = check_output(words, failure);
    if (r < 0 || !words->is_labels)
        return r;
    if (words->interpolation && strcmp(words->interpolation, "nearest") != 0)
        return failure_set(
            failure, -EINVAL,
            "--labels takes the nearest pixel, and --interpolation says %s; drop one "
            "of them",
            words->interpolation);
    return set_parameter(words, "interpolation", json_string("nearest"), failure);
}

int apply_words_parse(int argc, char **argv, struct apply_words *ret, struct failure *failure) {
    struct apply_words parsed = {.params = json_object(), .memory_bytes = DEFAULT_MEMORY_BYTES};
    const struct option_words words = {
        .row = apply_words_row, .set = set_option, .word = set_word, .context = &parsed};
    uint32_t given = 0;
    int r = parsed.params ? option_words_parse(argc, argv, &words, &given, failure)
                          : failure_set(failure, -ENOMEM, "out of memory");
    if (r == 0)
        r = check(&parsed, given, failure);
    if (r < 0)
        apply_words_clear(&parsed);
    else
        *ret = parsed;
    return r;
}
