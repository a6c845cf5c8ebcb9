/* See cgroup_tree.h. The order matters on v2: processes out, then the controller on; and at the end
 * the controller off, then the processes in again ("no internal processes", cgroups(7)).
 *
 * The tasks together get a little less than the groups above allow. Were they to fill those groups,
 * we would be short of memory too, and once the kernel has killed the task there may be nobody left
 * but us when we ask for a page and the dead one's have not come back yet (seen with Linux 6.1, of
 * v1 and of v2). */
#include "supervisor/process/cgroup_tree.h"

#include "common/names.h"
#include "supervisor/memory/kernel_file.h"
#include "supervisor/process/cgroup_event.h"
#include "supervisor/process/cgroup_group.h"
#include "supervisor/process/proc_read.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum {
    TREE_CLEAR_MS = 3000,
    TREE_OWN_SHARE = 16, /* of the limits above stays ours: no more than admission leaves free */
    TREE_OWN_BYTES = 32 << 20, /* at most: twice what the supervisor takes */
};

#define TREE_NO_LIMIT (UINT64_C(1) << 62) /* v1 says "none" by a number near 2^63 */

static const char prefix[] = "registrar-";

struct cgroup_tree {
    enum cgroup_level_kind kind;
    char *given;      /* owned: the folder of the group that we were started in */
    char *folder;     /* owned: of our own */
    char *tasks;      /* owned: the leaves' place; on v1 folder again */
    char *supervisor; /* owned: where we are, on v2; NULL: where we were */
    bool enabled;     /* we passed on the memory controller of the given group */
    uint64_t count;
    int oom_fd; /* v1; -1: this kernel does not tell */
    uint64_t oom;
    uint64_t above_bytes; /* the limit above that ours was last taken from; 0: none yet */
};

enum cgroup_level_kind cgroup_tree_kind(const struct cgroup_tree *tree) { return tree->kind; }

const char *cgroup_tree_folder(const struct cgroup_tree *tree) { return tree->folder; }

const char *cgroup_tree_tasks(const struct cgroup_tree *tree) { return tree->tasks; }

uint64_t cgroup_tree_oom(struct cgroup_tree *tree) {
    if (tree->oom_fd >= 0)
        tree->oom += cgroup_event_take(tree->oom_fd);
    return tree->oom;
}

/* ---- our part ---- */

static uint64_t less_our_part(uint64_t limit) {
    const uint64_t part = limit / TREE_OWN_SHARE;
    return limit > TREE_NO_LIMIT ? limit : limit - (part < TREE_OWN_BYTES ? part : TREE_OWN_BYTES);
}

/* Whether the limits above are others than they were. */
static bool has_changed(struct cgroup_tree *tree, uint64_t memory) {
    if (memory == tree->above_bytes || (tree->above_bytes == 0 && memory > TREE_NO_LIMIT))
        return false;
    tree->above_bytes = memory;
    return true;
}

/* A limit that cannot be set leaves the one above, as if nothing had been tried. */
static void keep_our_part_v1(struct cgroup_tree *tree) {
    static const char memory_name[] = "memory.limit_in_bytes";
    static const char swap_name[] = "memory.memsw.limit_in_bytes";
    char text[KERNEL_FILE_BYTES];
    uint64_t memory, swap = TREE_NO_LIMIT;
    if (!kernel_file_read(tree->given, "memory.stat", text, sizeof(text)) ||
        !kernel_file_find_u64(text, "hierarchical_memory_limit", &memory) ||
        !has_changed(tree, memory))
        return;
    const bool counts_swap = kernel_file_find_u64(text, "hierarchical_memsw_limit", &swap);
    /* the kernel wants memory's below the other at every step, whether they rise or fall */
    if (counts_swap)
        (void)!cgroup_group_write_number(tree->tasks, swap_name, less_our_part(swap));
    (void)!cgroup_group_write_number(tree->tasks, memory_name, less_our_part(memory));
    if (counts_swap)
        (void)!cgroup_group_write_number(tree->tasks, swap_name, less_our_part(swap));
}

