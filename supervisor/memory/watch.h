/* Watches memory while something runs: the kernel's stall events where it has them (PSI), and what
 * is available, on a timer that is quick only when little is. Tells its caller to look; what to do
 * about it is pressure.h's. Nobody is woken while nothing is wanted.
 *
 * Source: Documentation/accounting/psi.rst of the kernel. Without privileges a trigger's window is
 * a multiple of 2 s.
 */
#ifndef SUPERVISOR_MEMORY_WATCH_H
#define SUPERVISOR_MEMORY_WATCH_H

#include "common/failure.h"
#include "supervisor/process/cgroup_level.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Where the kernel tells of memory; tests have their own. */
struct watch_place {
    const char *proc_root, *cgroup_root;
    const char
        *group; /* folder of the v2 group that we were given: its pressure, if it tells; "" */
};

/* This machine. Borrows level. */
struct watch_place watch_here(const struct cgroup_level *level);

struct watch;

typedef void (*watch_cb)(void *context);

/* Owns a uv_poll and a timer on the loop. Never fails for lack of PSI: watch_missing tells.
 * Borrows place's strings. -ENOMEM. */
MUST_USE int watch_open(uv_loop_t *loop, const struct watch_place *place, watch_cb look,
                        void *context, struct watch **ret);
/* Closes the handles; the memory goes with the loop's last turn. NULL is fine. */
void watch_close(struct watch *watch);
/* Whether to watch at all. */
void watch_want(struct watch *watch, bool is_wanted);

struct watch_look {
    uint64_t available_bytes; /* the least of the machine's and our control group's */
    uint64_t total_bytes;     /* of the same */
    const char *group;        /* whose memory that is, as cgroup_limits.h tells its path; "": the
                                 machine's. Borrowed until the next look */
    int64_t stall_ms;         /* when stalls were last told of, on the monotonic clock; 0: never */
};

/* False when the kernel does not tell: nothing can be said then. Below little_bytes the next look
 * is soon. */
bool watch_look(struct watch *watch, uint64_t little_bytes, struct watch_look *ret);

enum { WATCH_TEXT_BYTES = 256 };

/* Why stall events cannot be had at this place, as a clause; false: they can. Changes nothing. */
bool watch_missing(const struct watch_place *place, char text[WATCH_TEXT_BYTES]);

#endif
