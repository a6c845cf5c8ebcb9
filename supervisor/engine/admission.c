/* See admission.h. Sorting happens once and after a retry; picking walks the sorted list, which is
 * short work even for thousands of tasks. */
#include "supervisor/engine/admission.h"

#include <stdlib.h>

static int prefer(const void *a, const void *b) {
    const struct admission_candidate *left = a, *right = b;
    if (left->tries != right->tries)
        return left->tries < right->tries ? -1 : 1;
    if (left->memory_bytes != right->memory_bytes)
        return left->memory_bytes > right->memory_bytes ? -1 : 1;
    return left->task < right->task ? -1 : left->task > right->task;
}

void admission_sort(struct admission_candidate *candidates, size_t count) {
    if (count > 1)
        qsort(candidates, count, sizeof(*candidates), prefer);
}

ptrdiff_t admission_pick(const struct admission_candidate *candidates, size_t count,
                         const struct admission_room *room) {
    if (room->running >= room->jobs || count == 0)
        return -1;
    if (room->running == 0 || room->budget_bytes == 0)
        return 0;
    if (room->reserved_bytes > room->budget_bytes)
        return -1; /* a task above the budget runs, by force: alone */
    uint64_t left = room->budget_bytes - room->reserved_bytes;
    for (size_t i = 0; i < count; i++)
        if (candidates[i].memory_bytes <= left)
            return (ptrdiff_t)i;
    return -1;
}