/* The least of the group that we were given and of those above it, which v2 does not tell in one
 * place. The hierarchy's root has no such file, nor has what its file system is mounted on. */
static uint64_t least_above(const struct cgroup_tree *tree) {
    static const char name[] = "memory.max";
    CLEANUP_FREE char *folder = strdup(tree->given);
    uint64_t least = UINT64_MAX, limit;
    char text[KERNEL_FILE_BYTES];
    while (folder && kernel_file_read(folder, name, text, sizeof(text))) {
        if (kernel_file_read_u64(folder, name, &limit) && limit < least)
            least = limit;
        char *slash = strrchr(folder, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    return least;
}

static void keep_our_part_v2(struct cgroup_tree *tree) {
    static const char name[] = "memory.max";
    const uint64_t memory = least_above(tree);
    if (!has_changed(tree, memory))
        return;
    if (memory > TREE_NO_LIMIT)
        (void)!cgroup_group_write(tree->tasks, name, "max");
    else
        (void)!cgroup_group_write_number(tree->tasks, name, less_our_part(memory));
}

uint64_t cgroup_tree_next(struct cgroup_tree *tree) {
    if (tree->kind == CGROUP_LEVEL_V1) /* the limits above may have been changed */
        keep_our_part_v1(tree);
    else
        keep_our_part_v2(tree);
    return ++tree->count;
}

/* ---- opening and closing ---- */

static int move_self(const char *folder) {
    return cgroup_group_write(folder, "cgroup.procs", "0"); /* the writer's whole process */
}

static bool passes_memory_on(const char *folder) {
    char text[KERNEL_FILE_BYTES];
    if (!kernel_file_read(folder, "cgroup.subtree_control", text, sizeof(text)))
        return false;
    char *rest = text;
    for (const char *word = strsep(&rest, " \n"); word; word = strsep(&rest, " \n"))
        if (strcmp(word, "memory") == 0)
            return true;
    return false;
}

static int divide(struct cgroup_tree *tree, bool is_root) {
    int r = 0;
    if (!is_root) {
        CLEANUP_FREE char *supervisor = names_format("%s/supervisor", tree->folder);
        if (!supervisor)
            return -ENOMEM;
        if (mkdir(supervisor, 0755) < 0)
            return -errno;
        r = move_self(supervisor);
        if (r < 0)
            return r;
        tree->supervisor = STEAL_PTR(supervisor);
    }
    if (!passes_memory_on(tree->given)) {
        r = cgroup_group_write(tree->given, "cgroup.subtree_control", "+memory");
        /* what the root passes on others may have come to count on: that stays */
        tree->enabled = r == 0 && !is_root;
    }
    if (r == 0)
        r = cgroup_group_write(tree->folder, "cgroup.subtree_control", "+memory");
    if (r == 0 && mkdir(tree->tasks, 0755) < 0)
        r = -errno;
    return r < 0 ? r : cgroup_group_write(tree->tasks, "cgroup.subtree_control", "+memory");
}

int cgroup_tree_open(const struct cgroup_level *level, const char *ledger_id,
                     struct cgroup_tree **ret, struct failure *failure) {
    struct proc_read_stat self = {0};
    /* without /proc the ticks are 0, and a later start takes no such pid for alive */
    (void)!proc_read_stat(PROC_READ_ROOT, getpid(), &self);
    struct cgroup_tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return failure_set_errno(failure, -ENOMEM, "no control group for the tasks");
    tree->kind = level->kind;
    tree->oom_fd = -1;
    tree->given = strdup(level->folder);
    tree->folder = names_format("%s/%s%s-%d-%" PRIu64, level->folder, prefix, ledger_id,
                                (int)getpid(), self.start_ticks);
    tree->tasks = level->kind == CGROUP_LEVEL_V2 && tree->folder
                      ? names_format("%s/tasks", tree->folder)
                      : names_format("%s", tree->folder ? tree->folder : "");
    int r = tree->given && tree->folder && tree->tasks ? 0 : -ENOMEM;
    if (r == 0 && mkdir(tree->folder, 0755) < 0)
        r = -errno;
    if (r < 0) {
        r = failure_set_errno(failure, r, "no control group for the tasks can be made in %s",
                              level->folder);
        free(STEAL_PTR(tree->folder)); /* not ours to remove */
    } else if (level->kind == CGROUP_LEVEL_V2) {
        r = divide(tree, level->is_root);
        if (r < 0)
            r = failure_set_errno(failure, r, "the control group %s cannot be divided",
                                  level->folder);
    } else {
        /* Where somebody switched the killer off, a task at its limit would hang. Leaves inherit
         * it; a kernel that refuses has it on. */
        (void)!cgroup_group_write(tree->folder, "memory.oom_control", "0");
        tree->oom_fd = cgroup_event_open(tree->folder);
    }
    if (r < 0) {
        cgroup_tree_close(tree);
        return r;
    }
    *ret = tree;
    return 0;
}

/* The tasks' groups first: while one of them passes the controller on, none above can do without.
 * Whatever cannot be done here the next start finds again by its name; what holds ourselves is
 * never ended. */
void cgroup_tree_close(struct cgroup_tree *tree) {
    if (!tree)
        return;
    int killed = 0;
    bool is_left = true; /* by us */
    if (tree->oom_fd >= 0)
        (void)close(tree->oom_fd);
    if (tree->folder)
        (void)!cgroup_group_clear(tree->tasks, TREE_CLEAR_MS, &killed);
    if (tree->supervisor) {
        (void)!cgroup_group_write(tree->folder, "cgroup.subtree_control", "-memory");
        if (tree->enabled)
            (void)!cgroup_group_write(tree->given, "cgroup.subtree_control", "-memory");
        is_left = move_self(tree->given) == 0;
    }
    if (tree->folder && is_left)
        (void)!cgroup_group_clear(tree->folder, TREE_CLEAR_MS, &killed);
    free(tree->given);
    free(tree->folder);
    free(tree->tasks);
    free(tree->supervisor);
    free(tree);
}

/* ---- what the dead left ---- */

/* "registrar-<ledger id>-<pid>-<ticks>" of a process that is no more? */
static bool is_leftover(const char *name, const char *ledger_id) {
    const size_t length = strlen(ledger_id);
    int pid, used = 0;
    uint64_t ticks;
    struct proc_read_stat stat;
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        return false;
    name += sizeof(prefix) - 1;
    if (strncmp(name, ledger_id, length) != 0 ||
        sscanf(name + length, "-%d-%" SCNu64 "%n", &pid, &ticks, &used) != 2 ||
        name[length + (size_t)used] != '\0')
        return false;
    return proc_read_stat(PROC_READ_ROOT, pid, &stat) < 0 || stat.start_ticks != ticks;
}

static void close_folder(DIR **folder) {
    if (*folder)
        (void)closedir(*folder); /* it was only read */
}

int cgroup_tree_clear_leftovers(const struct cgroup_level *level, const char *recorded,
                                const char *ledger_id) {
    int killed = 0;
    const char *slash = recorded ? strrchr(recorded, '/') : NULL;
    if (slash && is_leftover(slash + 1, ledger_id))
        (void)!cgroup_group_clear(recorded, TREE_CLEAR_MS, &killed); /* a later start tries again */
    CLEANUP(close_folder) DIR *given = level->folder[0] ? opendir(level->folder) : NULL;
    const struct dirent *entry = NULL;
    while (given && (entry = readdir(given))) {
        if (!is_leftover(entry->d_name, ledger_id))
            continue;
        CLEANUP_FREE char *folder = names_format("%s/%s", level->folder, entry->d_name);
        if (folder)
            (void)!cgroup_group_clear(folder, TREE_CLEAR_MS, &killed);
    }
    return killed;
}
