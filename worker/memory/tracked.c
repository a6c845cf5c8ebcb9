/* The tracked allocator; see tracked.h.
 *
 * Each buffer is preceded by one 64-byte head that knows its size and label, so freeing needs no
 * table. Big buffers are mapped: their pages are zero without being touched, and go back to the
 * kernel the moment they are freed, so RSS follows the tracked total. Small ones come from calloc,
 * where a page fault per page would cost more than it saves.
 */
#include "worker/memory/tracked.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

/* A mapped buffer has no red zones: under ASan everything comes from calloc. */
#if defined(__SANITIZE_ADDRESS__)
static const size_t map_from_bytes = SIZE_MAX;
#else
static const size_t map_from_bytes = 1 << 20;
#endif

enum { ALIGNMENT = 64, CLEAR_RISE_BYTES = 4 << 20, CLEAR_RISE_PARTS = 20 };

struct head {
    size_t bytes;        /* of the caller's part: what is counted */
    void *block;         /* what calloc or mmap gave */
    size_t mapped_bytes; /* 0: from calloc */
    size_t label;
};
_Static_assert(sizeof(struct head) <= ALIGNMENT, "the head must fit before the buffer");

static struct {
    pthread_mutex_t mutex;
    const char *stage;
    uint64_t budget_bytes;
    uint64_t now_bytes;
    uint64_t stage_peak_bytes;
    const char *labels[TRACKED_MAX_LABELS]; /* the last one takes all that find no place */
    size_t n_labels;
    uint64_t label_bytes[TRACKED_MAX_LABELS];
    uint64_t peak_bytes;
    const char *peak_stage;
    uint64_t peak_label_bytes[TRACKED_MAX_LABELS];
    tracked_rose_cb rose;
    void *context;
    uint64_t told_bytes; /* the high-water mark when rose was called */
} tracked = {.mutex = PTHREAD_MUTEX_INITIALIZER, .stage = "start", .peak_stage = "start"};

/* What is to be called because of it, or NULL. */
static tracked_rose_cb see_rise(void) {
    uint64_t told_bytes = tracked.told_bytes;
    if (!tracked.rose || tracked.peak_bytes < told_bytes + CLEAR_RISE_BYTES ||
        tracked.peak_bytes < told_bytes + told_bytes / CLEAR_RISE_PARTS)
        return NULL;
    tracked.told_bytes = tracked.peak_bytes;
    return tracked.rose;
}

static size_t find_label(const char *label) {
    for (size_t i = 0; i < tracked.n_labels; i++) {
        if (strcmp(tracked.labels[i], label) == 0)
            return i;
    }
    if (tracked.n_labels == TRACKED_MAX_LABELS) {
        tracked.labels[TRACKED_MAX_LABELS - 1] = "other";
        return TRACKED_MAX_LABELS - 1;
    }
    tracked.labels[tracked.n_labels] = label;
    return tracked.n_labels++;
}

/* Counts the bytes before they are asked for, so that threads cannot pass the budget together. */
static bool reserve(size_t bytes, const char *label, size_t *ret_label) {
    (void)pthread_mutex_lock(&tracked.mutex); /* a plain mutex does not fail */
    tracked_rose_cb rose = NULL;
    bool fits = !tracked.budget_bytes || (bytes <= tracked.budget_bytes &&
                                          tracked.now_bytes <= tracked.budget_bytes - bytes);
    if (fits) {
        size_t index = find_label(label);
        tracked.now_bytes += bytes;
        tracked.label_bytes[index] += bytes;
        if (tracked.now_bytes > tracked.stage_peak_bytes)
            tracked.stage_peak_bytes = tracked.now_bytes;
        if (tracked.now_bytes > tracked.peak_bytes) {
            tracked.peak_bytes = tracked.now_bytes;
            tracked.peak_stage = tracked.stage;
            memcpy(tracked.peak_label_bytes, tracked.label_bytes, sizeof(tracked.label_bytes));
            rose = see_rise();
        }
        *ret_label = index;
    }
    void *context = tracked.context;
    (void)pthread_mutex_unlock(&tracked.mutex);
    if (rose)
        rose(context);
    return fits;
}

