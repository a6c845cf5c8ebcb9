/* Large memory that children do not get.
 *
 * A child of fork begins with a copy of its parent's page tables, and the kernel's ru_maxrss of
 * whatever it executes is never below what was resident then (mm/exec: the high-water mark of the
 * old memory is kept). What only the parent reads is kept out of that: madvise(2), MADV_DONTFORK.
 * Small blocks come from malloc.
 */
#ifndef COMMON_UNFORKED_H
#define COMMON_UNFORKED_H

#include <stddef.h>

/* old of old_bytes (NULL and 0: none) with room for bytes, which are not fewer; what is new is
 * zero. NULL: out of memory, and old stays. Caller owns. */
void *unforked_grow(void *old, size_t old_bytes, size_t bytes);
void unforked_free(void *block, size_t bytes); /* NULL is fine */

#endif
