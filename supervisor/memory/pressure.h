/* What to do when memory runs short, before the kernel picks a victim. Pure.
 *
 * Short is when little is available (the machine's MemAvailable, or what our control group leaves:
 * whoever took it), or when the kernel tells of stalls (PSI) and not much is available. Stalls
 * alone are no shortage: a task that meets its own limit by reading files stalls too. First nothing
 * new is admitted; then the youngest that keeps its progress is stopped; a command, which would
 * start anew, only when next to nothing is left, and so the last that runs, and that not for ever:
 * if it needs it all by itself, stopping it again and again helps nobody.
 *
 * It does not flap: admission is resumed when twice as much is available as made it stop, and has
 * been for a while, and after each stop there is time for the memory to come back.
 */
#ifndef SUPERVISOR_MEMORY_PRESSURE_H
#define SUPERVISOR_MEMORY_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PRESSURE_STALL_MS = 2500,  /* so long an event counts; while it lasts, one comes every 2 s */
    PRESSURE_CALM_MS = 3000,   /* not short for so long: admission is resumed */
    PRESSURE_EMPTY_MS = 10000, /* likewise when nothing of ours runs and half as much is there */
    PRESSURE_PAUSE_MS = 2000,  /* between two stops */
    PRESSURE_MOST_STOPS = 3,   /* of the last one that runs */
};

/* What is available below which something is done. */
struct pressure_marks {
    uint64_t hold_bytes;     /* nothing new is admitted */
    uint64_t stop_bytes;     /* one that runs is stopped */
    uint64_t critical_bytes; /* commands too, and the last */
};

/* By what was available when the run began. */
struct pressure_marks pressure_marks(uint64_t available_bytes);

struct pressure_task {
    int64_t age_ms;
    bool keeps_progress; /* stops at a checkpoint */
    bool is_stopping;
    int stops; /* how often it was stopped for memory */
};

struct pressure_facts {
    int64_t now_ms;
    uint64_t available_bytes;
    int64_t stall_ms;                  /* when the kernel last told of stalls; 0: never */
    const struct pressure_task *tasks; /* that run; borrowed */
    size_t n_tasks;
};

/* All zero at first. */
struct pressure_state {
    bool is_held;
    int64_t held_ms;  /* since when */
    int64_t short_ms; /* when it was last short */
    int64_t stop_ms;  /* when one was last stopped; 0: never */
};

enum pressure_action {
    PRESSURE_GO_ON,
    PRESSURE_HOLD,
    PRESSURE_STOP, /* tasks[task]; look again, in a while */
    PRESSURE_RESUME,
    PRESSURE_COUNT
};

struct pressure_step {
    enum pressure_action action;
    size_t task;
    struct pressure_state next;
};

struct pressure_step pressure_decide(const struct pressure_state *state,
                                     const struct pressure_marks *marks,
                                     const struct pressure_facts *facts);

#endif