static void give_back(size_t bytes, size_t label) {
    (void)pthread_mutex_lock(&tracked.mutex);
    tracked.now_bytes -= bytes;
    tracked.label_bytes[label] -= bytes;
    (void)pthread_mutex_unlock(&tracked.mutex);
}

static struct head *head_of(void *buffer) {
    return (struct head *)(void *)((char *)buffer - ALIGNMENT);
}

/* Room for the head, the buffer and its alignment; NULL when the machine has no more. */
static void *acquire(size_t bytes) {
    size_t with_head = bytes + 2 * ALIGNMENT;
    bool map = bytes >= map_from_bytes;
    char *block =
        map ? mmap(NULL, with_head, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            : calloc(1, with_head);
    if (!block || block == MAP_FAILED)
        return NULL;
    char *buffer = block + ALIGNMENT + (ALIGNMENT - (uintptr_t)block % ALIGNMENT) % ALIGNMENT;
    *head_of(buffer) =
        (struct head){.bytes = bytes, .block = block, .mapped_bytes = map ? with_head : 0};
    return buffer;
}

void *tracked_alloc(size_t count, size_t size, const char *label) {
    size_t bytes = 0, index = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - 2 * ALIGNMENT)
        return NULL;
    if (!reserve(bytes, label, &index))
        return NULL;
    void *buffer = acquire(bytes);
    if (!buffer) {
        give_back(bytes, index);
        return NULL;
    }
    head_of(buffer)->label = index;
    return buffer;
}

void tracked_free(void *buffer) {
    if (!buffer)
        return;
    struct head head = *head_of(buffer);
    if (head.mapped_bytes)
        (void)munmap(head.block, head.mapped_bytes); /* fails only for a range that is not ours */
    else
        free(head.block);
    give_back(head.bytes, head.label);
}

void tracked_set_budget(uint64_t bytes) {
    (void)pthread_mutex_lock(&tracked.mutex);
    tracked.budget_bytes = bytes;
    (void)pthread_mutex_unlock(&tracked.mutex);
}

void tracked_set_stage(const char *stage) {
    (void)pthread_mutex_lock(&tracked.mutex);
    tracked.stage = stage;
    (void)pthread_mutex_unlock(&tracked.mutex);
}

uint64_t tracked_budget(void) {
    (void)pthread_mutex_lock(&tracked.mutex);
    uint64_t bytes = tracked.budget_bytes;
    (void)pthread_mutex_unlock(&tracked.mutex);
    return bytes;
}

uint64_t tracked_now(void) {
    (void)pthread_mutex_lock(&tracked.mutex);
    uint64_t bytes = tracked.now_bytes;
    (void)pthread_mutex_unlock(&tracked.mutex);
    return bytes;
}

void tracked_get_peak(struct tracked_peak *ret) {
    struct tracked_peak peak = {0};
    (void)pthread_mutex_lock(&tracked.mutex);
    peak.bytes = tracked.peak_bytes;
    peak.stage = tracked.peak_stage;
    for (size_t i = 0; i < tracked.n_labels; i++) {
        uint64_t bytes = tracked.peak_label_bytes[i];
        if (!bytes)
            continue;
        size_t at = peak.n_buffers++;
        for (; at > 0 && peak.buffers[at - 1].bytes < bytes; at--)
            peak.buffers[at] = peak.buffers[at - 1];
        peak.buffers[at].label = tracked.labels[i];
        peak.buffers[at].bytes = bytes;
    }
    (void)pthread_mutex_unlock(&tracked.mutex);
    *ret = peak;
}

void tracked_watch(tracked_rose_cb rose, void *context) {
    (void)pthread_mutex_lock(&tracked.mutex);
    tracked.rose = rose;
    tracked.context = context;
    tracked.told_bytes = 0;
    (void)pthread_mutex_unlock(&tracked.mutex);
}

uint64_t tracked_take_stage_peak(void) {
    (void)pthread_mutex_lock(&tracked.mutex);
    uint64_t bytes = tracked.stage_peak_bytes;
    tracked.stage_peak_bytes = tracked.now_bytes;
    (void)pthread_mutex_unlock(&tracked.mutex);
    return bytes;
}
