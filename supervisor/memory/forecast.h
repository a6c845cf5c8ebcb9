/* What one task is predicted to need. Pure.
 *
 * Pairs: by common/footprint.h, from their headers, corrected by what pairs have needed so far.
 * Commands: what the manifest declares, else what their kind has needed so far (model.h); before
 * there is any history nothing is known, and one of them runs alone to find out. What commands
 * write is not known.
 */
#ifndef SUPERVISOR_MEMORY_FORECAST_H
#define SUPERVISOR_MEMORY_FORECAST_H

#include "common/footprint.h"
#include "common/params.h"
#include "supervisor/memory/model.h"

/* What the pre-flight counts for a command of which nothing is known. */
enum { FORECAST_COMMAND_BYTES = 256 << 20 };

/* On top of the forecast, unless its interval ends higher: nothing is as exact as its history. */
#define FORECAST_MARGIN 0.1

struct forecast_task {
    bool is_pair;
    struct footprint_pair pair; /* threads and cap are filled in by the functions below */
    uint64_t declared_bytes;    /* commands: 0 is not declared */
    size_t kind;                /* of the model */
    double size;                /* as model_observation's */
    uint64_t floor_bytes;       /* it was seen to need more; 0: it was not */
};

enum forecast_basis {
    FORECAST_UNKNOWN,  /* nothing is known */
    FORECAST_ONE_SIZE, /* inputs of one size were seen: only a bound is known */
    FORECAST_HISTORY,
    FORECAST_HEADERS, /* a pair, by its images' headers */
    FORECAST_DECLARED,
    FORECAST_BASIS_COUNT
};

struct forecast {
    enum forecast_basis basis;
    uint64_t predicted_bytes; /* of the peak; 0: unknown */
    uint64_t reserved_bytes;  /* UINT64_MAX: unknown, it must run alone */
    uint64_t counted_bytes;   /* of the reservation: what has to be free; see admission.h */
    uint64_t margin_bytes;    /* of what is counted: above the forecast's interval */
    uint64_t prior_bytes;     /* pairs: by the headers alone */
    int64_t prior_ms;
    int64_t time_ms;   /* 0: unknown */
    size_t n_attempts; /* behind it */
    bool is_beyond;    /* larger than any input seen of its kind */
    bool is_guess;     /* nothing is known, or only of much smaller inputs: no limit to enforce */
    bool is_faster;    /* its kind grows faster than its inputs */
};

/* The pair as the footprint wants it. */
struct forecast_task forecast_pair(const struct footprint_image *pre,
                                   const struct footprint_image *post, const struct params *params);

/* model may be NULL: no history. */
struct forecast forecast_make(const struct forecast_task *task, const struct model *model,
                              int threads, uint64_t cap_bytes);
uint64_t forecast_disk(const struct forecast_task *task);
/* Bytes of files that it reads and writes. */
uint64_t forecast_file_bytes(const struct forecast_task *task);

/* "declared", "history", ... */
const char *forecast_basis_name(enum forecast_basis basis);

#endif
