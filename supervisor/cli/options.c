/* See options.h. Each row of the table below says how one value is checked and where it goes, and
 * --help prints the same rows. */
#include "supervisor/cli/options.h"

#include "common/footprint.h"
#include "common/names.h"
#include "common/params.h"
#include "common/units.h"
#include "supervisor/cli/option_path.h"
#include "supervisor/memory/space.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAX_JOBS = 1024,
    MAX_THREADS = 256,
    MAX_RETRIES = 100,
    MAX_SAMPLE_INTERVAL_MS = 3600 * 1000,
    MOST_PRIORITY = 100,
};

typedef int (*set_cb)(struct options *options, const char *name, const char *text,
                      struct failure *failure);

struct row {
    struct option_row shown;
    set_cb set;  /* NULL: it takes no value, */
    size_t flag; /* and sets the bool that stands there in struct options */
};

/* ---- values ---- */

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "out of memory while reading the command line");
}

static int refuse(const char *name, const char *text, const char *allowed,
                  struct failure *failure) {
    CLEANUP_FREE char *shown = names_escape(text);
    return failure_set(failure, -EINVAL, "--%s: \"%.100s\" is not allowed; give %s", name,
                       shown ? shown : "?", allowed);
}

static int set_out(struct options *options, const char *name, const char *text,
                   struct failure *failure) {
    (void)name; /* people know it by its letter */
    return option_path_set(&options->out, "-o", text, failure);
}

static int set_manifest(struct options *options, const char *name, const char *text,
                        struct failure *failure) {
    (void)name;
    return option_path_set(&options->manifest, "--manifest", text, failure);
}

/* Adds the words of "A,B"; a word that is there already is not added twice. */
static int add_words(char ***list, const char *name, const char *text, struct failure *failure) {
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        size_t end = length;
        while (end > 1 && at[end - 1] == '/') /* as the shell completes a folder's name */
            end--;
        CLEANUP_FREE char *word = strndup(at, end);
        if (!word)
            return out_of_memory(failure);
        if (length == 0 || strchr(word, '/') || !names_is_clean(word))
            return refuse(name, text, "names with commas between them, like A,B", failure);
        if (!names_contains(*list, word) && names_append(list, word) < 0)
            return out_of_memory(failure);
        at += length;
        if (*at == '\0')
            return 0;
    }
}

static int set_samples(struct options *options, const char *name, const char *text,
                       struct failure *failure) {
    return add_words(&options->samples, name, text, failure);
}

static int set_dyes(struct options *options, const char *name, const char *text,
                    struct failure *failure) {
    return add_words(&options->dyes, name, text, failure);
}

static int set_count(int *slot, const char *name, const char *text, int64_t low, int64_t high,
                     const char *allowed, struct failure *failure) {
    int64_t value = 0;
    if (units_parse_int(text, low, high, &value) < 0)
        return refuse(name, text, allowed, failure);
    *slot = (int)value;
    return 0;
}

static int set_jobs(struct options *options, const char *name, const char *text,
                    struct failure *failure) {
    if (strcmp(text, "auto") == 0)
        return options->jobs = 0;
    return set_count(&options->jobs, name, text, 1, MAX_JOBS, "auto or a number from 1 to 1024",
                     failure);
}

static int set_threads(struct options *options, const char *name, const char *text,
                       struct failure *failure) {
    if (strcmp(text, "auto") == 0)
        return options->threads = 0;
    return set_count(&options->threads, name, text, 1, MAX_THREADS,
                     "auto or a number from 1 to 256", failure);
}

static int set_retries(struct options *options, const char *name, const char *text,
                       struct failure *failure) {
    return set_count(&options->retries, name, text, 0, MAX_RETRIES, "a number from 0 to 100",
                     failure);
}

static int set_duration(int64_t *slot, const char *name, const char *text,
                        struct failure *failure) {
    int64_t ms = 0;
    if (units_parse_duration(text, &ms) < 0 || ms <= 0)
        return refuse(name, text, "a duration above 0 and below ten years, like 90s, 30m or 2h",
                      failure);
    *slot = ms;
    return 0;
}

static int set_timeout(struct options *options, const char *name, const char *text,
                       struct failure *failure) {
    return set_duration(&options->timeout_ms, name, text, failure);
}

static int set_stall_timeout(struct options *options, const char *name, const char *text,
                             struct failure *failure) {
    return set_duration(&options->stall_timeout_ms, name, text, failure);
}

