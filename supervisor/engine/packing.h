/* Which of the tasks that fit ends the batch soonest when it starts now. Pure.
 *
 * Where memory is what there is too little of, "the largest that fits" uses up the small ones early
 * and then leaves gaps beside the large ones. So the rest of the batch is played with the
 * forecasts, in a number of orders (by memory, by time, by both, and by both shaken up), as in list
 * scheduling with restarts; the first start of the order that ends first is the answer. Of many
 * tasks an even share of all sizes stands for the others.
 */
#ifndef SUPERVISOR_ENGINE_PACKING_H
#define SUPERVISOR_ENGINE_PACKING_H

#include "supervisor/engine/admission.h"

enum {
    PACKING_MOST_TASKS = 48,
    PACKING_MOST_JOBS = 64,
};

/* What runs; as many as room->running, and the same as in room->load. */
struct packing_running {
    uint64_t memory_bytes, margin_bytes;
    int64_t left_ms; /* until it ends, as far as is known */
};

/* The place in the candidates, which are sorted by admission_sort and all of which are known and of
 * equal tries; -1: none fits, or this cannot tell more than admission_pick (how long they take is
 * not known; all fit anyway; there are more jobs than are looked at). Never one that is larger than
 * the budget. */
ptrdiff_t packing_pick(const struct admission_candidate *all, size_t n_all,
                       const struct packing_running *running, const struct admission_room *room);

#endif
