/* See consumers.h. Resident memory counts what processes share in each of them, so that a sum over
 * a program's processes is a little too large; the order is what matters here.
 */
#include "supervisor/memory/consumers.h"

#include "common/cleanup.h"
#include "common/names.h"
#include "common/units.h"
#include "supervisor/memory/kernel_file.h"
#include "supervisor/process/proc_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NAME_BYTES = 32,  /* the kernel's have 15 */
    MOST_NAMES = 512, /* beyond, a small one is missed */
    LEAST_SHARE = 100,
    MOST_TOLD = 3,
};

struct consumer {
    char name[NAME_BYTES];
    uint64_t bytes;
};

struct census {
    const char *proc_root;
    const char *group; /* as /proc/PID/cgroup has it */
    const pid_t *ours;
    size_t n_ours;
    struct consumer *items;
    size_t count;
    uint64_t total_bytes;
};

static bool is_ours(const struct census *census, pid_t pid, pid_t session) {
    for (size_t i = 0; i < census->n_ours; i++)
        if (session == census->ours[i] || pid == census->ours[i])
            return true;
    return pid == getpid();
}

/* The path below the hierarchy's root. */
static const char *without_mount(const char *group) {
    static const char *const mounts[] = {"/memory/", "/unified/"};
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
        if (strncmp(group, mounts[i], strlen(mounts[i])) == 0)
            return group + strlen(mounts[i]) - 1;
    return group;
}

static bool is_in_group(const struct census *census, const char *folder) {
    char text[KERNEL_FILE_BYTES];
    const size_t length = strlen(census->group);
    if (length == 0)
        return true;
    if (!kernel_file_read(folder, "cgroup", text, sizeof(text)))
        return false;
    for (const char *at = text; (at = strstr(at, census->group)); at++)
        if (at > text && at[-1] == ':' && (at[length] == '\n' || at[length] == '/'))
            return true;
    return false;
}

/* What a terminal would not take is left out of a name. */
static void clean(const char *text, char name[NAME_BYTES]) {
    size_t length = 0;
    for (; *text && *text != '\n' && length < NAME_BYTES - 1; text++)
        if (*text > ' ' && *text < 0x7f)
            name[length++] = *text;
    name[length] = '\0';
}

static void add(struct census *census, const char *name, uint64_t bytes) {
    size_t i = 0;
    while (i < census->count && strcmp(census->items[i].name, name) != 0)
        i++;
    if (i == MOST_NAMES)
        return;
    if (i == census->count) {
        memcpy(census->items[i].name, name, NAME_BYTES);
        census->count++;
    }
    census->items[i].bytes += bytes;
}

static int count(void *context, pid_t pid) {
    struct census *census = context;
    struct proc_read_stat stat;
    uint64_t bytes = 0;
    char text[64], name[NAME_BYTES] = "";
    if (proc_read_stat(census->proc_root, pid, &stat) < 0 ||
        proc_read_resident(census->proc_root, pid, &bytes) < 0 || bytes == 0)
        return 0; /* gone, or the kernel's own */
    CLEANUP_FREE char *folder = names_format("%s/%d", census->proc_root, (int)pid);
    if (!folder || !is_in_group(census, folder))
        return 0;
    census->total_bytes += bytes;
    if (is_ours(census, pid, stat.session) || !kernel_file_read(folder, "comm", text, sizeof(text)))
        return 0;
    clean(text, name);
    if (name[0])
        add(census, name, bytes);
    return 0;
}

static int larger_first(const void *a, const void *b) {
    const struct consumer *left = a, *right = b;
    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return strcmp(left->name, right->name);
}

void consumers_describe(const char *proc_root, const char *group, const pid_t *ours, size_t n_ours,
                        char ret[CONSUMERS_TEXT_BYTES]) {
    CLEANUP_FREE struct consumer *items = calloc(MOST_NAMES, sizeof(*items));
    struct census census = {.proc_root = proc_root,
                            .group = without_mount(group),
                            .ours = ours,
                            .n_ours = n_ours,
                            .items = items};
    size_t used = 0;
    ret[0] = '\0';
    if (!items || proc_read_all(proc_root, count, &census) < 0)
        return;
    if (census.count > 1)
        qsort(items, census.count, sizeof(*items), larger_first);
    for (size_t i = 0; i < census.count && i < MOST_TOLD; i++) {
        char bytes[UNITS_TEXT_BYTES];
        if (items[i].bytes < census.total_bytes / LEAST_SHARE)
            break;
        used +=
            (size_t)snprintf(ret + used, CONSUMERS_TEXT_BYTES - used, "%s%s %s", i > 0 ? ", " : "",
                             items[i].name, units_format_size(items[i].bytes, bytes));
    }
}
