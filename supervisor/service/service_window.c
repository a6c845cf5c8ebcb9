/* What the engine sees of the queue: a window of each batch, filled as its tasks start. Which batch
 * comes first is the queue's word (fair share), asked anew after each start and end; the next
 * change by the clock alone (quiet hours, not before) has a timer. */
#include "supervisor/service/service_state.h"

#include "common/tmpfs.h"
#include "supervisor/memory/sizing.h"

#include <errno.h>
#include <string.h>

enum {
    WINDOW_TASKS = 64,      /* of a batch, that wait in the engine */
    WINDOW_LEAST_TASKS = 4, /* of each batch in line, however many others have */
    WINDOW_ALL_TASKS = 512,
    WINDOW_BATCHES = 64,         /* in line at once that may start something, */
    WINDOW_BATCHES_OF_USER = 16, /* and all in all of each user */
    WINDOW_BYTES = 64 << 20,     /* of the lines of tasks that wait in the engine */
    WINDOW_AGAIN_MS = 60 * 1000, /* until a batch that could not be begun is tried again */
    WINDOW_TURN = 256,           /* tasks looked at before others have the loop again */
    MACHINE_AGE_MS = 5000,
    TIMER_MOST_MS = 10 * 60 * 1000, /* clocks are set, machines sleep */
};

/* ---- limits ---- */

static uint64_t amount(const struct conf_amount *amount, uint64_t of) {
    return amount->share > 0 ? (uint64_t)(amount->share * (double)of) : amount->bytes;
}

uint64_t service_window_max_memory(const struct service *service) {
    const uint64_t total = service->machine.total_bytes;
    const struct conf_amount *most = &service->settings.conf->max_memory;
    return most->share > 0 && total == UINT64_MAX ? UINT64_MAX : amount(most, total);
}

/* What there is for tasks, were none running. */
static uint64_t available(struct service *service) {
    struct engine_view running[WINDOW_BATCHES];
    struct failure failure;
    const int64_t now_ms = clock_monotonic_ms();
    if (service->machine_ms != 0 && now_ms - service->machine_ms < MACHINE_AGE_MS)
        return service->machine.available_bytes;
    struct machine machine;
    if (machine_read(MACHINE_PROC_ROOT, MACHINE_CGROUP_ROOT, &machine, &failure) == 0) {
        const size_t n =
            service->engine ? engine_look(service->engine, running, WINDOW_BATCHES) : 0;
        for (size_t i = 0; i < n && i < WINDOW_BATCHES; i++)
            machine.available_bytes += running[i].memory_bytes;
        service->machine = machine;
    }
    service->machine_ms = now_ms;
    return service->machine.available_bytes;
}

static double quiet_share(const struct service *service) {
    const struct window_now now = window_look(&service->quiet, clock_wall_ms());
    return now.is_quiet && now.share > 0 ? now.share : 1;
}

void service_window_set_limits(struct service *service) {
    const struct conf *conf = service->settings.conf;
    const uint64_t there = available(service);
    const uint64_t reserve = amount(&conf->reserve, service->machine.total_bytes);
    const uint64_t most = there > reserve ? there - reserve : 0;
    uint64_t budget = amount(&conf->memory, there);
    if (budget == 0)
        budget = sizing_comfortable(there);
    if (budget > most)
        budget = most;
    const struct engine_limits limits = {
        .jobs = conf->jobs > 0 ? conf->jobs : service->machine.cores,
        .memory_bytes = (uint64_t)((double)budget * quiet_share(service)),
        .available_bytes = there,
    };
    const bool is_same = limits.jobs == service->limits.jobs &&
                         limits.memory_bytes == service->limits.memory_bytes &&
                         limits.available_bytes == service->limits.available_bytes;
    service->limits = limits;
    if (service->engine && !is_same)
        engine_set_limits(service->engine, &limits);
}

/* ---- batches ---- */

static void free_batch(struct service_batch *of) {
    if (of->line)
        engine_line_close(of->line);
    of->batch->engine_line = NULL;
    credentials_unref(of->credentials);
    free(of);
}

