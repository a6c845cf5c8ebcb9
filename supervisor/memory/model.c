/* See model.h. Predictions come from published fits; a new fit is published only when it says
 * something else than the published one, because each time all waiting tasks are sorted anew. */
#include "supervisor/memory/model.h"

#include "common/names.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    SAMPLE_LIMIT = REGRESSION_MAX_POINTS,
    FIRST_CAPACITY = 4,
    EAGER_SAMPLES = 24, /* up to here every attempt is worth a fit */
    LAZY_SHARE = 8,     /* then every eighth of what there is, and surprises */
};

static const double memory_noise = 0.01, time_noise = 0.2;
static const double news = 0.02; /* a fit that differs by less is none */
static const double surprise = 0.05;

struct sample {
    double size, peak, wall; /* wall 0: does not count */
    float error;             /* |predicted - measured| / measured; negative: not foretold */
    bool is_whole;
};

struct kind {
    char *name, *user;   /* owned; no name: it is forgotten */
    uint32_t generation; /* of the place: the upper half of the kind's number */
    uint64_t used;       /* when it was last */
    bool is_pair;
    struct sample *samples; /* owned */
    size_t n_samples, capacity, n_new;
    bool surprised;
    size_t patience; /* new samples beyond the first that a surprise waits for */
    uint64_t n_attempts;
    struct regression memory, time;
    char first[CLOCK_TEXT_BYTES], last[CLOCK_TEXT_BYTES];
};

struct model {
    struct kind *kinds; /* owned */
    size_t count, capacity, most_of_user;
    uint64_t n_uses;
    json_t *index[2]; /* of commands, of pairs: "user/name" -> number */
    uint64_t random;
};

/* ---- kinds ---- */

enum { GENERATION_SHIFT = 32 };

static void free_kind(struct kind *kind) {
    free(kind->name);
    free(kind->user);
    free(kind->samples);
}

/* No user's name holds a slash. NULL: out of memory. */
static char *key_of(const char *name, const char *user) {
    return names_format("%s/%s", user ? user : "", name);
}

/* NULL: it was forgotten, or never was. */
static struct kind *kind_at(const struct model *model, size_t number) {
    const size_t place = number & UINT32_MAX;
    struct kind *kind = place < model->count ? &model->kinds[place] : NULL;
    return kind && kind->generation == number >> GENERATION_SHIFT ? kind : NULL;
}

static bool is_of(const struct kind *kind, const char *user) {
    return kind->name && (user && kind->user ? strcmp(user, kind->user) == 0 : user == kind->user);
}

int model_open(struct model **ret, struct failure *failure) {
    struct model *model = calloc(1, sizeof(*model));
    if (model) {
        model->random = 1;
        model->index[0] = json_object();
        model->index[1] = json_object();
    }
    if (!model || !model->index[0] || !model->index[1]) {
        model_close(model);
        return failure_set_errno(failure, -ENOMEM, "cannot learn from earlier attempts");
    }
    *ret = model;
    return 0;
}

void model_close(struct model *model) {
    if (!model)
        return;
    for (size_t i = 0; i < model->count; i++)
        free_kind(&model->kinds[i]);
    free(model->kinds);
    json_decref(model->index[0]);
    json_decref(model->index[1]);
    free(model);
}

void model_limit(struct model *model, size_t most_of_user) { model->most_of_user = most_of_user; }

/* Makes room among the user's. */
static void forget_oldest(struct model *model, const char *user) {
    struct kind *oldest = NULL;
    size_t n = 0;
    for (size_t i = 0; i < model->count; i++) {
        struct kind *kind = &model->kinds[i];
        if (!is_of(kind, user))
            continue;
        n++;
        if (!oldest || kind->used < oldest->used)
            oldest = kind;
    }
    if (!oldest || n < model->most_of_user)
        return;
    CLEANUP_FREE char *key = key_of(oldest->name, user);
    if (!key)
        return; /* it stays: there is one too many */
    (void)json_object_del(model->index[oldest->is_pair], key);
    free_kind(oldest);
    *oldest = (struct kind){.generation = oldest->generation + 1};
}

