/* See proc_read.h. Small files are read whole into the stack; the environment, which may be large,
 * is walked in pieces.
 */
#include "supervisor/process/proc_read.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

enum {
    PROC_READ_PATH_BYTES = 512,
    PROC_READ_SMALL_BYTES = 4096,
    PROC_READ_VMSTAT_BYTES = 32 * 1024,
    PROC_READ_STAT_START_FIELD = 22,
};

static int open_file(const char *root, const char *name) {
    char path[PROC_READ_PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/%s", root, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_of(const char *root, pid_t pid, const char *file) {
    char name[64];
    (void)snprintf(name, sizeof(name), "%d/%s", (int)pid, file);
    return open_file(root, name);
}

static ssize_t read_some(int fd, char *text, size_t size) {
    ssize_t n;
    do {
        n = read(fd, text, size);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Reads up to size - 1 bytes and terminates them. */
static int read_text(int fd, char *text, size_t size) {
    size_t used = 0;
    for (;;) {
        ssize_t n = read_some(fd, text + used, size - 1 - used);
        if (n < 0)
            return (int)n;
        if (n == 0 || used + (size_t)n == size - 1) {
            text[used + (size_t)n] = '\0';
            return 0;
        }
        used += (size_t)n;
    }
}

/* Leaves *at behind the number. */
static bool take_number(const char **at, uint64_t *ret) {
    char *end;
    if (!isdigit((unsigned char)**at))
        return false;
    errno = 0;
    *ret = strtoull(*at, &end, 10);
    *at = end;
    return errno == 0;
}

/* "pid (name) S ppid pgrp session ...": the name may hold anything, so count from its last ')'. */
static int parse_stat(const char *text, struct proc_read_stat *ret) {
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2] || at[3] != ' ')
        return -EPROTO;
    struct proc_read_stat stat = {.state = at[2]};
    uint64_t number;
    at += 3;
    for (int field = 4; field <= PROC_READ_STAT_START_FIELD; field++) {
        while (*at == ' ' || *at == '-')
            at++;
        if (!take_number(&at, &number))
            return -EPROTO;
        if (field == 4)
            stat.parent = (pid_t)number;
        else if (field == 6)
            stat.session = (pid_t)number;
        else if (field == PROC_READ_STAT_START_FIELD)
            stat.start_ticks = number;
    }
    *ret = stat;
    return 0;
}

int proc_read_stat(const char *root, pid_t pid, struct proc_read_stat *ret) {
    char text[PROC_READ_SMALL_BYTES];
    CLEANUP_CLOSE int fd = open_of(root, pid, "stat");
    if (fd < 0)
        return fd;
    int r = read_text(fd, text, sizeof(text));
    return r < 0 ? r : parse_stat(text, ret);
}

/* A matcher over bytes: state is how much of "NAME=" the current entry has matched so far; -1: the
 * entry is another one; past the name: the value is being copied. */
int proc_read_environment(const char *root, pid_t pid, const char *name, char *ret, size_t size) {
    CLEANUP_CLOSE int fd = open_of(root, pid, "environ");
    if (fd < 0)
        return fd;
    char piece[PROC_READ_SMALL_BYTES];
    ssize_t length = (ssize_t)strlen(name), matched = 0;
    size_t used = 0;
    bool empty = true;
    ssize_t n;
    while ((n = read_some(fd, piece, sizeof(piece))) > 0) {
        empty = false;
        for (ssize_t i = 0; i < n; i++) {
            char byte = piece[i];
            if (matched > length && byte == '\0') {
                ret[used] = '\0';
                return 0;
            }
            if (matched > length) {
                if (used + 1 < size)
                    ret[used++] = byte;
            } else if (byte == '\0') {
                matched = 0;
            } else if (matched >= 0) {
                matched = byte == (matched < length ? name[matched] : '=') ? matched + 1 : -1;
            }
        }
    }
    if (n == 0 && matched > length) { /* the last entry, cut short */
        ret[used] = '\0';
        return 0;
    }
    if (n < 0)
        return (int)n;
    return empty ? -ENODATA : -ENOENT;
}

int proc_read_resident(const char *root, pid_t pid, uint64_t *ret_bytes) {
    char text[PROC_READ_SMALL_BYTES];
    CLEANUP_CLOSE int fd = open_of(root, pid, "statm");
    if (fd < 0)
        return fd;
    int r = read_text(fd, text, sizeof(text));
    if (r < 0)
        return r;
    const char *at = text;
    uint64_t size, resident;
    if (!take_number(&at, &size) || *at++ != ' ' || !take_number(&at, &resident))
        return -EPROTO;
    *ret_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

int proc_read_children(const char *root, pid_t pid, proc_read_pid_cb each, void *context) {
    char name[64], piece[PROC_READ_SMALL_BYTES];
    (void)snprintf(name, sizeof(name), "%d/task/%d/children", (int)pid, (int)pid);
    CLEANUP_CLOSE int fd = open_file(root, name);
    if (fd < 0)
        return fd;
    uint64_t number = 0;
    ssize_t n;
    while ((n = read_some(fd, piece, sizeof(piece))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (isdigit((unsigned char)piece[i])) {
                number = number * 10 + (uint64_t)(piece[i] - '0');
                if (number > INT_MAX)
                    return -EPROTO;
            } else if (piece[i] == ' ' || piece[i] == '\n') {
                int r = number > 0 ? each(context, (pid_t)number) : 0;
                if (r)
                    return r;
                number = 0;
            } else {
                return -EPROTO;
            }
        }
    return (int)n;
}

int proc_read_all(const char *root, proc_read_pid_cb each, void *context) {
    DIR *folder = opendir(root);
    if (!folder)
        return -errno;
    int r = 0;
    for (const struct dirent *entry; r == 0 && (entry = readdir(folder));) {
        const char *at = entry->d_name;
        uint64_t number;
        if (take_number(&at, &number) && *at == '\0' && number > 0 && number <= INT_MAX)
            r = each(context, (pid_t)number);
    }
    (void)closedir(folder);
    return r;
}

/* The number after `key` at the start of a line. */
static int find_number(const char *text, const char *key, uint64_t *ret) {
    size_t length = strlen(key);
    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, key, length) == 0) {
            at += length;
            at += strspn(at, " ");
            return take_number(&at, ret) ? 0 : -EPROTO;
        }
    return -ENOENT;
}

int proc_read_oom_kills(const char *root, uint64_t *ret_count) {
    CLEANUP_FREE char *text = malloc(PROC_READ_VMSTAT_BYTES);
    if (!text)
        return -ENOMEM;
    CLEANUP_CLOSE int fd = open_file(root, "vmstat");
    if (fd < 0)
        return fd;
    int r = read_text(fd, text, PROC_READ_VMSTAT_BYTES);
    return r < 0 ? r : find_number(text, "oom_kill ", ret_count);
}

int proc_read_memory(const char *root, uint64_t *ret_total_bytes, uint64_t *ret_available_bytes) {
    char text[PROC_READ_SMALL_BYTES];
    CLEANUP_CLOSE int fd = open_file(root, "meminfo");
    if (fd < 0)
        return fd;
    uint64_t total, available;
    int r = read_text(fd, text, sizeof(text));
    if (r == 0)
        r = find_number(text, "MemTotal:", &total);
    if (r == 0)
        r = find_number(text, "MemAvailable:", &available);
    if (r < 0)
        return r;
    *ret_total_bytes = total * 1024;
    *ret_available_bytes = available * 1024;
    return 0;
}
