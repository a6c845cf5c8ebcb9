/* What survey found out about one image, as the later stages read it from its checkpoint. */
#ifndef WORKER_ALIGN_SURVEY_H
#define WORKER_ALIGN_SURVEY_H

#include "worker/align/align.h"
#include "worker/align/pyramid.h"

struct survey {
    struct pyramid_layout layout;
    struct signal signal;
    double low, high;  /* 1st and 99.5th percentile of the signal, from level 2 */
    double background; /* the signal's most common value */
    bool inverted;     /* never by the survey: a stage may ask for tones from bright to dark */
};

/* which: for the sentence. -EINVAL when the checkpoint is not one of ours. */
MUST_USE int survey_read(const json_t *checkpoint, const char *which, struct survey *ret,
                         struct failure *failure);

#endif