static int set_sample_interval(struct options *options, const char *name, const char *text,
                               struct failure *failure) {
    int64_t ms = 0;
    if (units_parse_duration(text, &ms) < 0 || ms < 1 || ms > MAX_SAMPLE_INTERVAL_MS)
        return refuse(name, text, "a duration from 1ms to 1h, like 10ms", failure);
    options->sample_interval_ms = ms;
    return 0;
}

static int set_memory(struct options *options, const char *name, const char *text,
                      struct failure *failure) {
    uint64_t bytes = 0;
    double share = 0;
    if (units_parse_percent(text, &share) < 0 && (units_parse_size(text, &bytes) < 0 || bytes == 0))
        return refuse(name, text, "a size like 4G or 900M, or a share from 1% to 100%", failure);
    options->memory_bytes = bytes;
    options->memory_share = share;
    return 0;
}

static int set_worker_memory(struct options *options, const char *name, const char *text,
                             struct failure *failure) {
    uint64_t bytes = 0;
    char allowed[96], least[UNITS_TEXT_BYTES];
    (void)snprintf(allowed, sizeof(allowed), "a size of at least %s, like 300M or 1G",
                   units_format_size(FOOTPRINT_LEAST_CAP_BYTES, least));
    if (units_parse_size(text, &bytes) < 0 || bytes < FOOTPRINT_LEAST_CAP_BYTES)
        return refuse(name, text, allowed, failure);
    options->worker_memory_bytes = bytes;
    options->is_worker_memory_given = true;
    return 0;
}

static int set_assume_memory(struct options *options, const char *name, const char *text,
                             struct failure *failure) {
    uint64_t bytes = 0;
    if (units_parse_size(text, &bytes) < 0 || bytes == 0)
        return refuse(name, text, "a size like 16G or 512M", failure);
    options->assume_memory_bytes = bytes;
    return 0;
}

static int set_assume_cpus(struct options *options, const char *name, const char *text,
                           struct failure *failure) {
    return set_count(&options->assume_cpus, name, text, 1, MAX_JOBS, "a number from 1 to 1024",
                     failure);
}

static int set_param(struct options *options, const char *name, const char *text,
                     struct failure *failure) {
    (void)name; /* the sentence names the parameter */
    return params_set_text(options->params, text, "--set", failure);
}

static int set_sweep(struct options *options, const char *name, const char *text,
                     struct failure *failure) {
    (void)name;
    return sweep_add(&options->sweep, text, failure);
}

/* Another name for the parameter, which people ask for most. */
static int set_format(struct options *options, const char *name, const char *text,
                      struct failure *failure) {
    CLEANUP_FREE char *assignment = names_format("format=%s", text);
    if (!assignment)
        return out_of_memory(failure);
    int r = params_set_text(options->params, assignment, name, NULL);
    return r == -EINVAL ? refuse(name, text, "tiff, ome-tiff, fits or both", failure) : r;
}

/* ---- submit ---- */

static int set_text(char **slot, const char *name, const char *text, const char *allowed,
                    struct failure *failure) {
    if (*text == '\0' || !names_is_clean(text))
        return refuse(name, text, allowed, failure);
    free(*slot);
    *slot = strdup(text);
    return *slot ? 0 : out_of_memory(failure);
}

static int set_socket(struct options *options, const char *name, const char *text,
                      struct failure *failure) {
    return set_text(&options->socket, name, text, "the path of the service's socket", failure);
}

static int set_name(struct options *options, const char *name, const char *text,
                    struct failure *failure) {
    return set_text(&options->name, name, text, "a name for the batch, like NIGHT", failure);
}

static int set_not_before(struct options *options, const char *name, const char *text,
                          struct failure *failure) {
    return set_text(&options->not_before, name, text, "a time, like 20:00 or \"Sat 06:00\"",
                    failure);
}

static int set_on_finish(struct options *options, const char *name, const char *text,
                         struct failure *failure) {
    return set_text(&options->on_finish, name, text, "a command line for the shell", failure);
}

static int set_priority(struct options *options, const char *name, const char *text,
                        struct failure *failure) {
    return set_count(&options->priority, name, text, -MOST_PRIORITY, MOST_PRIORITY,
                     "a number from -100 to 100", failure);
}

/* ---- the table ---- */

