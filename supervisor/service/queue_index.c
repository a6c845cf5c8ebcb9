/* Finding a task by its id: a table of places by the ids' hashes, half full at most. Hashes are
 * keyed with a number that nobody outside can know, so nobody can make ids that meet in one. */
#include "supervisor/service/queue_state.h"

#include "common/unforked.h"

#include <errno.h>
#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folded products of 8 bytes at a time with odd constants (the digits of pi), as in wyhash. */
uint64_t queue_index_hash(uint64_t seed, const char *id, size_t length) {
    uint64_t hash = mix(seed ^ UINT64_C(0x243f6a8885a308d3), length | 1);
    for (; length > 0;) {
        uint64_t word = 0;
        const size_t taken = length < sizeof(word) ? length : sizeof(word);
        memcpy(&word, id, taken);
        hash = mix(hash ^ word, seed ^ UINT64_C(0x13198a2e03707345)) + word;
        id += taken;
        length -= taken;
    }
    return mix(hash, UINT64_C(0xa4093822299f31d1));
}

void queue_index_free(struct queue_batch *batch) {
    if (batch->index)
        unforked_free(batch->index, ((size_t)batch->index_mask + 1) * sizeof(*batch->index));
    batch->index = NULL;
}

int queue_index_build(struct queue_batch *batch, uint32_t *ret_first, uint32_t *ret_second) {
    uint32_t size = 16;
    while (size < batch->n_tasks + batch->n_tasks / 2)
        size *= 2;
    uint32_t *index = unforked_grow(NULL, 0, size * sizeof(*index));
    if (!index)
        return -ENOMEM;
    queue_index_free(batch);
    batch->index = index;
    batch->index_mask = size - 1;
    for (uint32_t i = 0; i < batch->n_tasks; i++) {
        const uint64_t hash = batch->tasks[i].hash;
        uint32_t at = (uint32_t)hash & batch->index_mask;
        while (index[at] != 0) {
            if (batch->tasks[index[at] - 1].hash == hash) {
                *ret_first = index[at] - 1;
                *ret_second = i;
                return -EEXIST;
            }
            at = (at + 1) & batch->index_mask;
        }
        index[at] = i + 1;
    }
    return 0;
}

int queue_index_find_hash(const struct queue_batch *batch, uint64_t hash, uint32_t *ret) {
    if (!batch->index)
        return -ENOENT;
    for (uint32_t at = (uint32_t)hash & batch->index_mask; batch->index[at] != 0;
         at = (at + 1) & batch->index_mask)
        if (batch->tasks[batch->index[at] - 1].hash == hash) {
            *ret = batch->index[at] - 1;
            return 0;
        }
    return -ENOENT;
}

int queue_index_find(const struct queue_batch *batch, const char *id, size_t length,
                     uint32_t *ret) {
    return queue_index_find_hash(batch, queue_index_hash(batch->hash_seed, id, length), ret);
}
