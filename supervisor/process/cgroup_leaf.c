/* See cgroup_leaf.h. The memory.memsw limit stands a little above memory's, so that memory's own is
 * the one that is met: newer kernels do not count in memory.failcnt what memsw refused.
 */
#include "supervisor/process/cgroup_leaf.h"

#include "common/names.h"
#include "supervisor/memory/kernel_file.h"
#include "supervisor/process/cgroup_event.h"
#include "supervisor/process/cgroup_group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum {
    LEAF_SWAP_ROOM_BYTES = 1 << 20, /* more than the kernel charges ahead of need */
};

struct cgroup_leaf {
    enum cgroup_level_kind kind;
    char *folder; /* owned */
    int clone_fd, procs_fd;
    uint64_t limit_bytes;
    struct cgroup_tree *tree;
    int oom_fd;         /* v1: told of each shortage; -1: not */
    uint64_t oom_above; /* those of groups above until it began */
    bool is_counted;    /* the kernel tells: */
    struct cgroup_leaf_counters before;
};

/* ---- reading ---- */

int cgroup_leaf_count(enum cgroup_level_kind kind, const char *folder,
                      struct cgroup_leaf_counters *ret) {
    char text[KERNEL_FILE_BYTES];
    struct cgroup_leaf_counters counters;
    bool known;
    if (kind == CGROUP_LEVEL_V1)
        known = kernel_file_read_u64(folder, "memory.failcnt", &counters.oom) &&
                kernel_file_read(folder, "memory.oom_control", text, sizeof(text));
    else
        known = (kernel_file_read(folder, "memory.events.local", text, sizeof(text)) ||
                 kernel_file_read(folder, "memory.events", text, sizeof(text))) && /* before 5.2 */
                kernel_file_find_u64(text, "oom", &counters.oom);
    if (!known || !kernel_file_find_u64(text, "oom_kill", &counters.oom_kill))
        return -ENODATA;
    *ret = counters;
    return 0;
}

void cgroup_leaf_read(struct cgroup_leaf *leaf, struct cgroup_leaf_facts *ret) {
    struct cgroup_leaf_counters after;
    *ret = (struct cgroup_leaf_facts){.kind = CGROUP_LEVEL_NONE};
    if (!leaf->is_counted || cgroup_leaf_count(leaf->kind, leaf->folder, &after) < 0)
        return;
    if (leaf->oom_fd >= 0) {
        const uint64_t all = cgroup_event_take(leaf->oom_fd);
        const uint64_t above = cgroup_tree_oom(leaf->tree) - leaf->oom_above;
        after.oom = leaf->before.oom + (all > above ? all - above : 0);
    }
    *ret = (struct cgroup_leaf_facts){
        .kind = leaf->kind,
        .limit_bytes = leaf->limit_bytes,
        .before = leaf->before,
        .after = after,
    };
    (void)kernel_file_read_u64(
        leaf->folder, leaf->kind == CGROUP_LEVEL_V1 ? "memory.max_usage_in_bytes" : "memory.peak",
        &ret->peak_bytes);
}

int cgroup_leaf_measure(enum cgroup_level_kind kind, const char *folder,
                        struct cgroup_leaf_usage *ret) {
    char text[KERNEL_FILE_BYTES];
    struct cgroup_leaf_usage usage = {0};
    uint64_t shared = 0, files = 0;
    const bool is_v1 = kind == CGROUP_LEVEL_V1;
    if (!kernel_file_read(folder, "memory.stat", text, sizeof(text)) ||
        !kernel_file_find_u64(text, is_v1 ? "rss" : "anon", &usage.anonymous_bytes) ||
        !kernel_file_find_u64(text, is_v1 ? "cache" : "file", &files))
        return -ENODATA;
    (void)kernel_file_find_u64(text, "shmem", &shared); /* the kernel counts it with the files */
    if (shared > files)
        shared = files;
    if (usage.anonymous_bytes > UINT64_MAX - shared)
        return -ENODATA;
    usage.anonymous_bytes += shared;
    usage.file_bytes = files - shared;
    if (is_v1)
        (void)kernel_file_find_u64(text, "swap", &usage.swap_bytes);
    else
        (void)kernel_file_read_u64(folder, "memory.swap.current", &usage.swap_bytes);
    *ret = usage;
    return 0;
}