#define FLAG(member) NULL, offsetof(struct options, member)

#define WHAT "What to do"
#define MACHINE "How much of the machine"
#define PATIENCE "How long to wait"
#define SHOWN "What is printed"
#define QUEUED "In the queue"
#define BOTH "run, plan"
#define ALL "run, plan, submit"

static const struct row rows[] = {
    {{"out", "OUT", NULL, "folder for the results; made when it is not there", WHAT, 'o', ALL},
     set_out,
     0},
    {{"samples", "A,B", "all", "only these sample folders", WHAT, 0, ALL}, set_samples, 0},
    {{"dyes", "X,Y", "all", "only these dyes", WHAT, 0, ALL}, set_dyes, 0},
    {{"skip-missing", NULL, NULL, "go on without requested samples or dyes that are not there",
      WHAT, 0, ALL},
     FLAG(skip_missing)},
    {{"manifest", "FILE", NULL,
      "a JSON list of pairs and commands in place of RAW; see registrar-manifest(5)", WHAT, 0, ALL},
     set_manifest,
     0},
    {{"set", "NAME=VALUE", NULL, "an alignment parameter, see below; may be given many times", WHAT,
      0, ALL},
     set_param,
     0},
    {{"sweep", "NAME=A,B,C", NULL, "each pair with each of these values, side by side", WHAT, 0,
      ALL},
     set_sweep,
     0},
    {{"format", "FORMAT", "tiff", "of the pictures: tiff, ome-tiff, fits, or both tiff and fits",
      WHAT, 0, ALL},
     set_format,
     0},
    {{"redo", NULL, NULL, "do finished tasks again", WHAT, 0, ALL}, FLAG(redo)},
    {{"on-finish", "COMMAND", NULL, "run it at the batch's end, with the summary on its stdin",
      WHAT, 0, "run, submit"},
     set_on_finish,
     0},
    {{"jobs", "N|auto", "auto", "workers at once", MACHINE, 0, ALL}, set_jobs, 0},
    {{"threads", "N|auto", "auto", "threads of each worker", MACHINE, 0, ALL}, set_threads, 0},
    {{"memory", "SIZE|PERCENT", "all that is available",
      "for the whole batch; tasks wait for room in it", MACHINE, 0, ALL},
     set_memory,
     0},
    {{"worker-memory", "SIZE", "512M", "cap that each worker obeys", MACHINE, 0, ALL},
     set_worker_memory,
     0},
    {{"assume-memory", "SIZE", NULL, "plan for a machine with so much memory in place of this one",
      MACHINE, 0, "plan"},
     set_assume_memory,
     0},
    {{"assume-cpus", "N", NULL, "plan for a machine with so many cores", MACHINE, 0, "plan"},
     set_assume_cpus,
     0},
    {{"force", NULL, NULL, "run although the pre-flight refuses", MACHINE, 0, ALL}, FLAG(force)},
    {{"timeout", "DURATION", "2h", "for one attempt", PATIENCE, 0, ALL}, set_timeout, 0},
    {{"stall-timeout", "DURATION", "10m", "without any progress", PATIENCE, 0, ALL},
     set_stall_timeout,
     0},
    {{"retries", "N", "1",
      "further attempts after a crash, a kill or a stall; 0: nor when out of memory", PATIENCE, 0,
      ALL},
     set_retries,
     0},
    {{"name", "NAME", "OUT's last part", "what the batch is called", QUEUED, 0, "submit"},
     set_name,
     0},
    {{"not-before", "TIME", NULL,
      "start nothing of it earlier: 20:00, \"Sat 06:00\", \"2026-12-24 18:00\", +2h", QUEUED, 0,
      "submit"},
     set_not_before,
     0},
    {{"priority", "N", "0", "among your own batches; above 0 for administrators alone", QUEUED, 0,
      "submit"},
     set_priority,
     0},
    {{"wait", NULL, NULL, "stay until the end of the batch; exit as run would", QUEUED, 0,
      "submit"},
     FLAG(wait)},
    {{"socket", "PATH", NULL, "where the service is; else REGISTRAR_SOCKET, the system's, yours",
      QUEUED, 0, "submit"},
     set_socket,
     0},
    {{"sample-interval", "DURATION", "10ms", "how often each task's memory is looked at", SHOWN, 0,
      BOTH},
     set_sample_interval,
     0},
    {{"memory-trace", NULL, NULL,
      "memory before and after each attempt, and at the end what it comes to", SHOWN, 0, "run"},
     FLAG(memory_trace)},
    {{"json", NULL, NULL, "the result as JSON on stdout", SHOWN, 0, ALL}, FLAG(json)},
    {{"quiet", NULL, NULL, "no progress on stderr", SHOWN, 'q', ALL}, FLAG(quiet)},
};

