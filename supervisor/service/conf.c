/* See conf.h. Defaults are written in the table as a file would say them and read by the same
 * functions, so there is one place for each. inih tells no line numbers and cuts long lines in
 * silence, so the reader that it is given counts lines and refuses what is too long.
 */
#include "supervisor/service/conf.h"

#include "common/footprint.h"
#include "common/names.h"
#include "common/units.h"
#include "supervisor/cli/nearest.h"
#include "supervisor/service/window.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>

#define SECTION "registrar"

struct key {
    struct conf_row shown;
    int (*set)(const struct key *key, void *slot, const char *text);
    size_t slot;       /* offset in struct conf */
    int64_t low, high; /* where a number has bounds */
    const char *allowed;
};

/* ---- values: 0, or negative when the text is not allowed ---- */

static int set_int(const struct key *key, void *slot, const char *text) {
    int64_t value = 0;
    int r = units_parse_int(text, key->low, key->high, &value);
    if (r == 0)
        *(int *)slot = (int)value;
    return r;
}

static int set_auto(const struct key *key, void *slot, const char *text) {
    if (strcmp(text, "auto") != 0)
        return set_int(key, slot, text);
    *(int *)slot = 0;
    return 0;
}

static int set_amount(const struct key *key, void *slot, const char *text) {
    struct conf_amount amount = {0};
    if (units_parse_percent(text, &amount.share) < 0 &&
        (units_parse_size(text, &amount.bytes) < 0 || amount.bytes < (uint64_t)key->low))
        return -EINVAL;
    *(struct conf_amount *)slot = amount;
    return 0;
}

static int set_size(const struct key *key, void *slot, const char *text) {
    uint64_t bytes = 0;
    if (units_parse_size(text, &bytes) < 0 || bytes < (uint64_t)key->low)
        return -EINVAL;
    *(uint64_t *)slot = bytes;
    return 0;
}

static int set_duration(const struct key *key, void *slot, const char *text) {
    int64_t ms = 0;
    if (units_parse_duration(text, &ms) < 0 || ms < key->low || ms > key->high)
        return -ERANGE;
    *(int64_t *)slot = ms;
    return 0;
}

static int set_switch(const struct key *key, void *slot, const char *text) {
    (void)key;
    const bool is_on = strcmp(text, "yes") == 0;
    if (!is_on && strcmp(text, "no") != 0)
        return -EINVAL;
    *(bool *)slot = is_on;
    return 0;
}

static int set_text(const struct key *key, void *slot, const char *text) {
    (void)key;
    if (*text == '\0' || !names_is_clean(text))
        return -EINVAL;
    *(const char **)slot = strcmp(text, "none") == 0 ? NULL : text;
    return 0;
}

static int set_hours(const struct key *key, void *slot, const char *text) {
    struct window_list unused;
    if (strcmp(text, "none") != 0 && window_parse(text, &unused, NULL) < 0)
        return -EINVAL;
    return set_text(key, slot, text);
}

/* ---- the table ---- */

#define SLOT(member) offsetof(struct conf, member)
#define DURATION "a duration above 0 and below ten years, like 90s, 30m or 2h"
#define COMMAND "a command for the shell, or none"
#define ANY_MS INT64_MAX

