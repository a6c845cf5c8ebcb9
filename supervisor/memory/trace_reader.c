/* See trace_reader.h. A process that is gone is dropped at the first read that says so. Children
 * stand with the thread that made them, so each thread is asked.
 */
#include "supervisor/memory/trace_reader.h"

#include "common/checked.h"
#include "supervisor/memory/kernel_file.h"
#include "supervisor/process/proc_read.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { TRACE_READER_PATH_BYTES = 512 };

struct trace_process {
    pid_t pid;
    int fd; /* statm, owned */
};

struct pages {
    uint64_t resident, shared;
};

void trace_reader_init(struct trace_reader *reader, const char *root, pid_t leader,
                       bool has_children) {
    *reader = (struct trace_reader){.root = root, .leader = leader, .has_children = has_children};
}

void trace_reader_close(struct trace_reader *reader) {
    for (size_t i = 0; i < reader->count; i++)
        (void)close(reader->processes[i].fd); /* it was only read */
    free(reader->processes);
    *reader = (struct trace_reader){0};
}

/* A root as long as that is nobody's: what is cut off cannot be opened. Returns path. */
static const char *path_of(const struct trace_reader *reader, pid_t pid, const char *name,
                           char path[TRACE_READER_PATH_BYTES]) {
    (void)snprintf(path, TRACE_READER_PATH_BYTES, "%s/%d/%s", reader->root, (int)pid, name);
    return path;
}

/* A number of a "name: 12 kB" file, in bytes. */
static bool find_bytes(const char *text, const char *key, uint64_t *ret) {
    uint64_t kib = 0;
    return kernel_file_find_u64(text, key, &kib) && checked_mul_u64(kib, 1024, ret);
}

/* ---- who ---- */

static bool is_known(const struct trace_reader *reader, pid_t pid) {
    for (size_t i = 0; i < reader->count; i++)
        if (reader->processes[i].pid == pid)
            return true;
    return false;
}

/* What cannot be opened has ended meanwhile, or there is no descriptor for it: left out. */
static void add(struct trace_reader *reader, pid_t pid) {
    if (is_known(reader, pid) || reader->count >= TRACE_READER_PROCESSES)
        return;
    if (reader->count == reader->room) {
        const size_t room = reader->room ? 4 * reader->room : 1;
        struct trace_process *grown = realloc(reader->processes, room * sizeof(*reader->processes));
        if (!grown)
            return;
        reader->processes = grown;
        reader->room = room;
    }
    char path[TRACE_READER_PATH_BYTES];
    const int fd = open(path_of(reader, pid, "statm", path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    reader->processes[reader->count++] = (struct trace_process){pid, fd};
    reader->n_changes++;
}

static void drop(struct trace_reader *reader, size_t i) {
    (void)close(reader->processes[i].fd); /* it was only read */
    reader->n_changes++;
    reader->count--;
    memmove(&reader->processes[i], &reader->processes[i + 1],
            (reader->count - i) * sizeof(*reader->processes));
}

static int add_child(void *context, pid_t pid) {
    add(context, pid);
    return 0;
}

static int add_children(void *context, pid_t thread) {
    const struct trace_reader *reader = context;
    (void)!proc_read_children(reader->root, thread, add_child, context); /* it has just ended */
    return 0;
}

static uint64_t read_swap(const struct trace_reader *reader, pid_t pid) {
    char path[TRACE_READER_PATH_BYTES], text[KERNEL_FILE_BYTES];
    uint64_t bytes = 0;
    return kernel_file_read(path_of(reader, pid, "", path), "status", text, sizeof(text)) &&
                   find_bytes(text, "VmSwap:", &bytes)
               ? bytes
               : 0;
}

/* The list grows while it is walked: children of children are in it when their turn comes. What
 * cannot be read has ended, or this kernel does not list children: the leader is counted then. */
static void look_around(struct trace_reader *reader) {
    add(reader, reader->leader);
    for (size_t i = 0; reader->has_children && i < reader->count; i++) {
        char path[TRACE_READER_PATH_BYTES];
        (void)!proc_read_all(path_of(reader, reader->processes[i].pid, "task", path), add_children,
                             reader);
    }
    reader->swap_bytes = 0;
    for (size_t i = 0; i < reader->count; i++)
        (void)checked_add_u64(reader->swap_bytes, read_swap(reader, reader->processes[i].pid),
                              &reader->swap_bytes); /* nonsense is left out */
}

/* ---- how much ---- */

/* Leaves *at behind the number and the space after it. */
static bool take_number(const char **at, uint64_t *ret) {
    char *end = NULL;
    if (!isdigit((unsigned char)**at))
        return false; /* strtoull would take "-1" */
    errno = 0;
    *ret = strtoull(*at, &end, 10);
    if (errno != 0 || *end != ' ')
        return false;
    *at = end + 1;
    return true;
}

/* "size resident shared text lib data dt", in pages. */
static int read_statm(int fd, struct pages *ret) {
    char text[128];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return n < 0 ? -errno : -ESRCH;
    text[n] = '\0';
    uint64_t size = 0;
    struct pages pages = {0};
    const char *at = text;
    if (!take_number(&at, &size) || !take_number(&at, &pages.resident) ||
        !take_number(&at, &pages.shared))
        return -EPROTO;
    /* the kernel's counters are no snapshot */
    pages.shared = pages.shared < pages.resident ? pages.shared : pages.resident;
    *ret = pages;
    return 0;
}

int trace_reader_read(struct trace_reader *reader, bool is_thorough, struct trace_sample *ret) {
    struct pages sum = {0};
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int code = -ESRCH;
    if (is_thorough)
        look_around(reader);
    else if (reader->count == 0) /* not found at the first look, or no descriptor was left */
        add(reader, reader->leader);
    for (size_t i = 0; i < reader->count;) {
        struct pages pages = {0};
        const int r = read_statm(reader->processes[i].fd, &pages);
        if (r == -EPROTO)
            code = r;
        if (r < 0) {
            drop(reader, i);
            continue;
        }
        if (!checked_add_u64(sum.resident, pages.resident, &sum.resident))
            return -EPROTO;
        sum.shared += pages.shared; /* never more than resident */
        i++;
    }
    struct trace_sample sample = {.at_us = ret->at_us, .swap_bytes = reader->swap_bytes};
    if (sum.resident == 0)
        return code;
    if (!checked_mul_u64(sum.resident, page, &sample.resident_bytes))
        return -EPROTO;
    sample.file_bytes = sum.shared * page;
    sample.anonymous_bytes = sample.resident_bytes - sample.file_bytes;
    *ret = sample;
    return 0;
}

int trace_reader_surplus(const struct trace_reader *reader, uint64_t *ret_bytes) {
    uint64_t resident = 0, proportional = 0;
    for (size_t i = 0; i < reader->count; i++) {
        char path[TRACE_READER_PATH_BYTES], text[KERNEL_FILE_BYTES];
        uint64_t rss = 0, pss = 0;
        if (!kernel_file_read(path_of(reader, reader->processes[i].pid, "", path), "smaps_rollup",
                              text, sizeof(text)) ||
            !find_bytes(text, "Rss:", &rss) || !find_bytes(text, "Pss:", &pss))
            continue; /* it has just ended, or is not ours to look at */
        if (!checked_add_u64(resident, rss, &resident) ||
            !checked_add_u64(proportional, pss, &proportional))
            return -ENODATA;
    }
    if (resident == 0 || proportional > resident)
        return -ENODATA;
    *ret_bytes = resident - proportional;
    return 0;
}