/* A place that is free; SIZE_MAX: out of memory. */
static size_t make_kind_place(struct model *model) {
    for (size_t i = 0; model->most_of_user > 0 && i < model->count; i++)
        if (!model->kinds[i].name)
            return i;
    if (model->count == model->capacity) {
        const size_t capacity = model->capacity ? 2 * model->capacity : FIRST_CAPACITY;
        struct kind *kinds = realloc(model->kinds, capacity * sizeof(*kinds));
        if (!kinds)
            return SIZE_MAX;
        model->kinds = kinds;
        model->capacity = capacity;
    }
    model->kinds[model->count] = (struct kind){0};
    return model->count++;
}

size_t model_find_kind(const struct model *model, const char *name, const char *user,
                       bool is_pair) {
    CLEANUP_FREE char *key = key_of(name, user);
    const json_t *number = key ? json_object_get(model->index[is_pair], key) : NULL;
    return number ? (size_t)json_integer_value(number) : SIZE_MAX;
}

size_t model_kind(struct model *model, const char *name, const char *user, bool is_pair) {
    const size_t found = model_find_kind(model, name, user, is_pair);
    if (found != SIZE_MAX) {
        model->kinds[found & UINT32_MAX].used = ++model->n_uses;
        return found;
    }
    if (model->most_of_user > 0)
        forget_oldest(model, user);
    CLEANUP_FREE char *key = key_of(name, user);
    const size_t place = key ? make_kind_place(model) : SIZE_MAX;
    if (place == SIZE_MAX)
        return SIZE_MAX;
    struct kind *kind = &model->kinds[place];
    const size_t number = place | (size_t)kind->generation << GENERATION_SHIFT;
    json_t *index = model->index[is_pair];
    kind->name = strdup(name);
    kind->user = user ? strdup(user) : NULL;
    kind->is_pair = is_pair;
    kind->used = ++model->n_uses;
    /* a name that is no UTF-8 has no place in a ledger either: it is not found again */
    if (!kind->name || (user && !kind->user) ||
        (json_object_set_new(index, key, json_integer((json_int_t)number)) < 0 &&
         json_object_set_new(index, "?", json_integer((json_int_t)number)) < 0)) {
        free(STEAL_PTR(kind->name));
        return SIZE_MAX;
    }
    return number;
}

/* ---- samples ---- */

static uint64_t draw(struct model *model, uint64_t below) {
    model->random = model->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (model->random >> 33) % below;
}

/* Whether the sample alone holds an end of the range of sizes. */
static bool is_end(const struct kind *kind, size_t place) {
    bool smallest = kind->samples[place].is_whole, largest = smallest;
    for (size_t i = 0; i < kind->n_samples; i++) {
        if (i == place || !kind->samples[i].is_whole)
            continue;
        smallest &= kind->samples[i].size > kind->samples[place].size;
        largest &= kind->samples[i].size < kind->samples[place].size;
    }
    return smallest || largest;
}

/* A place for one more; when all are taken, a random one is given up. NULL: out of memory. */
static struct sample *make_place(struct model *model, struct kind *kind) {
    if (kind->n_samples == SAMPLE_LIMIT) {
        size_t place = (size_t)draw(model, SAMPLE_LIMIT);
        while (is_end(kind, place)) /* two of all at most */
            place = (place + 1) % SAMPLE_LIMIT;
        return &kind->samples[place];
    }
    if (kind->n_samples == kind->capacity) {
        const size_t capacity = kind->capacity ? 2 * kind->capacity : FIRST_CAPACITY;
        struct sample *samples = realloc(kind->samples, capacity * sizeof(*samples));
        if (!samples)
            return NULL;
        kind->samples = samples;
        kind->capacity = capacity;
    }
    return &kind->samples[kind->n_samples++];
}