const struct option_row *options_row(size_t row) {
    return row < ARRAY_LEN(rows) ? &rows[row].shown : NULL;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    if (rows[n].set)
        return rows[n].set(context, rows[n].shown.name, value, failure);
    *(bool *)((char *)context + rows[n].flag) = true;
    return 0;
}

static int set_raw(void *context, const char *word, struct failure *failure) {
    struct options *options = context;
    if (options->raw)
        return failure_set(failure, -EINVAL,
                           "one raw folder at a time: \"%.200s\" is one too many (a name with "
                           "spaces needs quotes)",
                           word);
    return option_path_set(&options->raw, "RAW", word, failure);
}

static int parse_words(int argc, char **argv, struct options *options, struct failure *failure) {
    const struct option_words words = {
        .row = options_row, .set = set_option, .word = set_raw, .context = options};
    uint32_t given;
    int r = option_words_parse(argc, argv, &words, &given, failure);
    return r < 0 ? r : option_words_check(&words, given, "", argv[0], failure);
}

/* ---- the whole ---- */

static int check_out(const struct options *options, struct failure *failure) {
    struct stat out, raw;
    const bool out_exists = stat(options->out, &out) == 0;
    if (!out_exists && errno == ENOTDIR)
        return failure_set(failure, -ENOTDIR,
                           "-o: a part of %s is a file; give a folder for the results",
                           options->out);
    if (out_exists && !S_ISDIR(out.st_mode))
        return failure_set(failure, -ENOTDIR, "-o: %s is a file; give a folder for the results",
                           options->out);
    struct space space;
    int r = space_read(options->out, &space, failure);
    if (r < 0)
        return r;
    if (eaccess(space.existing, W_OK | X_OK) < 0)
        return failure_set_errno(failure, -errno, "-o: no results can be written to %s: %s",
                                 options->out, space.existing);
    if (!options->raw)
        return 0;
    const bool same = out_exists && stat(options->raw, &raw) == 0 && raw.st_dev == out.st_dev &&
                      raw.st_ino == out.st_ino;
    if (same || strcmp(options->raw, options->out) == 0)
        return failure_set(failure, -EINVAL,
                           "-o: %s is the raw folder itself; give another one, so that raw images "
                           "and results stay apart",
                           options->out);
    return 0;
}

static int check_whole(const char *command, const struct options *options,
                       struct failure *failure) {
    if (options->raw && options->manifest)
        return failure_set(failure, -EINVAL,
                           "RAW (%s) and --manifest (%s) cannot go together; leave one out",
                           options->raw, options->manifest);
    if (!options->raw && !options->manifest)
        return failure_set(failure, -EINVAL,
                           "the raw folder is missing; write registrar %s RAW -o OUT", command);
    if (!options->out)
        return failure_set(failure, -EINVAL,
                           "the folder for the results is missing; write registrar %s %s%s -o OUT",
                           command, options->manifest ? "--manifest " : "",
                           options->manifest ? options->manifest : options->raw);
    if (options->manifest && (options->samples || options->dyes || options->skip_missing))
        return failure_set(failure, -EINVAL,
                           "%s chooses from a raw folder and cannot go with --manifest; choose by "
                           "leaving tasks out of %s",
                           options->samples ? "--samples"
                           : options->dyes  ? "--dyes"
                                            : "--skip-missing",
                           options->manifest);
    struct params unused;
    int r = params_parse(options->params, &unused, failure);
    if (r == 0)
        r = sweep_check(&options->sweep, options->params, failure);
    return r < 0 ? r : check_out(options, failure);
}

int options_parse(int argc, char **argv, struct options *ret, struct failure *failure) {
    CLEANUP(options_free) struct options options = {0};
    if (options_defaults(&options) < 0)
        return out_of_memory(failure);
    int r = parse_words(argc, argv, &options, failure);
    if (r == 0)
        r = check_whole(argv[0], &options, failure);
    if (r < 0)
        return r;
    *ret = options;
    options = (struct options){0};
    return 0;
}
