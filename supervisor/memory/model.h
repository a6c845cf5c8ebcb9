/* What attempts of each kind of task have needed so far, and so what the next will need.
 *
 * Learned from the ledger's attempt_end records and, while a batch runs, from each attempt as it
 * ends. Of each kind a bounded sample is kept, newer attempts rather than older ones, and the
 * smallest and largest inputs always. Each user of a service has kinds of his own: what he calls
 * his tasks, and how they behave, is no matter of others' forecasts. Commands are fitted by their
 * inputs' bytes; pairs by how far the measured value is from the one that their headers foretell
 * (common/footprint.h).
 */
#ifndef SUPERVISOR_MEMORY_MODEL_H
#define SUPERVISOR_MEMORY_MODEL_H

#include "common/clock.h"
#include "common/failure.h"
#include "supervisor/memory/regression.h"

#include <stdint.h>

struct model;

MUST_USE int model_open(struct model **ret, struct failure *failure);
void model_close(struct model *model); /* NULL is fine */

/* So many kinds of each user at most: of more, the one that was last used longest ago is forgotten.
 * 0, as at first: as many as there are. */
void model_limit(struct model *model, size_t most_of_user);

/* The kind's number, for the functions below; it is made when it is not there. A command may have
 * the kind "align" too: it is another one. user: NULL where there is one alone. SIZE_MAX: out of
 * memory. The number of a kind that was forgotten is that of one of which nothing is known. */
size_t model_kind(struct model *model, const char *name, const char *user, bool is_pair);
/* The same, but nothing is made. SIZE_MAX, of which nothing is known: it is not there. */
size_t model_find_kind(const struct model *model, const char *name, const char *user, bool is_pair);

/* One attempt that is over. */
struct model_observation {
    size_t kind;
    double size;               /* bytes of a command's inputs; pixels of a pair */
    uint64_t peak_bytes;       /* 0: not known */
    uint64_t predicted_bytes;  /* what was foretold; 0: nothing */
    uint64_t prior_bytes;      /* pairs: by the headers alone */
    int64_t wall_ms, prior_ms; /* prior_ms: pairs */
    bool is_whole;             /* it came to its own end: the peak is its peak */
    bool is_first;             /* attempt: nothing of an earlier one was used */
    const char *time;          /* RFC 3339; NULL: not known. Copied */
};
MUST_USE int model_observe(struct model *model, const struct model_observation *observation);
/* The same from a ledger's record; others than attempt_end are passed over (a
 * ledger_store_replay_cb; context is the struct model). */
int model_replay(void *context, const json_t *record, struct failure *failure);

/* Whether a line of a ledger may be what model_replay learns from (a ledger_store_wants_cb). */
bool model_wants(void *context, const char *line, size_t length);

/* Fits what has news. True when a prediction changed by more than a little: all that wait are to be
 * forecast again. */
bool model_refresh(struct model *model);

/* A value as the model of its kind sees it. Pairs: relative to the prior. */
struct model_forecast {
    enum regression_shape shape; /* NONE: nothing is known */
    double estimate, upper;      /* upper may be INFINITY */
    size_t n;                    /* attempts that it was made from */
    bool is_beyond;              /* larger than any input seen */
    bool is_far;                 /* more than twice as large */
};
struct model_forecast model_memory(const struct model *model, size_t kind, double size);
struct model_forecast model_time(const struct model *model, size_t kind, double size); /* ms */

/* For registrar model. */
struct model_kind_view {
    const char *name, *user; /* borrowed, as all below; user: NULL: of nobody in particular */
    bool is_pair;
    const struct regression *memory, *time;
    uint64_t n_attempts; /* all that were seen; the fits are made from a sample of them */
    size_t n_judged;     /* of the sample: had been foretold */
    double error_median, error_most, error_worst; /* of them, relative to what was measured; most:
                                                     nine of ten stay below */
    char first[CLOCK_TEXT_BYTES], last[CLOCK_TEXT_BYTES]; /* "" when not known */
};
size_t model_count(const struct model *model);
void model_look(const struct model *model, size_t kind, struct model_kind_view *ret);

#endif
