/* What this kernel offers for fencing a process in. A kernel may be too old, built without it, or
 * hidden behind a container's filter: all the same to us. */
#ifndef COMMON_KERNEL_SUPPORT_H
#define COMMON_KERNEL_SUPPORT_H

#include <stdbool.h>

/* The version of Landlock's interface, from 1; 0: none. Source: landlock(7). */
int kernel_support_landlock(void);
/* Filters of system calls (seccomp(2)). */
bool kernel_support_seccomp(void);

/* What a worker's sandbox lacks here, as a sentence for a person; NULL: nothing. A constant. */
const char *kernel_support_missing(void);

#endif
