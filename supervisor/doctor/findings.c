/* See findings.h. A warning is something that makes nights worse and that can be changed; what is
 * merely so is told as ok. */
#include "supervisor/doctor/findings.h"

#include "common/names.h"
#include "common/tmpfs.h"
#include "common/units.h"

#include <stdarg.h>
#include <string.h>

enum { LEAST_FILES = 4096 };

static const uint64_t least_disk_bytes = 1ULL << 30;
static const int64_t earliest_s = 1750000000; /* June 2025: before this program was written */

__attribute__((format(printf, 3, 4))) static void ok(struct findings *all, const char *name,
                                                     const char *format, ...) {
    struct finding *finding = &all->items[all->count++];
    va_list arguments;
    va_start(arguments, format);
    *finding = (struct finding){.name = name, .is_ok = true};
    (void)vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
    names_drop_half(finding->text);
}

__attribute__((format(printf, 4, 5))) static void warn(struct findings *all, const char *name,
                                                       const char *fix, const char *format, ...) {
    struct finding *finding = &all->items[all->count++];
    va_list arguments;
    va_start(arguments, format);
    *finding = (struct finding){.name = name};
    (void)vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
    names_drop_half(finding->text);
    (void)snprintf(finding->fix, sizeof(finding->fix), "%s", fix);
    all->n_warnings++;
}

static void groups(const struct facts *facts, struct findings *all) {
    static const char name[] = "control groups";
    if (!facts->has_memory_groups)
        warn(all, name,
             "add cgroup_enable=memory systemd.unified_cgroup_hierarchy=1 to the kernel's command "
             "line (/etc/default/grub, update-grub) and reboot; in a container, ask its host",
             "the kernel has no control groups for memory here, so tasks have no limit of their "
             "own and an out-of-memory kill is told by likelihood alone");
    else if (facts->has_v2)
        ok(all, name, "version 2, with the memory controller");
    else
        ok(all, name, "version 1, with the memory controller; limits work, version 2 tells more");
}

/* The level text is of the place where the command was typed, which the service's own is not. */
static void delegation(const struct facts *facts, struct findings *all) {
    static const char name[] = "delegation";
    if (facts->level.kind != CGROUP_LEVEL_NONE)
        ok(all, name, "here, %s", facts->level.text);
    else if (facts->has_memory_groups && facts->has_systemd && facts->has_v2)
        ok(all, name, "the service's unit has it (Delegate=yes); for a run from this shell: %s",
           facts->level.text);
    else if (facts->has_memory_groups)
        warn(all, name, "start registrar in a control group that it may divide", "%s",
             facts->level.text);
}

static void pressure(const struct facts *facts, struct findings *all) {
    static const char name[] = "memory pressure";
    if (facts->has_pressure)
        ok(all, name, "the kernel tells of stalls (PSI)");
    else
        warn(all, name, "add psi=1 to the kernel's command line and reboot",
             "the kernel does not tell of stalls (PSI), so a shortage of memory is seen later");
}

static void sandbox(const struct facts *facts, struct findings *all) {
    if (facts->landlock > 0)
        ok(all, "landlock", "version %d", facts->landlock);
    else
        warn(all, "landlock",
             "use Linux 5.13 or later, with landlock in lsm= on the kernel's command line",
             "the kernel offers none; workers can open every file of their user");
    if (facts->has_seccomp)
        ok(all, "seccomp", "filters can be set");
    else
        warn(all, "seccomp", "use a kernel with CONFIG_SECCOMP_FILTER",
             "the kernel has no filters of system calls; workers are less confined");
}

static void journal(const struct facts *facts, struct findings *all) {
    static const char name[] = "journal";
    if (!facts->has_systemd)
        ok(all, name, "no systemd here; the daemon's messages go to its stderr");
    else if (!facts->has_journal)
        warn(all, name, "systemctl start systemd-journald", "systemd's journal does not run");
    else if (!facts->keeps_journal)
        warn(all, name, "mkdir /var/log/journal && systemctl restart systemd-journald",
             "messages are gone after a reboot; the ledger is not");
    else
        ok(all, name, "kept over reboots");
}

