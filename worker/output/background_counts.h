/* How often which signal and which ratio occurs in the pixels that both images cover: all that the
 * background scale is concluded from. */
#ifndef WORKER_OUTPUT_BACKGROUND_COUNTS_H
#define WORKER_OUTPUT_BACKGROUND_COUNTS_H

#include "worker/output/log_ratio.h"

#include "common/failure.h"

enum { BACKGROUND_COUNTS_BINS = 65536 };

struct background_counts {
    uint64_t ratio[LOG_RATIO_FINE_BINS]; /* of log10(post / pre), both above 0 */
    uint64_t pre[BACKGROUND_COUNTS_BINS], post[BACKGROUND_COUNTS_BINS]; /* of the signals */
    double pre_bins_per_count, post_bins_per_count;
};

/* All zero, tracked. NULL: no memory. */
struct background_counts *background_counts_new(void);
void background_counts_free(struct background_counts *counts); /* NULL is fine */

void background_counts_add(struct background_counts *into, const struct background_counts *from);

/* As a file, for this machine alone; it appears whole or not at all. */
MUST_USE int background_counts_save(const struct background_counts *counts, const char *path,
                                    struct failure *failure);
/* -ENOENT: there is none; -EBADMSG: damaged. The caller owns *ret. */
MUST_USE int background_counts_load(const char *path, struct background_counts **ret,
                                    struct failure *failure);

#endif
