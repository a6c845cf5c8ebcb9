/* The background scale from the distribution of x = log10(post / aligned pre) (exo2micro's method).
 *
 * Fine counts are streamed (integers: merging threads' histograms gives the same sums in any
 * order), then: 200 bins over a robust range around the median; smooth over 7; leave out the bins
 * within 3 of x = 0, where equal small counts pile up; the peak is mu0; mirror the left wing about
 * mu0 (post-only objects spoil the right one); fit a Moffat profile; scale = 10^mu. If the fit
 * fails: 10^mu0.
 */
#ifndef WORKER_OUTPUT_LOG_RATIO_H
#define WORKER_OUTPUT_LOG_RATIO_H

#include "worker/output/moffat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOG_RATIO_PER_DECADE = 10000, /* fine bins */
    LOG_RATIO_DECADES = 12,       /* x from -6 to 6 */
    LOG_RATIO_FINE_BINS = LOG_RATIO_PER_DECADE * LOG_RATIO_DECADES,
    LOG_RATIO_BINS = 200,
    LOG_RATIO_LEFT_OUT_BINS = 3,   /* to either side of x = 0 */
    LOG_RATIO_LEAST_PIXELS = 1000, /* below it nothing is estimated */
};

/* The fine bin of post / pre, both > 0. */
size_t log_ratio_bin(float pre, float post);

struct log_ratio_scale {
    uint64_t n_pixels;
    double peak;          /* mu0 */
    bool fitted;          /* else moffat and rms are unset */
    struct moffat moffat; /* amp in pixels per bin */
    double rms;
    double low, high; /* the range of the 200 bins */
    double counts[LOG_RATIO_BINS];
};

/* False when there are too few pixels to say anything. */
bool log_ratio_estimate(const uint64_t *fine, struct log_ratio_scale *ret);

/* x below which `percent` of the pixels lie; NAN when there are none. */
double log_ratio_percentile(const uint64_t *fine, double percent);

#endif