static const struct key keys[] = {
    {{"jobs", "N|auto", "auto", "tasks at once"},
     set_auto,
     SLOT(jobs),
     1,
     1024,
     "auto or a number from 1 to 1024"},
    {{"threads", "N|auto", "auto", "threads of each worker"},
     set_auto,
     SLOT(threads),
     1,
     256,
     "auto or a number from 1 to 256"},
    {{"memory", "SIZE|PERCENT", "100%", "what all tasks together may use of what is available"},
     set_amount,
     SLOT(memory),
     1,
     0,
     "a size like 24G, or a share from 1% to 100%"},
    {{"reserve", "SIZE|PERCENT", "0", "memory that is kept free of tasks, for those at the desk"},
     set_amount,
     SLOT(reserve),
     0,
     0,
     "a size like 4G, or a share from 1% to 100%"},
    {{"worker-memory", "SIZE", "512M", "cap that each worker obeys, when its batch names none"},
     set_size,
     SLOT(worker_memory_bytes),
     FOOTPRINT_LEAST_CAP_BYTES,
     0,
     "a size of at least 192M, like 300M or 1G"},
    {{"quiet-hours", "HOURS", "none", "when no task is started, or only within a share of memory"},
     set_hours,
     SLOT(quiet_hours),
     0,
     0,
     "none, or hours like Mon-Fri 08:00-18:00, with a share behind them like 30%"},
    {{"timeout", "DURATION", "2h", "for one attempt, when its task and batch name none"},
     set_duration,
     SLOT(timeout_ms),
     1,
     ANY_MS,
     DURATION},
    {{"max-timeout", "DURATION", "366d", "more is refused when a batch or task asks for it"},
     set_duration,
     SLOT(max_timeout_ms),
     1,
     ANY_MS,
     DURATION},
    {{"max-memory", "SIZE|PERCENT", "100%", "one task that needs more is refused"},
     set_amount,
     SLOT(max_memory),
     1,
     0,
     "a size like 24G, or a share from 1% to 100%"},
    {{"stall-timeout", "DURATION", "10m", "without any progress, when its batch names none"},
     set_duration,
     SLOT(stall_timeout_ms),
     1,
     ANY_MS,
     DURATION},
    {{"retries", "N", "1", "further attempts of a task, when its batch names none"},
     set_int,
     SLOT(retries),
     0,
     100,
     "a number from 0 to 100"},
    {{"sample-interval", "DURATION", "10ms", "how often each task's memory is looked at"},
     set_duration,
     SLOT(sample_interval_ms),
     1,
     3600000,
     "a duration from 1ms to 1h, like 10ms"},
    {{"sandbox", "yes|no", "yes", "whether registrar's own worker is confined"},
     set_switch,
     SLOT(sandbox),
     0,
     0,
     "yes or no"},
    {{"admin-group", "GROUP", CONF_ADMIN_GROUP, "whose members may touch everybody's tasks"},
     set_text,
     SLOT(admin_group),
     0,
     0,
     "the name of a group, or none"},
    {{"half-life", "DURATION", "1d", "after which half of what a user has used is forgotten"},
     set_duration,
     SLOT(half_life_ms),
     60000,
     ANY_MS,
     "a duration of at least 1m, like 12h or 1d"},
    {{"on-failure", "COMMAND", "none", "run when a task has failed for good"},
     set_text,
     SLOT(on_failure),
     0,
     0,
     COMMAND},
    {{"on-batch-end", "COMMAND", "none", "run when a batch is done"},
     set_text,
     SLOT(on_batch_end),
     0,
     0,
     COMMAND},
    {{"hook-user", "USER", "none", "as whom these two are run; none is the daemon's own user"},
     set_text,
     SLOT(hook_user),
     0,
     0,
     "the name of a user, or none"},
    {{"hook-timeout", "DURATION", "1m", "so long may such a command take"},
     set_duration,
     SLOT(hook_timeout_ms),
     1,
     ANY_MS,
     DURATION},
    {{"disk-reserve", "SIZE", "256M", "with less on the state's disk nothing more is queued"},
     set_size,
     SLOT(disk_reserve_bytes),
     0,
     0,
     "a size like 256M, or 0"},
    {{"ledger-size", "SIZE", "256M", "above it the ledger is compacted"},
     set_size,
     SLOT(ledger_bytes),
     1 << 20,
     0,
     "a size of at least 1M, like 256M"},
    {{"keep", "DURATION", "30d", "so long batches that have ended are remembered"},
     set_duration,
     SLOT(keep_ms),
     60000,
     ANY_MS,
     "a duration of at least 1m, like 7d or 30d"},
    {{"keep-batches", "N", "1000", "so many batches that have ended are remembered"},
     set_int,
     SLOT(keep_batches),
     0,
     10000,
     "a number from 0 to 10000"},
};

_Static_assert(ARRAY_LEN(keys) <= CONF_MAX_KEYS, "conf.text holds every key");

const struct conf_row *conf_row(size_t n) { return n < ARRAY_LEN(keys) ? &keys[n].shown : NULL; }

/* Takes text, which must be one that the key allows. */
static int take(struct conf *conf, size_t n, char *text) {
    CLEANUP_FREE char *owned = text;
    if (!owned)
        return -ENOMEM;
    int r = keys[n].set(&keys[n], (char *)conf + keys[n].slot, owned);
    if (r < 0)
        return r;
    free(conf->text[n]);
    conf->text[n] = STEAL_PTR(owned);
    return 0;
}

static int set_defaults(struct conf *conf, struct failure *failure) {
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        int r = take(conf, i, strdup(keys[i].shown.fallback));
        if (r < 0)
            return failure_set_errno(failure, r, "the default of %s", keys[i].shown.name);
    }
    return 0;
}

/* ---- the file ---- */

struct reading {
    const char *path;
    FILE *file;
    struct conf *conf;
    int line;
    int given[ARRAY_LEN(keys)]; /* in which line; 0: not yet */
    char *buffer;               /* of getline; owned */
    size_t capacity;
    struct failure *failure;
    int result;
};

#define REFUSE(reading, ...) ((reading)->result = failure_set((reading)->failure, __VA_ARGS__))

