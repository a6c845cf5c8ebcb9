/* See preflight_advice.h. Each remedy is a line that begins with what to type or do, and it is
 * offered only when it is enough on its own. */
#include "supervisor/memory/preflight_advice.h"

#include "common/names.h"
#include "common/units.h"

#include <errno.h>
#include <inttypes.h>

enum { MEMORY_STEP_BYTES = 100 << 20 };

struct advice {
    const struct options *options;
    const struct sizing *sizing;
    struct preflight *preflight;
    uint64_t target_bytes; /* a warning ends at the comfortable part, a refusal at the limit */
};

/* Takes line. */
static int add(char ***list, char *line) {
    CLEANUP_FREE char *owned = line;
    return owned ? names_append(list, owned) : -ENOMEM;
}

/* "2 x 480 MiB = 960 MiB of 1.1 GiB". Caller owns. */
static char *describe(const struct advice *advice, int jobs, uint64_t cap_bytes) {
    struct sizing sizing = *advice->sizing;
    sizing.cap_bytes = cap_bytes;
    const int threads = sizing_threads(&sizing, jobs);
    const uint64_t needed = sizing_needed(&sizing, jobs, threads);
    const uint64_t workers = needed - sizing.results_bytes;
    char each[UNITS_TEXT_BYTES], all[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES];
    (void)units_format_size(needed, all);
    (void)units_format_size(advice->preflight->memory_limit_bytes, limit);
    const bool is_plain = sizing.results_bytes == 0 && advice->preflight->is_uniform;
    if (!is_plain)
        return names_format("would need %s of %s", all, limit);
    return names_format("would fit: %d x %s = %s of %s", jobs,
                        units_format_size(workers / (uint64_t)jobs, each), all, limit);
}

static int advise_jobs(const struct advice *advice, int *ret_jobs) {
    const int jobs =
        sizing_jobs_within(advice->sizing, advice->preflight->at_once, advice->target_bytes);
    *ret_jobs = jobs;
    if (jobs == 0)
        return 0;
    CLEANUP_FREE char *need = describe(advice, jobs, advice->sizing->cap_bytes);
    return add(&advice->preflight->memory_advice,
               need ? names_format("--jobs %d %s", jobs, need) : NULL);
}

static int advise_cap(const struct advice *advice, int jobs) {
    const uint64_t cap = sizing_cap_within(advice->sizing, jobs, advice->target_bytes);
    if (cap == 0)
        return 0;
    CLEANUP_FREE char *need = describe(advice, jobs, cap);
    const unsigned long long mib = cap >> 20;
    if (!need)
        return -ENOMEM;
    return add(&advice->preflight->memory_advice,
               jobs == advice->preflight->at_once
                   ? names_format("--worker-memory %lluM %s", mib, need)
                   : names_format("--jobs %d --worker-memory %lluM %s", jobs, mib, need));
}

/* The limit is the user's own and there is more. */
static int advise_memory(const struct advice *advice) {
    const struct preflight *preflight = advice->preflight;
    const uint64_t available = preflight->machine.available_bytes;
    char text[UNITS_TEXT_BYTES];
    if (preflight->memory_limit_bytes >= available || preflight->memory_needed_bytes > available)
        return 0;
    /* rounded up, and so that the need is comfortable */
    const uint64_t steps = preflight->memory_needed_bytes / 4 * 5 / MEMORY_STEP_BYTES + 1;
    if (steps > available / MEMORY_STEP_BYTES)
        return 0;
    return add(&advice->preflight->memory_advice,
               names_format("--memory %" PRIu64 "M would fit: %s are available",
                            steps * (MEMORY_STEP_BYTES >> 20), units_format_size(available, text)));
}

