/* What this process may still do with files, from here on: Landlock.
 *
 * Descriptors that are open stay open; everything that is opened later is looked at. Source:
 * landlock(7), Documentation/userspace-api/landlock.rst of the kernel.
 */
#ifndef WORKER_SANDBOX_LANDLOCK_H
#define WORKER_SANDBOX_LANDLOCK_H

#include "common/failure.h"

#include <stddef.h>

enum { LANDLOCK_KNOWS_LINKS = 2 /* the version from which on links between folders are a right */ };

struct landlock_paths {
    const char *const *inputs; /* files to read; one that is not there is left out */
    size_t n_inputs;
    const char *output; /* a folder to read and write below; NULL: none */
    const char *shared; /* another one; NULL: none */
};

/* Besides the paths: what libc and the libraries read (themselves, /proc/self, /sys about the
 * machine), /dev/null and its like. TCP, abstract Unix sockets and signals to others end too, where
 * the kernel's version knows of them. Holds for this thread and those that it starts: enter while
 * there is one. Where a link leads is decided here, once. Needs no_new_privs. -ENOSYS: this kernel
 * has none. */
MUST_USE int landlock_enter(const struct landlock_paths *paths, struct failure *failure);

#endif
