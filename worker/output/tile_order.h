/* Puts what threads finish in any order back into the order of its positions.
 *
 * Threads fill parcels, of which there is a fixed number. A parcel that is handed in is delivered
 * as soon as all positions before it were, by one thread at a time: whoever hands in what was
 * missing delivers all that waited for it, while the others go on filling parcels.
 */
#ifndef WORKER_OUTPUT_TILE_ORDER_H
#define WORKER_OUTPUT_TILE_ORDER_H

#include "common/failure.h"

#include <stddef.h>
#include <stdint.h>

struct tile_order;

typedef int (*tile_order_cb)(void *context, void *parcel, struct failure *failure);

/* first: the first position that will be handed in. Borrows the parcels. NULL: out of memory. */
struct tile_order *tile_order_new(uint64_t first, void *const *parcels, size_t n,
                                  tile_order_cb deliver, void *context);
void tile_order_free(struct tile_order *order); /* NULL is fine */

/* A parcel to fill; waits for one. A thread must have it before it is given a position to fill it
 * for, else the one that all wait for might find no parcel. An error is what stopped the order. */
MUST_USE int tile_order_take(struct tile_order *order, void **ret, struct failure *failure);
/* Hands in a filled parcel. The error of a delivery is final: all calls return it from then on. */
MUST_USE int tile_order_put(struct tile_order *order, uint64_t position, void *parcel,
                            struct failure *failure);
/* A position will never be handed in: nobody shall wait for it. */
void tile_order_stop(struct tile_order *order, int error, const struct failure *failure);

#endif