/* Nothing that can be typed, but what can be done. */
static int advise_machine(const struct advice *advice) {
    const struct preflight *preflight = advice->preflight;
    const struct machine *machine = &preflight->machine;
    const uint64_t available = machine->available_bytes;
    const uint64_t wanted = preflight->memory_level == PREFLIGHT_REFUSED
                                ? preflight->memory_needed_bytes
                                : preflight->memory_needed_bytes / 4 * 5;
    char more[UNITS_TEXT_BYTES], all[UNITS_TEXT_BYTES];
    if (wanted <= available)
        return 0;
    (void)units_format_size(wanted - available, more);
    if (wanted > machine->total_bytes)
        return add(&advice->preflight->memory_advice,
                   names_format("a machine with more memory: this one has %s in all",
                                units_format_size(machine->total_bytes, all)));
    if (machine->is_cgroup_bound)
        return add(&advice->preflight->memory_advice,
                   names_format("raise the limit of the control group %s (%s) by %s",
                                machine->cgroup.memory_path[0] ? machine->cgroup.memory_path : "/",
                                units_format_size(machine->cgroup.memory_limit_bytes, all), more));
    return add(&advice->preflight->memory_advice,
               names_format("close other programs until %s more are available", more));
}

static int advise_results_in_ram(const struct advice *advice) {
    const struct preflight *preflight = advice->preflight;
    char text[UNITS_TEXT_BYTES];
    if (!preflight->space.is_ram ||
        preflight->memory_needed_bytes - advice->sizing->results_bytes > advice->target_bytes)
        return 0;
    return add(&advice->preflight->memory_advice,
               names_format("-o with a folder on a disk: %s is in RAM, and so would be %s of "
                            "results",
                            preflight->space.existing,
                            units_format_size(preflight->disk_needed_bytes, text)));
}

static int advise_on_memory(const struct advice *advice) {
    int jobs = 0;
    int r = advise_results_in_ram(advice);
    if (r == 0)
        r = advise_jobs(advice, &jobs);
    if (r == 0)
        r = advise_cap(advice, advice->preflight->at_once);
    /* all at once do not fit however small; one alone may */
    if (r == 0 && jobs == 0 && advice->preflight->at_once > 1 &&
        sizing_cap_within(advice->sizing, advice->preflight->at_once, advice->target_bytes) == 0)
        r = advise_cap(advice, 1);
    if (r == 0)
        r = advise_memory(advice);
    return r < 0 ? r : advise_machine(advice);
}

static int advise_on_disk(const struct advice *advice) {
    struct preflight *preflight = advice->preflight;
    const uint64_t need = preflight->disk_needed_bytes, room = preflight->disk_free_bytes;
    char text[UNITS_TEXT_BYTES];
    const bool is_refused = preflight->disk_level == PREFLIGHT_REFUSED;
    const uint64_t wanted = is_refused ? need : need / 4 * 5;
    int r = add(&preflight->disk_advice,
                preflight->space.is_ram
                    ? names_format("free %s in %s, which is RAM and no disk (tmpfs), or make it "
                                   "larger (mount -o remount,size=...)",
                                   units_format_size(wanted > room ? wanted - room : 0, text),
                                   preflight->space.existing)
                    : names_format("free %s on the disk of %s",
                                   units_format_size(wanted > room ? wanted - room : 0, text),
                                   preflight->space.existing));
    if (r == 0)
        r = add(&preflight->disk_advice, names_format("-o with a folder on a%s disk",
                                                      preflight->space.is_ram ? "" : " larger"));
    if (r == 0 && preflight->n_wanted > 1)
        r = add(&preflight->disk_advice,
                advice->options->manifest
                    ? names_format("a shorter manifest: do a part of the tasks at a time")
                    : names_format("--samples A,B to do a part of the tasks at a time"));
    return r;
}

int preflight_advice_fill(const struct options *options, const struct sizing *sizing,
                          struct preflight *preflight, struct failure *failure) {
    const struct advice advice = {
        .options = options,
        .sizing = sizing,
        .preflight = preflight,
        .target_bytes = preflight->memory_level == PREFLIGHT_REFUSED
                            ? preflight->memory_limit_bytes
                            : sizing_comfortable(preflight->memory_limit_bytes),
    };
    int r = 0;
    if (preflight->memory_level != PREFLIGHT_OK)
        r = advise_on_memory(&advice);
    if (r == 0 && preflight->disk_level != PREFLIGHT_OK)
        r = advise_on_disk(&advice);
    return r < 0 ? failure_set(failure, r, "out of memory") : 0;
}