/* What the user did not ask for otherwise is the administrator's. */
static struct engine_line_settings settings_of(const struct service_batch *of) {
    const struct conf *conf = of->service->settings.conf;
    const struct options *options = &of->batch->options;
    const int jobs = options->jobs > 0 ? options->jobs : of->service->limits.jobs;
    const int at_once = of->batch->n_tasks < (uint32_t)jobs ? (int)of->batch->n_tasks : jobs;
    const int shared = of->service->machine.cores / (at_once > 0 ? at_once : 1);
    const int wanted = options->threads > 0 ? options->threads : conf->threads;
    const int64_t timeout_ms =
        options->timeout_ms != OPTIONS_DEFAULT_TIMEOUT_MS ? options->timeout_ms : conf->timeout_ms;
    uint64_t memory = options->memory_bytes;
    if (options->memory_share > 0)
        memory = (uint64_t)(options->memory_share * (double)of->service->machine.available_bytes);
    return (struct engine_line_settings){
        .out = of->batch->out,
        .batch = of->batch->name,
        .user = of->batch->user,
        .credentials = of->credentials,
        .timeout_ms = timeout_ms < conf->max_timeout_ms ? timeout_ms : conf->max_timeout_ms,
        .stall_timeout_ms = options->stall_timeout_ms != OPTIONS_DEFAULT_STALL_TIMEOUT_MS
                                ? options->stall_timeout_ms
                                : conf->stall_timeout_ms,
        .retries = options->retries != OPTIONS_DEFAULT_RETRIES ? options->retries : conf->retries,
        .threads = wanted > 0 ? wanted : (shared > 0 ? shared : 1),
        .cap_bytes = options->is_worker_memory_given ? options->worker_memory_bytes
                                                     : conf->worker_memory_bytes,
        .jobs = options->jobs,
        .memory_bytes = memory,
        .is_forced = options->force,
        .is_redo = options->redo,
        .context = (void *)of,
    };
}

static bool is_in_ram(const struct service_batch *of) {
    struct failure failure;
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    return as_user_enter(of->credentials, &as_user, &failure) == 0 && tmpfs_holds(of->batch->out);
}

static int open_batch(struct service *service, struct queue_batch *batch, struct failure *failure) {
    struct service_batch *of = calloc(1, sizeof(*of));
    if (!of)
        return failure_set_errno(failure, -ENOMEM, "cannot begin %s", batch->name);
    of->service = service;
    of->batch = batch;
    struct failure why;
    int r = service_credentials(service, batch->uid, &of->credentials, &why);
    if (r < 0) {
        free(of);
        return failure_set(failure, r, "batch %s does not start: %s", batch->name, why.text);
    }
    of->is_in_ram = is_in_ram(of);
    const struct engine_line_settings settings = settings_of(of);
    of->line = engine_line_open(service->engine, &settings);
    if (!of->line) {
        free_batch(of);
        return failure_set_errno(failure, -ENOMEM, "cannot begin %s", batch->name);
    }
    of->next = service->batches;
    service->batches = of;
    batch->engine_line = of;
    return 0;
}

void service_window_drop(struct service *service, struct queue_batch *batch) {
    struct service_batch *of = batch->engine_line;
    for (struct service_batch **slot = &service->batches; of && *slot; slot = &(*slot)->next)
        if (*slot == of) {
            *slot = of->next;
            free_batch(of);
            return;
        }
}

void service_window_close(struct service *service) {
    while (service->batches) {
        struct service_batch *of = service->batches;
        service->batches = of->next;
        of->line = NULL; /* went with the engine */
        free_batch(of);
    }
}

void service_window_reconfigure(struct service *service) {
    service->machine_ms = 0;
    service_window_set_limits(service); /* settings_of goes by them */
    for (struct service_batch *of = service->batches; of; of = of->next) {
        const struct engine_line_settings settings = settings_of(of);
        engine_line_change(of->line, &settings);
    }
}

/* ---- filling ---- */

static bool has_room(const struct service_batch *of) {
    const size_t waiting = engine_line_waiting(of->line);
    const bool is_crowded =
        of->service->n_taken >= WINDOW_ALL_TASKS || of->service->taken_bytes >= WINDOW_BYTES;
    if (waiting == 0)
        return true;
    return of->service->taken_bytes < 2 * WINDOW_BYTES &&
           (waiting < WINDOW_LEAST_TASKS || (waiting < WINDOW_TASKS && !is_crowded));
}

/* It is tried again with every turn. */
static void tell_once(struct service *service, const struct failure *failure) {
    if (strcmp(service->told.text, failure->text) == 0)
        return;
    service->told = *failure;
    journal_say(service->settings.journal, LOG_ERR, "%s", failure->text);
}

/* False: the batch has no more to give. */
static bool take_one(struct service_batch *of, size_t *n_added) {
    struct failure failure = {0};
    bool is_added = false;
    const int r = service_task_take(of, &is_added, &failure);
    *n_added += is_added;
    if (r < 0 && r != -ENOENT)
        tell_once(of->service, &failure);
    return r == 0;
}

