/* Ctrl-C and its kin, counted: once is a request, twice an order (contract: exit status 4).
 *
 * SIGHUP is a request however often it comes: a closed terminal sends it more than once. Where it
 * was ignored from the start (nohup) it stays ignored.
 */
#ifndef SUPERVISOR_ENGINE_INTERRUPT_H
#define SUPERVISOR_ENGINE_INTERRUPT_H

#include "common/failure.h"

#include <uv.h>

enum { INTERRUPT_WHO_BYTES = 64, INTERRUPT_SIGNALS = 3 };

/* level: 1 once, 2 twice, ... ; who: "ada (Ctrl-C)". */
typedef void (*interrupt_cb)(void *context, int level, const char *who);

struct interrupt {
    uv_signal_t signals[INTERRUPT_SIGNALS];
    int open; /* how many */
    int level;
    char who[INTERRUPT_WHO_BYTES];
    interrupt_cb changed;
    void *context;
};

/* Borrows context. The struct must outlive the loop's last turn. */
MUST_USE int interrupt_open(uv_loop_t *loop, struct interrupt *ret, interrupt_cb changed,
                            void *context, struct failure *failure);
/* Closes the handles; the default actions are back once libuv has let go. */
void interrupt_close(struct interrupt *interrupt);

#endif
