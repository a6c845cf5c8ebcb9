/* See verdict_memory.h. Pure. */
#include "supervisor/engine/verdict_memory.h"

#include "common/units.h"

/* A userspace killer (earlyoom, systemd-oomd) acts when about a tenth of the memory is left. */
enum { VERDICT_MEMORY_LOW_DIVISOR = 10 };

uint64_t verdict_memory_victims(const struct verdict_facts *facts) {
    const struct verdict_cgroup *cgroup = &facts->cgroup;
    return cgroup->level && cgroup->oom_kill_after > cgroup->oom_kill_before
               ? cgroup->oom_kill_after - cgroup->oom_kill_before
               : 0;
}

bool verdict_memory_at_limit(const struct verdict_facts *facts) {
    const struct verdict_cgroup *cgroup = &facts->cgroup;
    return cgroup->limit_bytes > 0 && cgroup->oom_after > cgroup->oom_before;
}

void verdict_memory_describe(const struct verdict_facts *facts, const char *whom, char *text,
                             size_t size) {
    char limit[UNITS_TEXT_BYTES];
    (void)units_format_size(facts->cgroup.limit_bytes, limit);
    if (verdict_memory_at_limit(facts))
        (void)snprintf(text, size, "the kernel killed %s at its memory limit of %s", whom, limit);
    else
        (void)snprintf(text, size,
                       "the kernel killed %s because the machine, or a control group above, ran "
                       "out of memory",
                       whom);
}

bool verdict_memory_is_likely(const struct verdict_facts *facts, char *why, size_t size) {
    char available[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES];
    (void)units_format_size(facts->memory_available_bytes, available);
    (void)units_format_size(facts->peak_rss_bytes, peak);
    const bool has_group = facts->cgroup.level != NULL;
    if (verdict_memory_victims(facts) > 0) { /* not this death, but one of its processes */
        verdict_memory_describe(facts, "a process of it", why, size);
        return true;
    }
    if (!has_group && facts->oom_counter_known &&
        facts->oom_kills_after > facts->oom_kills_before) {
        (void)snprintf(why, size,
                       "the kernel's out-of-memory killer struck %llu time(s) while it ran, and it "
                       "had %s",
                       (unsigned long long)(facts->oom_kills_after - facts->oom_kills_before),
                       peak);
        return true;
    }
    /* What it held came back with its death, so at its death that much less was available. */
    uint64_t low = facts->memory_total_bytes / VERDICT_MEMORY_LOW_DIVISOR;
    if (facts->memory_total_bytes > 0 &&
        facts->memory_available_bytes < facts->peak_rss_bytes + low) {
        (void)snprintf(why, size,
                       "memory was short (%s available afterwards, it had %s): perhaps earlyoom or "
                       "systemd-oomd",
                       available, peak);
        return true;
    }
    if (has_group)
        (void)snprintf(why, size,
                       "the kernel counts no out-of-memory kill in its control group and %s were "
                       "available",
                       available);
    else if (facts->oom_counter_known)
        (void)snprintf(why, size,
                       "the kernel's out-of-memory counter did not move and %s were available",
                       available);
    else
        (void)snprintf(why, size,
                       "%s were available; this kernel does not count its "
                       "out-of-memory kills",
                       available);
    return false;
}
