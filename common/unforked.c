/* See unforked.h. mremap keeps what madvise said. */
#include "common/unforked.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { UNFORKED_LEAST_BYTES = 256 << 10 };

static bool is_mapped(size_t bytes) { return bytes >= UNFORKED_LEAST_BYTES; }

static void *map(size_t bytes) {
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
    (void)madvise(block, bytes, MADV_DONTFORK); /* where it cannot be, children look larger */
    return block;
}

void *unforked_grow(void *old, size_t old_bytes, size_t bytes) {
    if (is_mapped(old_bytes)) {
        void *block = mremap(old, old_bytes, bytes, MREMAP_MAYMOVE);
        return block == MAP_FAILED ? NULL : block;
    }
    void *block = is_mapped(bytes) ? map(bytes) : calloc(1, bytes);
    if (!block)
        return NULL;
    if (old_bytes > 0)
        memcpy(block, old, old_bytes < bytes ? old_bytes : bytes);
    free(old);
    return block;
}

void unforked_free(void *block, size_t bytes) {
    if (is_mapped(bytes))
        (void)munmap(block, bytes); /* cannot fail */
    else
        free(block);
}
