/* Arithmetic on sizes that come from files. Each returns false on overflow and then leaves the
 * result alone, so a hostile header can never turn into a small allocation. */
#ifndef COMMON_CHECKED_H
#define COMMON_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *ret) {
    uint64_t result;
    if (__builtin_mul_overflow(a, b, &result))
        return false;
    *ret = result;
    return true;
}

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *ret) {
    uint64_t result;
    if (__builtin_add_overflow(a, b, &result))
        return false;
    *ret = result;
    return true;
}

#endif
