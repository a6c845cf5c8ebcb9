/* The command line of run, plan and submit, checked. */
#ifndef SUPERVISOR_CLI_OPTIONS_H
#define SUPERVISOR_CLI_OPTIONS_H

#include "common/failure.h"
#include "supervisor/batch/sweep.h"
#include "supervisor/cli/option_words.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    OPTIONS_DEFAULT_WORKER_MEMORY_MIB = 512,
    OPTIONS_DEFAULT_RETRIES = 1,
    OPTIONS_DEFAULT_TIMEOUT_MS = 2 * 3600 * 1000,
    OPTIONS_DEFAULT_STALL_TIMEOUT_MS = 10 * 60 * 1000,
    OPTIONS_DEFAULT_SAMPLE_INTERVAL_MS = 10,
    OPTIONS_DEFAULT_GRACE_MS = 10 * 1000, /* between SIGTERM and SIGKILL */
};

struct options {
    char *raw;      /* absolute; NULL with a manifest */
    char *out;      /* absolute; need not exist yet */
    char *manifest; /* absolute; or NULL */
    char **samples; /* NULL-terminated; NULL: all */
    char **dyes;
    bool skip_missing;
    int jobs;                             /* 0: auto */
    int threads;                          /* 0: auto */
    int64_t timeout_ms, stall_timeout_ms; /* > 0 */
    uint64_t memory_bytes;                /* budget of the batch; 0: not given as a size */
    double memory_share;                  /* of what is available; 0: not given as a share */
    uint64_t worker_memory_bytes;
    bool is_worker_memory_given;  /* else it is the default, and may shrink */
    uint64_t assume_memory_bytes; /* plan: of a machine to think of; 0: this one */
    int assume_cpus;              /* 0: this one's */
    int retries;
    int64_t sample_interval_ms; /* of memory */
    bool force, redo, json, quiet, memory_trace;
    /* submit */
    char *socket, *name, *not_before, *on_finish; /* NULL: not given */
    int priority;
    bool wait;
    json_t *params;     /* complete: defaults with every --set applied */
    struct sweep sweep; /* of these parameters; without axes: none */
};

/* What is not given: out NULL, and so are the other texts. -ENOMEM. Caller owns. */
MUST_USE int options_defaults(struct options *ret);
/* Reads argv (argv[0] is the command's name); what is not given has its default. */
MUST_USE int options_parse(int argc, char **argv, struct options *ret, struct failure *failure);
void options_free(struct options *options);

/* The options; NULL past the end. */
const struct option_row *options_row(size_t row);

#endif