int cgroup_leaf_look(const struct cgroup_leaf *leaf, struct cgroup_leaf_usage *ret) {
    return cgroup_leaf_measure(leaf->kind, leaf->folder, ret);
}

/* ---- the limit ---- */

static int set_limit(const struct cgroup_leaf *leaf) {
    const bool is_v1 = leaf->kind == CGROUP_LEVEL_V1;
    int r = cgroup_group_write_number(leaf->folder, is_v1 ? "memory.limit_in_bytes" : "memory.max",
                                      leaf->limit_bytes);
    if (r < 0)
        return r;
    r = is_v1 ? cgroup_group_write_number(leaf->folder, "memory.memsw.limit_in_bytes",
                                          leaf->limit_bytes + LEAF_SWAP_ROOM_BYTES)
              : cgroup_group_write_number(leaf->folder, "memory.swap.max", 0);
    return r == -ENOENT ? 0 : r; /* this kernel does not count swap: no reason to do without */
}

int cgroup_leaf_open(struct cgroup_tree *tree, uint64_t limit_bytes, struct cgroup_leaf **ret,
                     struct failure *failure) {
    struct cgroup_leaf *leaf = calloc(1, sizeof(*leaf));
    if (!leaf)
        return failure_set_errno(failure, -ENOMEM, "no control group for a task");
    *leaf = (struct cgroup_leaf){
        .kind = cgroup_tree_kind(tree),
        .folder = names_format("%s/task-%" PRIu64, cgroup_tree_tasks(tree), cgroup_tree_next(tree)),
        .clone_fd = -1,
        .procs_fd = -1,
        .tree = tree,
        .oom_fd = -1,
        .oom_above = cgroup_tree_oom(tree),
        .limit_bytes = limit_bytes,
    };
    int r = leaf->folder ? 0 : -ENOMEM;
    if (r == 0 && mkdir(leaf->folder, 0755) < 0)
        r = -errno;
    if (r < 0) {
        r = failure_set_errno(failure, r, "no control group %s", leaf->folder ? leaf->folder : "");
        cgroup_leaf_close(leaf);
        return r;
    }
    if (leaf->kind == CGROUP_LEVEL_V1)
        leaf->oom_fd = cgroup_event_open(leaf->folder);
    leaf->is_counted = cgroup_leaf_count(leaf->kind, leaf->folder, &leaf->before) == 0;
    if (leaf->kind == CGROUP_LEVEL_V2) {
        (void)!cgroup_group_write(leaf->folder, "memory.oom.group", "1"); /* before 4.19: as v1 */
        leaf->clone_fd = open(leaf->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    CLEANUP_FREE char *procs = names_format("%s/cgroup.procs", leaf->folder);
    leaf->procs_fd = procs ? open(procs, O_WRONLY | O_CLOEXEC) : -1;
    if (limit_bytes > 0)
        r = set_limit(leaf);
    if (r < 0) {
        r = failure_set_errno(failure, r, "the control group %s takes no limit", leaf->folder);
        (void)!cgroup_leaf_remove(leaf); /* else it goes with the tree */
        cgroup_leaf_close(leaf);
        return r;
    }
    *ret = leaf;
    return 0;
}

int cgroup_leaf_clone_fd(const struct cgroup_leaf *leaf) { return leaf->clone_fd; }

int cgroup_leaf_procs_fd(const struct cgroup_leaf *leaf) { return leaf->procs_fd; }

void cgroup_leaf_entered(struct cgroup_leaf *leaf) {
    if (leaf->clone_fd >= 0)
        (void)close(STEAL_FD(leaf->clone_fd));
    if (leaf->procs_fd >= 0)
        (void)close(STEAL_FD(leaf->procs_fd));
}

/* ---- the end ---- */

int cgroup_leaf_kill(struct cgroup_leaf *leaf) { return cgroup_group_kill(leaf->folder); }

int cgroup_leaf_remove(struct cgroup_leaf *leaf) { return cgroup_group_remove(leaf->folder); }

void cgroup_leaf_close(struct cgroup_leaf *leaf) {
    if (!leaf)
        return;
    cgroup_leaf_entered(leaf);
    if (leaf->oom_fd >= 0)
        (void)close(leaf->oom_fd);
    free(leaf->folder);
    free(leaf);
}