static void disk(const struct facts *facts, struct findings *all) {
    static const char name[] = "state folder";
    char free[UNITS_TEXT_BYTES], whole[UNITS_TEXT_BYTES];
    const char *path = facts->space.existing;
    if (facts->space_error < 0) {
        warn(all, name, "give a --state-dir that can be made", "it cannot be looked at: %s",
             strerror(-facts->space_error));
        return;
    }
    (void)units_format_size(facts->space.free_bytes, free);
    (void)units_format_size(facts->disk_bytes, whole);
    if (facts->network)
        warn(all, name, "give a --state-dir on a disk of this machine",
             "%s is on %s, where neither locks nor appending promise what the ledger needs", path,
             facts->network);
    else if (facts->space.is_ram)
        warn(all, name, "give a --state-dir on a disk",
             "%s is in memory: the queue is gone after a reboot", path);
    else if (facts->space.free_bytes < least_disk_bytes)
        warn(all, name, "make room there", "%s has %s free of %s", path, free, whole);
    else
        ok(all, name, "%s has %s free of %s", path, free, whole);
}

static void memory(const struct facts *facts, struct findings *all) {
    char used[UNITS_TEXT_BYTES], whole[UNITS_TEXT_BYTES];
    const uint64_t used_bytes = facts->swap_bytes - facts->swap_free_bytes;
    (void)units_format_size(used_bytes, used);
    (void)units_format_size(facts->swap_bytes, whole);
    if (facts->swap_bytes == 0)
        ok(all, "swap", "none: what does not fit into memory is refused or killed, never slow");
    else if (used_bytes > facts->swap_bytes / 2)
        warn(all, "swap", "see what uses it (top, sorted by SWAP), and end that",
             "%s of %s are in use: the machine is short of memory already", used, whole);
    else
        ok(all, "swap", "%s of %s in use", used, whole);
    if (facts->overcommit == 2)
        warn(all, "overcommit", "sysctl vm.overcommit_memory=0",
             "the kernel promises no more memory than it has (vm.overcommit_memory=2); programs "
             "that ask for more than they use fail");
}

static void clock_is_right(const struct facts *facts, struct findings *all) {
    static const char name[] = "clock";
    if (facts->now_s < earliest_s)
        warn(all, name, "timedatectl set-ntp true, or set it by hand",
             "it is years behind; times in the ledger will be wrong");
    else if (!facts->is_synchronised)
        warn(all, name, "timedatectl set-ntp true (systemd-timesyncd or chrony)",
             "nothing keeps it right; quiet hours and the ledger's times go by it");
    else
        ok(all, name, "kept right by a time server");
}

static void rest(const struct facts *facts, struct findings *all) {
    if (facts->max_files < LEAST_FILES)
        warn(all, "open files", "raise it: LimitNOFILE= in the unit, or limits.conf(5)",
             "at most %llu, and each task takes three", (unsigned long long)facts->max_files);
    else
        ok(all, "open files", "at most %llu", (unsigned long long)facts->max_files);
    if (facts->has_worker)
        ok(all, "worker", "registrar-worker is there");
    else
        warn(all, "worker", "make install, or put it beside registrar",
             "registrar-worker is not found; commands can be run, images not aligned");
    if (facts->has_systemd && !facts->is_root) {
        if (facts->lingers)
            ok(all, "lingering", "your services go on when you log out");
        else
            warn(all, "lingering", "loginctl enable-linger",
                 "your own service ends when you log out; the system's does not");
    }
}

void findings_make(const struct facts *facts, struct findings *ret) {
    ret->count = ret->n_warnings = 0;
    groups(facts, ret);
    delegation(facts, ret);
    pressure(facts, ret);
    sandbox(facts, ret);
    journal(facts, ret);
    disk(facts, ret);
    memory(facts, ret);
    clock_is_right(facts, ret);
    rest(facts, ret);
}
