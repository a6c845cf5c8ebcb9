/* What `registrar doctor` looks at, as the machine says it. Nothing is judged here. */
#ifndef SUPERVISOR_DOCTOR_FACTS_H
#define SUPERVISOR_DOCTOR_FACTS_H

#include "common/failure.h"
#include "supervisor/memory/space.h"
#include "supervisor/process/cgroup_level.h"

#include <stdint.h>

struct facts_place {
    const char *root;      /* "" is this machine: /proc, /sys, /run, /var are below it */
    const char *state_dir; /* absolute; need not exist */
};

struct facts {
    bool has_systemd, is_root;
    bool has_v2;               /* one hierarchy of control groups, and it has the */
    bool has_memory_groups;    /* memory controller */
    struct cgroup_level level; /* for this process */
    bool has_pressure;         /* PSI */
    int landlock;              /* version; negative errno */
    bool has_seccomp;
    bool has_journal, keeps_journal;
    int space_error; /* 0, or negative errno: */
    struct space space;
    uint64_t disk_bytes; /* all of it */
    const char *network; /* "NFS"; NULL: a disk of this machine. Static text */
    uint64_t memory_bytes, swap_bytes, swap_free_bytes;
    int overcommit;       /* vm.overcommit_memory */
    bool is_synchronised; /* the clock */
    int64_t now_s;
    uint64_t max_files;
    bool has_worker;
    bool lingers; /* a user's services live on without him */
    char user[64];
};

/* What cannot be read is false, 0 or negative. */
void facts_read(const struct facts_place *place, struct facts *ret);

#endif