/* How many of its user's the batches before it have in line. They mostly stand together. */
static size_t count_before(struct queue_batch *const *batches, const size_t *counts, size_t i) {
    for (size_t k = i; k-- > 0;)
        if (batches[k]->uid == batches[i]->uid)
            return counts[k];
    return 0;
}

/* It is looked at again by the clock: who comes next is not to wait for it. */
static void put_off(struct service *service, struct queue_batch *batch,
                    const struct failure *failure) {
    tell_once(service, failure);
    queue_set_obstacle(batch, failure->text, clock_wall_ms() + WINDOW_AGAIN_MS);
    service->is_moved = service->is_dirty = true;
}

/* Those that wait for something of their own (room on their disk) keep nobody's place. */
static size_t fill(struct service *service) {
    const size_t most = queue_count(service->queue) + 1;
    CLEANUP_FREE struct queue_batch **batches = calloc(most, sizeof(struct queue_batch *));
    CLEANUP_FREE size_t *counts = calloc(most, sizeof(*counts));
    size_t n_added = 0, n_looked = 0, n_open = 0;
    const size_t n =
        batches && counts ? queue_order(service->queue, clock_wall_ms(), batches, most) : 0;
    for (size_t i = 0; i < n && n_open < WINDOW_BATCHES; i++) {
        struct failure failure;
        counts[i] = count_before(batches, counts, i);
        if (counts[i] >= WINDOW_BATCHES_OF_USER)
            continue;
        if (!batches[i]->engine_line && open_batch(service, batches[i], &failure) < 0) {
            put_off(service, batches[i], &failure);
            continue;
        }
        struct service_batch *of = batches[i]->engine_line;
        counts[i]++;
        n_open += engine_line_may_start(of->line);
        engine_line_rank(of->line, (uint32_t)i);
        while (n_looked < WINDOW_TURN && has_room(of) && ++n_looked && take_one(of, &n_added))
            ;
    }
    service->is_dirty |= n_looked >= WINDOW_TURN;
    return n_added;
}

void service_window_rank(struct service *service) {
    const size_t most = queue_count(service->queue) + 1;
    CLEANUP_FREE struct queue_batch **batches = calloc(most, sizeof(struct queue_batch *));
    const size_t n = batches ? queue_order(service->queue, clock_wall_ms(), batches, most) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct service_batch *of = batches[i]->engine_line;
        if (of)
            engine_line_rank(of->line, (uint32_t)i);
    }
}

/* ---- the clock ---- */

static void on_timer(uv_timer_t *timer) {
    struct service *service = timer->data;
    service->is_dirty = service->is_moved = true;
    engine_go_on(service->engine);
}

/* The next moment at which the clock alone changes something for a batch that waits; 0: none. */
static int64_t look_at_holds(const struct service *service, int64_t now_ms) {
    int64_t next_ms = 0;
    for (size_t i = 0; i < queue_count(service->queue); i++) {
        const struct queue_batch *batch = queue_at(service->queue, i);
        const struct service_batch *of = batch->engine_line;
        if (batch->n_state[QUEUE_WAITING] == 0 && batch->n_state[QUEUE_TAKEN] == 0)
            continue;
        const struct queue_hold hold = queue_hold(service->queue, batch, now_ms);
        if (of)
            engine_line_hold(of->line, hold.is_held);
        if (hold.until_ms > now_ms && (next_ms == 0 || hold.until_ms < next_ms))
            next_ms = hold.until_ms;
    }
    return next_ms;
}

static void set_timer(struct service *service, int64_t now_ms) {
    const int64_t next_ms = service->next_ms;
    int64_t wait_ms = next_ms > now_ms ? next_ms - now_ms : 0;
    if (wait_ms > TIMER_MOST_MS)
        wait_ms = TIMER_MOST_MS;
    uv_update_time(service->settings.loop);
    if (service->is_dirty) /* there is more to look at, when others had their turn */
        (void)uv_timer_start(&service->timer, on_timer, 0, 0);
    else if (next_ms > 0)
        (void)uv_timer_start(&service->timer, on_timer, (uint64_t)wait_ms, 0);
    else
        (void)uv_timer_stop(&service->timer); /* none of them can fail */
}

bool service_window_refill(void *context) {
    struct service *service = context;
    if (!service->is_dirty || !service->is_started || service->level > 0)
        return false;
    service->is_dirty = false;
    const int64_t now_ms = clock_wall_ms();
    if (service->is_moved)
        service->next_ms = look_at_holds(service, now_ms);
    service->is_moved = false;
    service_window_set_limits(service);
    const size_t n_added = fill(service);
    set_timer(service, now_ms);
    return n_added > 0;
}
