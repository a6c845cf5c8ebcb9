/* See watch.h. The pressure file of our own control group tells of a limit above our tasks that is
 * met; the machine's tells of everybody's stalls. */
#include "supervisor/memory/watch.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/names.h"
#include "supervisor/memory/machine.h"
#include "supervisor/process/proc_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WATCH_USUAL_MS = 250,
    WATCH_QUICK_MS = 50,
    WATCH_LITTLE = 4, /* times what the caller calls little */
};

/* 150 ms of any 2 s in which some task waited for memory. The kernel wants its NUL, too. */
static const char trigger[] = "some 150000 2000000";

struct watch {
    struct watch_place place;
    watch_cb look;
    void *context;
    uv_poll_t poll;
    uv_timer_t timer;
    int fd; /* negative: no stall events */
    int n_open;
    bool is_wanted;
    int64_t stall_ms;
    uint64_t pace_ms;
    char group[CGROUP_LIMITS_PATH_BYTES];
};

struct watch_place watch_here(const struct cgroup_level *level) {
    return (struct watch_place){
        .proc_root = MACHINE_PROC_ROOT,
        .cgroup_root = MACHINE_CGROUP_ROOT,
        .group = level->kind == CGROUP_LEVEL_V2 ? level->folder : "",
    };
}

/* ---- stall events ---- */

static int try_trigger(const char *path) {
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, trigger, sizeof(trigger)) < 0)
        return -errno;
    return STEAL_FD(fd);
}

/* A descriptor; negative errno of the machine's file, which every kernel with PSI has. */
static int open_trigger(const struct watch_place *place) {
    CLEANUP_FREE char *own = names_format("%s/memory.pressure", place->group);
    CLEANUP_FREE char *all = names_format("%s/pressure/memory", place->proc_root);
    if (!own || !all)
        return -ENOMEM;
    const int fd = place->group[0] ? try_trigger(own) : -ENOENT;
    return fd >= 0 ? fd : try_trigger(all);
}

bool watch_missing(const struct watch_place *place, char text[WATCH_TEXT_BYTES]) {
    CLEANUP_CLOSE int fd = open_trigger(place);
    text[0] = '\0';
    if (fd >= 0)
        return false;
    const char *why = strerror(-fd);
    if (fd == -ENOENT)
        why = "this kernel, or container, has none";
    if (fd == -EOPNOTSUPP)
        why = "switched off; start the kernel with psi=1";
    (void)snprintf(text, WATCH_TEXT_BYTES,
                   "no memory stall events (%.64s/pressure/memory: %.64s), so that only the memory "
                   "available is watched",
                   place->proc_root, why);
    return true;
}

static void on_stall(uv_poll_t *poll, int status, int events) {
    struct watch *watch = poll->data;
    (void)events;
    if (status < 0) { /* the group is gone: the timer is left */
        (void)uv_poll_stop(poll);
        return;
    }
    watch->stall_ms = clock_monotonic_ms();
    watch->look(watch->context);
}

/* ---- what is available ---- */

static void on_timer(uv_timer_t *timer) {
    struct watch *watch = timer->data;
    watch->look(watch->context);
}

static void set_pace(struct watch *watch, uint64_t pace_ms) {
    if (watch->is_wanted && watch->pace_ms != pace_ms)
        (void)uv_timer_start(&watch->timer, on_timer, pace_ms, pace_ms);
    watch->pace_ms = pace_ms;
}

bool watch_look(struct watch *watch, uint64_t little_bytes, struct watch_look *ret) {
    struct machine machine;
    struct failure failure;
    uint64_t total, available;
    if (machine_read(watch->place.proc_root, watch->place.cgroup_root, &machine, &failure) < 0 ||
        proc_read_memory(watch->place.proc_root, &total, &available) < 0)
        return false;
    *ret = (struct watch_look){
        .available_bytes = available,
        .total_bytes = total,
        .group = watch->group,
        .stall_ms = watch->stall_ms,
    };
    watch->group[0] = '\0';
    const struct cgroup_limits *group = &machine.cgroup;
    if (group->has_memory_limit && group->memory_room_bytes < available) {
        ret->available_bytes = group->memory_room_bytes;
        ret->total_bytes = group->memory_limit_bytes;
        memcpy(watch->group, group->memory_path, sizeof(watch->group));
    }
    const bool is_little = ret->available_bytes / WATCH_LITTLE < little_bytes;
    set_pace(watch, is_little ? WATCH_QUICK_MS : WATCH_USUAL_MS);
    return true;
}

/* ---- life ---- */

int watch_open(uv_loop_t *loop, const struct watch_place *place, watch_cb look, void *context,
               struct watch **ret) {
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    *watch = (struct watch){
        .place = *place, .look = look, .context = context, .fd = open_trigger(place)};
    (void)uv_timer_init(loop, &watch->timer); /* cannot fail */
    watch->timer.data = watch;
    watch->n_open = 1;
    /* a file that cannot be polled tells of nothing */
    if (watch->fd >= 0 && uv_poll_init(loop, &watch->poll, watch->fd) == 0) {
        watch->poll.data = watch;
        watch->n_open = 2;
    } else if (watch->fd >= 0) {
        (void)close(watch->fd); /* nothing was written that could be lost */
        watch->fd = -1;
    }
    *ret = watch;
    return 0;
}

void watch_want(struct watch *watch, bool is_wanted) {
    if (watch->is_wanted == is_wanted)
        return;
    watch->is_wanted = is_wanted;
    watch->pace_ms = 0;
    if (is_wanted)
        set_pace(watch, WATCH_USUAL_MS);
    else
        (void)uv_timer_stop(&watch->timer);
    if (watch->fd < 0)
        return;
    if (is_wanted)
        (void)uv_poll_start(&watch->poll, UV_PRIORITIZED, on_stall);
    else
        (void)uv_poll_stop(&watch->poll);
}

static void on_closed(uv_handle_t *handle) {
    struct watch *watch = handle->data;
    if (--watch->n_open > 0)
        return;
    if (watch->fd >= 0)
        (void)close(watch->fd); /* nothing was written that could be lost */
    free(watch);
}

void watch_close(struct watch *watch) {
    if (!watch)
        return;
    uv_close((uv_handle_t *)&watch->timer, on_closed);
    if (watch->fd >= 0)
        uv_close((uv_handle_t *)&watch->poll, on_closed);
}
