/* Blocks of one size, by index, the least recently used one giving way. Threads may share a cache:
 * who asks for a block that another one is filling waits for it, so none is filled twice at once.
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

/* The block's memory, in place until block_cache_release. *ret_fresh: it was not there; fill it.
 * Waits while others hold all blocks, so nobody may hold one and ask for another. */
void *block_cache_get(struct block_cache *cache, uint64_t index, bool *ret_fresh);
/* right: the block holds what it should; else it is forgotten. */
void block_cache_release(struct block_cache *cache, void *block, bool right);

#endif
