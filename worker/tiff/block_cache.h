/* Blocks of one size, by index, the least recently used one giving way. Not shared: one per thread.
 */
#ifndef WORKER_TIFF_BLOCK_CACHE_H
#define WORKER_TIFF_BLOCK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block_cache;

/* Holds budget_bytes / block_bytes blocks, at least one. NULL when out of memory. */
struct block_cache *block_cache_new(size_t block_bytes, uint64_t budget_bytes);
void block_cache_free(struct block_cache *cache); /* NULL is fine */

/* The block's memory. *ret_fresh: it was not there; fill it, or call block_cache_drop. Valid until
 * the next call. */
void *block_cache_get(struct block_cache *cache, uint64_t index, bool *ret_fresh);
/* Forgets the block of the last get: it could not be filled. */
void block_cache_drop(struct block_cache *cache);

#endif