int model_observe(struct model *model, const struct model_observation *seen) {
    struct kind *kind = kind_at(model, seen->kind);
    if (!kind || seen->peak_bytes == 0 ||
        (kind->is_pair && (seen->prior_bytes == 0 || seen->prior_ms <= 0)))
        return 0; /* it says nothing */
    struct sample *sample = make_place(model, kind);
    if (!sample)
        return -ENOMEM;
    const double peak = (double)seen->peak_bytes, predicted = (double)seen->predicted_bytes;
    *sample = (struct sample){
        .size = kind->is_pair ? 0 : seen->size,
        .peak = kind->is_pair ? peak / (double)seen->prior_bytes : peak,
        .is_whole = seen->is_whole,
        .error = -1,
    };
    if (seen->is_whole && seen->is_first)
        sample->wall = kind->is_pair ? (double)seen->wall_ms / (double)seen->prior_ms
                                     : fmax(1, (double)seen->wall_ms);
    if (seen->is_whole && predicted > 0)
        sample->error = (float)(fabs(predicted - peak) / peak);
    const double usual = fmax(surprise, 3 * kind->memory.spread);
    kind->surprised |= predicted > 0 && (peak > predicted * (1 + usual) ||
                                         (seen->is_whole && peak < predicted * (1 - usual)));
    kind->n_attempts++;
    kind->n_new++;
    if (seen->time) {
        (void)snprintf(kind->last, sizeof(kind->last), "%s", seen->time);
        if (!kind->first[0])
            (void)snprintf(kind->first, sizeof(kind->first), "%s", seen->time);
    }
    return 0;
}

static uint64_t count_of(const json_t *record, const char *key) {
    const json_t *value = json_object_get(record, key);
    const double number = json_number_value(value);
    return number > 0 && number < 0x1p62 ? (uint64_t)number : 0;
}

static int64_t ms_of(const json_t *record, const char *key) {
    const double seconds = json_number_value(json_object_get(record, key));
    return seconds > 0 && seconds < 1e12 ? (int64_t)(seconds * 1000) : 0;
}

bool model_wants(void *context, const char *line, size_t length) {
    static const char event[] = "\"event\":\"attempt_end\"";
    (void)context; /* of all kinds */
    return memmem(line, length, event, sizeof(event) - 1) != NULL;
}

int model_replay(void *context, const json_t *record, struct failure *failure) {
    struct model *model = context;
    const char *event = json_string_value(json_object_get(record, "event"));
    const char *kind = json_string_value(json_object_get(record, "kind"));
    const char *verdict = json_string_value(json_object_get(record, "verdict"));
    if (!event || strcmp(event, "attempt_end") != 0 || !kind || !verdict)
        return 0; /* kind is not there in the ledgers of the first versions */
    const bool is_pair = json_object_get(record, "prior_bytes") != NULL;
    struct model_observation seen = {
        .kind =
            model_kind(model, kind, json_string_value(json_object_get(record, "user")), is_pair),
        .size = json_number_value(json_object_get(record, "size")),
        .peak_bytes = count_of(record, "peak_rss_bytes"),
        .predicted_bytes = count_of(record, "predicted_bytes"),
        .prior_bytes = count_of(record, "prior_bytes"),
        .wall_ms = ms_of(record, "wall_s"),
        .prior_ms = ms_of(record, "prior_s"),
        .is_whole = (strcmp(verdict, "ok") == 0 || strcmp(verdict, "doubtful") == 0) &&
                    !json_is_true(json_object_get(record, "shared")),
        .is_first = count_of(record, "attempt") == 1,
        .time = json_string_value(json_object_get(record, "time")),
    };
    if (seen.kind == SIZE_MAX || model_observe(model, &seen) < 0)
        return failure_set_errno(failure, -ENOMEM, "cannot learn from earlier attempts");
    return 0;
}

/* ---- fits ---- */

static bool differs(const struct regression *a, const struct regression *b) {
    if (a->shape != b->shape)
        return true;
    const double sizes[] = {b->size_min, b->size_max, 2 * b->size_max};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const double x = regression_upper(a, sizes[i]), y = regression_upper(b, sizes[i]);
        const double p = regression_estimate(a, sizes[i]), q = regression_estimate(b, sizes[i]);
        if (isinf(x) != isinf(y) || (!isinf(x) && fabs(x - y) > news * y) || fabs(p - q) > news * q)
            return true;
    }
    return false;
}

static bool publish(struct regression *published, const struct regression *fit) {
    const bool is_news = differs(published, fit);
    if (is_news)
        *published = *fit;
    published->n_exact = fit->n_exact; /* for people; the range is news when it matters */
    published->n_at_least = fit->n_at_least;
    return is_news;
}

