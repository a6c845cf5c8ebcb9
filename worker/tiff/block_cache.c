/* The cache of decoded blocks; see block_cache.h.
 *
 * Slots are chained by hash for finding and in a ring by age for replacing; links are slot numbers.
 * Nothing is allocated after the start. The last block is remembered, because neighbouring regions
 * ask for the same block again and again. One lock guards all of it; blocks are filled outside.
 */
#include "worker/tiff/block_cache.h"

#include "worker/memory/tracked.h"

#include <pthread.h>
#include <stdlib.h>

enum { MAX_SLOTS = 1 << 16 };

static const uint32_t none = UINT32_MAX;
static const uint64_t empty = UINT64_MAX;

struct slot {
    uint64_t index; /* of the block; `empty`: free */
    uint32_t chain; /* the next slot with the same hash */
    uint32_t older, newer;
    uint32_t holders;
    bool filled;
};

struct block_cache {
    pthread_mutex_t lock;
    pthread_cond_t released;
    size_t block_bytes;
    uint32_t n_slots, n_buckets; /* n_buckets: a power of two */
    uint32_t newest;             /* the ring: newest's newer is the oldest */
    struct slot *slots;
    uint32_t *buckets;
    char *blocks;
};

static uint32_t bucket_of(const struct block_cache *cache, uint64_t index) {
    return (uint32_t)(index * 0x9e3779b97f4a7c15ULL >> 32) & (cache->n_buckets - 1);
}

struct block_cache *block_cache_new(size_t block_bytes, uint64_t budget_bytes) {
    struct block_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return NULL;
    (void)pthread_mutex_init(&cache->lock, NULL); /* with default attributes neither can fail */
    (void)pthread_cond_init(&cache->released, NULL);
    uint64_t n = budget_bytes / block_bytes;
    cache->n_slots = n < 1 ? 1 : n > MAX_SLOTS ? MAX_SLOTS : (uint32_t)n;
    cache->n_buckets = 2;
    while (cache->n_buckets < 2 * cache->n_slots)
        cache->n_buckets *= 2;
    cache->block_bytes = block_bytes;
    cache->blocks = tracked_alloc(cache->n_slots, block_bytes, "block cache");
    cache->slots = tracked_alloc(cache->n_slots, sizeof(*cache->slots), "block index");
    cache->buckets = tracked_alloc(cache->n_buckets, sizeof(*cache->buckets), "block index");
    if (!cache->blocks || !cache->slots || !cache->buckets) {
        block_cache_free(cache);
        return NULL;
    }
    for (uint32_t i = 0; i < cache->n_buckets; i++)
        cache->buckets[i] = none;
    for (uint32_t i = 0; i < cache->n_slots; i++)
        cache->slots[i] = (struct slot){.index = empty,
                                        .chain = none,
                                        .older = i > 0 ? i - 1 : cache->n_slots - 1,
                                        .newer = i + 1 < cache->n_slots ? i + 1 : 0};
    cache->newest = cache->n_slots - 1;
    return cache;
}

void block_cache_free(struct block_cache *cache) {
    if (!cache)
        return;
    tracked_free(cache->blocks);
    tracked_free(cache->slots);
    tracked_free(cache->buckets);
    (void)pthread_cond_destroy(&cache->released);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static void make_newest(struct block_cache *cache, uint32_t at) {
    if (at == cache->newest)
        return;
    struct slot *slots = cache->slots, *slot = &slots[at];
    slots[slot->older].newer = slot->newer;
    slots[slot->newer].older = slot->older;
    slot->older = cache->newest;
    slot->newer = slots[cache->newest].newer;
    slots[slot->newer].older = at;
    slots[slot->older].newer = at;
    cache->newest = at;
}

static void unchain(struct block_cache *cache, uint32_t at) {
    uint32_t *link = &cache->buckets[bucket_of(cache, cache->slots[at].index)];
    while (*link != at)
        link = &cache->slots[*link].chain;
    *link = cache->slots[at].chain;
    cache->slots[at].index = empty;
}

static uint32_t find(const struct block_cache *cache, uint64_t index) {
    const struct slot *slots = cache->slots;
    uint32_t at = slots[cache->newest].index == index ? cache->newest
                                                      : cache->buckets[bucket_of(cache, index)];
    while (at != none && slots[at].index != index)
        at = slots[at].chain;
    return at;
}

/* The oldest slot that nobody holds, for another block. `none`: all are held. */
static uint32_t replace(struct block_cache *cache, uint64_t index) {
    struct slot *slots = cache->slots;
    uint32_t at = slots[cache->newest].newer, oldest = at;
    while (slots[at].holders > 0) {
        at = slots[at].newer;
        if (at == oldest)
            return none;
    }
    if (slots[at].index != empty)
        unchain(cache, at);
    uint32_t *bucket = &cache->buckets[bucket_of(cache, index)];
    slots[at].index = index;
    slots[at].chain = *bucket;
    slots[at].filled = false;
    *bucket = at;
    return at;
}

void *block_cache_get(struct block_cache *cache, uint64_t index, bool *ret_fresh) {
    (void)pthread_mutex_lock(&cache->lock);
    uint32_t at = none;
    bool fresh = false;
    for (;;) {
        at = find(cache, index);
        fresh = at == none;
        if (fresh)
            at = replace(cache, index);
        if (at != none && (fresh || cache->slots[at].filled))
            break;
        (void)pthread_cond_wait(&cache->released, &cache->lock);
    }
    cache->slots[at].holders++;
    make_newest(cache, at);
    (void)pthread_mutex_unlock(&cache->lock);
    *ret_fresh = fresh;
    return cache->blocks + at * cache->block_bytes;
}

void block_cache_release(struct block_cache *cache, void *block, bool right) {
    uint32_t at = (uint32_t)((size_t)((char *)block - cache->blocks) / cache->block_bytes);
    (void)pthread_mutex_lock(&cache->lock);
    struct slot *slot = &cache->slots[at];
    slot->holders--;
    if (!right)
        unchain(cache, at);
    bool awaited = !slot->filled || slot->holders == 0;
    slot->filled = right;
    if (awaited)
        (void)pthread_cond_broadcast(&cache->released);
    (void)pthread_mutex_unlock(&cache->lock);
}
