/* registrar.conf: what the administrator decides for the service (registrar.conf(5)).
 *
 * Lines of "key = value", read by inih; a section is not needed, and [registrar] is the only one
 * that is allowed. A key that is unknown or given twice and a value that is not allowed are refused
 * with file and line. What a file does not say has its default. The table of keys is public, so
 * that --show-config and the man page's test share it.
 */
#ifndef SUPERVISOR_SERVICE_CONF_H
#define SUPERVISOR_SERVICE_CONF_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

#define CONF_SYSTEM_PATH "/etc/registrar.conf"
#define CONF_ADMIN_GROUP "registrar-admin" /* unless the file says another */

enum { CONF_MAX_KEYS = 24 };

/* Either a size or a share; both 0: none. */
struct conf_amount {
    uint64_t bytes;
    double share; /* of what is available */
};

struct conf {
    int jobs, threads; /* 0: auto */
    struct conf_amount memory;
    struct conf_amount reserve; /* kept free of tasks */
    uint64_t worker_memory_bytes;
    const char *quiet_hours; /* for window_parse; NULL: none */
    int64_t timeout_ms, stall_timeout_ms, sample_interval_ms;
    int64_t max_timeout_ms;        /* that a task or batch may ask for */
    struct conf_amount max_memory; /* the same, for one task */
    int retries;
    bool sandbox;
    const char *admin_group; /* NULL: none */
    int64_t half_life_ms;
    const char *on_failure, *on_batch_end; /* shell commands; NULL: none */
    const char *hook_user;                 /* NULL: the daemon's own */
    int64_t hook_timeout_ms;
    uint64_t disk_reserve_bytes; /* nothing is queued when the state's disk has less */
    uint64_t ledger_bytes;       /* above it the ledger is compacted */
    int64_t keep_ms;             /* so long what ended is remembered, */
    int keep_batches;            /* and so many batches of it */
    char *text[CONF_MAX_KEYS];   /* the values as they were written; owned, the above borrow */
};

struct conf_row {
    const char *name;
    const char *value;    /* what to give: "SIZE|PERCENT" */
    const char *fallback; /* the default, as it would be written */
    const char *meaning;
};

/* The nth key; NULL past the end. */
const struct conf_row *conf_row(size_t n);

/* Reads path. NULL: nothing but the defaults. A file that is not there is -ENOENT. As root only a
 * file that nobody else can write is believed (-EPERM). Caller owns *ret. */
MUST_USE int conf_read(const char *path, struct conf *ret, struct failure *failure);
void conf_free(struct conf *conf);

/* Prints every key with its value, as a file that would be read again. */
void conf_print(const struct conf *conf, FILE *stream);

#endif