static size_t peaks_of(const struct kind *kind, struct regression_point *points) {
    for (size_t i = 0; i < kind->n_samples; i++)
        points[i] = (struct regression_point){kind->samples[i].size, kind->samples[i].peak,
                                              !kind->samples[i].is_whole};
    return kind->n_samples;
}

static size_t walls_of(const struct kind *kind, struct regression_point *points) {
    size_t n = 0;
    for (size_t i = 0; i < kind->n_samples; i++)
        if (kind->samples[i].wall > 0)
            points[n++] =
                (struct regression_point){kind->samples[i].size, kind->samples[i].wall, false};
    return n;
}

static bool is_due(const struct kind *kind) {
    return kind->n_new > 0 &&
           (kind->n_samples <= EAGER_SAMPLES || (kind->surprised && kind->n_new > kind->patience) ||
            kind->n_new * LAZY_SHARE >= kind->n_samples);
}

/* A kind of two minds surprises every other time, and each fit says the same. */
static void learn_patience(struct kind *kind, bool is_news) {
    if (is_news)
        kind->patience = 0;
    else if (kind->surprised && kind->patience < SAMPLE_LIMIT)
        kind->patience = 2 * kind->patience + 1;
}

static bool refresh_kind(struct kind *kind) {
    struct regression_point points[SAMPLE_LIMIT];
    struct regression memory, time;
    if (!is_due(kind) ||
        regression_fit(points, peaks_of(kind, points), memory_noise, &memory) < 0 ||
        regression_fit(points, walls_of(kind, points), time_noise, &time) < 0)
        return false;                  /* out of memory: the fits so far still hold */
    (void)publish(&kind->time, &time); /* moves nothing in the queue */
    const bool is_news = publish(&kind->memory, &memory);
    learn_patience(kind, is_news);
    kind->n_new = 0;
    kind->surprised = false;
    return is_news;
}

bool model_refresh(struct model *model) {
    bool is_news = false;
    for (size_t i = 0; i < model->count; i++)
        is_news |= refresh_kind(&model->kinds[i]);
    return is_news;
}

static struct model_forecast forecast(const struct regression *fit, double size) {
    return (struct model_forecast){
        .shape = fit->shape,
        .estimate = regression_estimate(fit, size),
        .upper = regression_upper(fit, size),
        .n = fit->n_exact + fit->n_at_least,
        .is_beyond = fit->shape != REGRESSION_NONE && regression_is_beyond(fit, size),
        .is_far = fit->shape != REGRESSION_NONE && regression_is_far(fit, size),
    };
}

struct model_forecast model_memory(const struct model *model, size_t kind, double size) {
    const struct kind *one = kind_at(model, kind);
    return one ? forecast(&one->memory, one->is_pair ? 0 : size) : (struct model_forecast){0};
}

struct model_forecast model_time(const struct model *model, size_t kind, double size) {
    const struct kind *one = kind_at(model, kind);
    return one ? forecast(&one->time, one->is_pair ? 0 : size) : (struct model_forecast){0};
}

/* ---- for people ---- */

size_t model_count(const struct model *model) { return model->count; }

static int compare_floats(const void *x, const void *y) {
    const float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

void model_look(const struct model *model, size_t kind, struct model_kind_view *ret) {
    const struct kind *one = &model->kinds[kind];
    float errors[SAMPLE_LIMIT];
    size_t n = 0;
    for (size_t i = 0; i < one->n_samples; i++)
        if (one->samples[i].error >= 0)
            errors[n++] = one->samples[i].error;
    if (n > 1)
        qsort(errors, n, sizeof(*errors), compare_floats);
    *ret = (struct model_kind_view){
        .name = one->name,
        .user = one->user,
        .is_pair = one->is_pair,
        .memory = &one->memory,
        .time = &one->time,
        .n_attempts = one->n_attempts,
        .n_judged = n,
        .error_median = n ? (double)errors[n / 2] : 0,
        .error_most = n ? (double)errors[(n - 1) * 9 / 10] : 0,
        .error_worst = n ? (double)errors[n - 1] : 0,
    };
    memcpy(ret->first, one->first, sizeof(ret->first));
    memcpy(ret->last, one->last, sizeof(ret->last));
}
