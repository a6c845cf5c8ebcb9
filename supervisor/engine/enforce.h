/* How much memory the kernel lets an attempt have. Pure.
 *
 * What the manifest declares is the limit, until a task was seen to need more. A forecast is what a
 * task will most likely need, and a limit is there to keep a task that went wrong from the others,
 * so it stands with room above: a quarter, twice the forecast where little speaks for it, and at
 * least as much as libraries, page tables and buffers of the kernel take. Page cache is dropped
 * before anybody is killed, but whoever has no room for it reads the same rows from the disk over
 * and over: it gets three times what a turned image's rows take (tile_plan.c's KERNEL_BYTES), for
 * the kernel keeps half for what was read twice, and there are the results. Files in RAM (tmpfs)
 * count as memory of the task that writes them. A figure that is merely assumed is no limit.
 */
#ifndef SUPERVISOR_ENGINE_ENFORCE_H
#define SUPERVISOR_ENGINE_ENFORCE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ENFORCE_ROOM_DIVISOR = 4,
    ENFORCE_FEW_ATTEMPTS = 8, /* a history of fewer is little */
    ENFORCE_LEAST_ROOM_BYTES = 64 << 20,
    ENFORCE_CACHE_BYTES = 384 << 20,
    ENFORCE_LEAST_BYTES = 16 << 20, /* with less, a program may die before it is one */
};

struct enforce_facts {
    uint64_t declared_bytes;       /* by the manifest; 0: not */
    uint64_t reserved_bytes;       /* the forecast */
    bool is_assumed;               /* the forecast stands on nothing */
    bool is_uncertain;             /* it stands on little */
    uint64_t file_bytes;           /* what it reads and writes: page cache */
    uint64_t results_in_ram_bytes; /* what it writes to tmpfs */
};

/* 0: no limit. */
uint64_t enforce_limit(const struct enforce_facts *facts);

#endif