/* An ini_reader: fgets that tells of what it would cut. */
static char *read_line(char *bytes, int size, void *context) {
    struct reading *reading = context;
    if (reading->result < 0)
        return NULL;
    errno = 0;
    const ssize_t length = getline(&reading->buffer, &reading->capacity, reading->file);
    if (length < 0) {
        if (ferror(reading->file))
            reading->result = failure_set_errno(reading->failure, -errno, "%s", reading->path);
        return NULL;
    }
    reading->line++;
    if (memchr(reading->buffer, '\0', (size_t)length)) {
        REFUSE(reading, -EINVAL, "%s:%d: a zero byte: this is no text file", reading->path,
               reading->line);
        return NULL;
    }
    if (length >= size) {
        REFUSE(reading, -EINVAL,
               "%s:%d: a line has at most %d characters; put a long command into a script",
               reading->path, reading->line, size - 2);
        return NULL;
    }
    if (length > 1 && strchr(" \t", *reading->buffer) &&
        reading->buffer[strspn(reading->buffer, " \t\r\n")] != '\0') {
        /* inih would take it for more of the value above */
        REFUSE(reading, -EINVAL, "%s:%d: a line begins with its key, not with a space",
               reading->path, reading->line);
        return NULL;
    }
    return memcpy(bytes, reading->buffer, (size_t)length + 1);
}

static void refuse_key(struct reading *reading, const char *name) {
    const char *names[ARRAY_LEN(keys) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        names[i] = keys[i].shown.name;
    const char *nearest = nearest_word(name, names);
    CLEANUP_FREE char *shown = names_escape(name);
    REFUSE(reading, -EINVAL, "%s:%d: unknown key \"%.100s\"%s%s%s; registrar.conf(5) lists all",
           reading->path, reading->line, shown ? shown : "?", nearest ? ", did you mean " : "",
           nearest ? nearest : "", nearest ? "?" : "");
}

static void read_value(struct reading *reading, size_t n, const char *value) {
    if (reading->given[n] > 0) {
        REFUSE(reading, -EINVAL, "%s:%d: %s stands in line %d already; leave one out",
               reading->path, reading->line, keys[n].shown.name, reading->given[n]);
        return;
    }
    reading->given[n] = reading->line;
    const int r = take(reading->conf, n, strdup(value));
    if (r == -ENOMEM) {
        reading->result = failure_set_errno(reading->failure, r, "cannot read %s", reading->path);
    } else if (r < 0) {
        CLEANUP_FREE char *shown = names_escape(value);
        REFUSE(reading, -EINVAL, "%s:%d: %s: \"%.100s\" is not allowed; give %s", reading->path,
               reading->line, keys[n].shown.name, shown ? shown : "?", keys[n].allowed);
    }
}

/* An ini_handler: nonzero is success. The first complaint is kept. */
static int on_pair(void *context, const char *section, const char *name, const char *value) {
    struct reading *reading = context;
    if (reading->result < 0)
        return 0;
    if (*section && strcmp(section, SECTION) != 0) {
        CLEANUP_FREE char *shown = names_escape(section);
        REFUSE(reading, -EINVAL,
               "%s:%d: %s stands in the section [%.100s]; there is none but [" SECTION "], and it "
               "may be left out",
               reading->path, reading->line, name, shown ? shown : "?");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].shown.name, name) == 0) {
            read_value(reading, i, value);
            return reading->result == 0;
        }
    refuse_key(reading, name);
    return 0;
}

/* Root runs the commands that it names. */
static int check_owner(const char *path, int fd, struct failure *failure) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return failure_set_errno(failure, -errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, -EINVAL, "%s is no plain file; name another one", path);
    if (geteuid() == 0 && (status.st_uid != 0 || (status.st_mode & (S_IWGRP | S_IWOTH))))
        return failure_set(failure, -EPERM,
                           "%s can be written by others than root, and it names commands that root "
                           "runs: chown root %s; chmod go-w %s",
                           path, path, path);
    return 0;
}

static int read_file(const char *path, struct conf *conf, struct failure *failure) {
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "the configuration %s", path);
    int r = check_owner(path, fd, failure);
    if (r < 0)
        return r;
    CLEANUP_FCLOSE FILE *file = fdopen(fd, "r");
    if (!file)
        return failure_set_errno(failure, -errno, "%s", path);
    (void)STEAL_FD(fd);
    struct reading reading = {.path = path, .file = file, .conf = conf, .failure = failure};
    const int line = ini_parse_stream(read_line, &reading, on_pair, &reading);
    free(reading.buffer);
    if (reading.result == 0 && line != 0)
        REFUSE(&reading, -EINVAL, "%s:%d: this is no \"key = value\"", path, line);
    return reading.result;
}

int conf_read(const char *path, struct conf *ret, struct failure *failure) {
    CLEANUP(conf_free) struct conf conf = {0};
    int r = set_defaults(&conf, failure);
    if (r == 0 && path)
        r = read_file(path, &conf, failure);
    if (r < 0)
        return r;
    *ret = conf;
    conf = (struct conf){0};
    return 0;
}

void conf_free(struct conf *conf) {
    for (size_t i = 0; i < CONF_MAX_KEYS; i++)
        free(conf->text[i]);
    *conf = (struct conf){0};
}

void conf_print(const struct conf *conf, FILE *stream) {
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        (void)fprintf(stream, "%s = %s\n", keys[i].shown.name, conf->text[i]);
}
