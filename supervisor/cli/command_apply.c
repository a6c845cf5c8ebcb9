/* registrar apply: another image or a table of points through a map that run has found. The images
 * and the map are a worker's business; here stand the files' places, the progress and the words. */
#include "supervisor/apply/apply_output.h"
#include "supervisor/apply/apply_worker.h"

#include "common/clock.h"
#include "common/names.h"
#include "common/protocol.h"
#include "common/units.h"
#include "supervisor/cli/apply_words.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/memory/machine.h"
#include "supervisor/memory/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

struct job {
    struct apply_words words;
    struct apply_output output;
    char *worker;   /* owned */
    int points_fd;  /* -1: none */
    json_t *result; /* owned; NULL: none yet */
    int64_t wall_ms;
};

static const char *input_name(const struct job *job) {
    if (job->words.image)
        return job->words.image;
    return strcmp(job->words.points, "-") == 0 ? "stdin" : job->words.points;
}

/* --- what is needed --- */

static int check_file(const char *path, struct failure *failure) {
    struct stat status;
    if (stat(path, &status) < 0 || access(path, R_OK) < 0)
        return failure_set_errno(failure, -errno, "cannot read %s", path);
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, -EINVAL, "%s is not a file", path);
    if (!names_is_clean(path))
        return failure_set(failure, -EINVAL,
                           "the path %s is no clean UTF-8 text, which the worker is told it in; "
                           "rename it",
                           path);
    return 0;
}

static int open_points(struct job *job, struct failure *failure) {
    const bool is_stdin = strcmp(job->words.points, "-") == 0;
    struct stat status;
    if (is_stdin && isatty(STDIN_FILENO))
        return failure_set(failure, -EINVAL,
                           "--points -: stdin is this terminal; pipe a table into it");
    job->points_fd =
        is_stdin ? dup(STDIN_FILENO) : open(job->words.points, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (job->points_fd < 0 || fstat(job->points_fd, &status) < 0)
        return failure_set_errno(failure, -errno, "cannot read %s", input_name(job));
    if (S_ISDIR(status.st_mode))
        return failure_set(failure, -EISDIR, "%s is a folder; give a table (CSV)", input_name(job));
    return 0;
}

/* What would be overwritten while it is read, or after. */
static int check_output(const struct job *job, struct failure *failure) {
    const char *const inputs[] = {job->words.transform,
                                  job->words.image ? job->words.image : job->words.points};
    for (size_t i = 0; i < ARRAY_LEN(inputs) && job->words.out; i++)
        if (apply_output_is_same(inputs[i], job->words.out))
            return failure_set(failure, -EINVAL, "-o %s is the input itself; give another name",
                               job->words.out);
    return 0;
}

static int prepare(struct job *job, struct failure *failure) {
    int r = check_file(job->words.transform, failure);
    if (r == 0)
        r = job->words.image ? check_file(job->words.image, failure) : open_points(job, failure);
    if (r == 0)
        r = check_output(job, failure);
    if (r == 0)
        r = apply_output_open(job->words.out, job->words.image, &job->output, failure);
    return r;
}

/* --- the worker --- */

static int count_cores(void) {
    struct machine machine;
    struct failure ignored;
    return machine_read(MACHINE_PROC_ROOT, MACHINE_CGROUP_ROOT, &machine, &ignored) < 0
               ? 1
               : machine.cores;
}

static json_t *describe(const struct job *job) {
    const struct apply_words *words = &job->words;
    CLEANUP_FREE char *name = names_escape(input_name(job));
    json_t *document = json_pack("{s:i,s:s,s:b}", "v", PROTOCOL_VERSION, "transform",
                                 words->transform, "inverse", words->is_inverse);
    CLEANUP_JSON json_t *more =
        words->image
            ? json_pack("{s:s,s:s,s:O,s:i,s:I}", "image", words->image, "out",
                        job->output.temporary, "params", words->params, "threads",
                        words->threads ? words->threads : count_cores(), "memory_bytes",
                        (json_int_t)words->memory_bytes)
            : json_pack("{s:s,s:o*}", "points", name ? name : "the table", "columns",
                        words->columns[0] ? json_pack("[s,s]", words->columns[0], words->columns[1])
                                          : NULL);
    if (document && more && json_object_update(document, more) == 0)
        return document;
    json_decref(document);
    return NULL;
}

static int run(struct job *job, struct failure *failure) {
    CLEANUP_JSON json_t *document = describe(job);
    const int64_t start_ms = clock_monotonic_ms();
    if (!document)
        return failure_set(failure, -EINVAL,
                           "-o %s: the path is no UTF-8, which the worker is told it in; rename it",
                           job->words.out ? job->words.out : "-");
    const struct apply_worker_request request = {
        .worker = job->worker,
        .document = document,
        .input_fd = job->points_fd,
        .output_fd = job->words.points ? job->output.fd : -1,
        .label = job->words.is_quiet ? NULL : input_name(job)};
    int r = apply_worker_run(&request, &job->result, failure);
    if (r == 0)
        r = apply_output_publish(&job->output, failure);
    job->wall_ms = clock_monotonic_ms() - start_ms;
    return r;
}

/* --- what is told --- */

static int64_t number(const struct job *job, const char *key) {
    return json_integer_value(json_object_get(job->result, key));
}

/* "1 point lies", "12 points lie" */
static const char *many(int64_t n, const char *one, const char *several) {
    return n == 1 ? one : several;
}

static void print_size(const struct job *job, const char *lead, const char *key) {
    const json_t *size = json_object_get(job->result, key);
    (void)fprintf(stderr, "%s (%lld x %lld px)", lead,
                  (long long)json_integer_value(json_array_get(size, 0)),
                  (long long)json_integer_value(json_array_get(size, 1)));
}

/* Whatever may be wrong with the result is told, with --quiet too. */
static void print_doubts(const struct job *job) {
    const bool back = job->words.is_inverse;
    const char *status = json_string_value(json_object_get(job->result, "status"));
    const char *reason = json_string_value(json_object_get(job->result, "reason"));
    const int64_t outside = number(job, "outside"), unmapped = number(job, "unmapped");
    if (status && strcmp(status, "doubtful") == 0)
        (void)fprintf(stderr,
                      "registrar: the map is doubtful (%s); look at it before you use this\n",
                      reason && *reason ? reason : "its file says no more");
    if (job->words.image && json_number_value(json_object_get(job->result, "covered")) <= 0)
        (void)fprintf(stderr,
                      "registrar: nothing of the image lies in the %s image's frame: %s is empty\n",
                      back ? "pre" : "post", job->words.out);
    if (outside > 0) {
        (void)fprintf(stderr, "registrar: %lld %s outside", (long long)outside,
                      many(outside, "point lies", "points lie"));
        print_size(job, back ? " the post image" : " the pre image",
                   back ? "post_size" : "pre_size");
        (void)fprintf(stderr, ", the first in line %lld; coordinates are full-resolution pixels\n",
                      (long long)number(job, "outside_line"));
    }
    if (unmapped > 0)
        (void)fprintf(stderr,
                      "registrar: %lld %s no place in the %s image, the first in line %lld; left "
                      "empty\n",
                      (long long)unmapped, many(unmapped, "point has", "points have"),
                      back ? "pre" : "post", (long long)number(job, "unmapped_line"));
}

static void print_image_summary(const struct job *job) {
    char taken[UNITS_TEXT_BYTES];
    const double covered = json_number_value(json_object_get(job->result, "covered"));
    const char *kind = json_string_value(json_object_get(job->words.params, "interpolation"));
    (void)fprintf(stderr, "%s: %lld x %lld px, the %s image's frame, %s, %.0f %% covered, in %s\n",
                  job->words.out, (long long)number(job, "width"), (long long)number(job, "height"),
                  job->words.is_inverse ? "pre" : "post", kind ? kind : "cubic", 100 * covered,
                  units_format_duration(job->wall_ms, taken));
}

static void print_summary(const struct job *job) {
    const bool back = job->words.is_inverse;
    char taken[UNITS_TEXT_BYTES];
    const int64_t points = number(job, "points"), beyond = number(job, "beyond");
    if (job->words.image) {
        print_image_summary(job);
        return;
    }
    (void)fprintf(stderr, "%lld %s", (long long)points, many(points, "point", "points"));
    print_size(job, back ? " from the post image" : " from the pre image",
               back ? "post_size" : "pre_size");
    print_size(job, back ? " to the pre image" : " to the post image",
               back ? "pre_size" : "post_size");
    (void)fprintf(stderr, " in %s%s%s\n", units_format_duration(job->wall_ms, taken),
                  job->words.out ? ": " : "", job->words.out ? job->words.out : "");
    if (beyond > 0)
        (void)fprintf(stderr, "%lld of them %s beyond its edges\n", (long long)beyond,
                      many(beyond, "lands", "land"));
}

static int print_json(const struct job *job, struct failure *failure) {
    CLEANUP_JSON json_t *object = json_pack("{s:i}", "version", 1);
    if (!object || json_object_update(object, job->result) < 0 ||
        json_object_del(object, "event") < 0 ||
        json_object_set_new(object, "wall_s", json_real((double)job->wall_ms / 1e3)) < 0 ||
        json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) < 0)
        return failure_set(failure, -ENOMEM, "out of memory while printing the result");
    (void)putchar('\n'); /* main checks stdout at the end */
    return 0;
}

/* As in "registrar apply ... | head": no fault. */
static bool has_reader_left(const struct job *job) {
    struct pollfd out = {.fd = job->output.fd, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

static void clear(struct job *job) {
    apply_output_close(&job->output);
    cleanup_close(&job->points_fd);
    apply_words_clear(&job->words);
    json_decref(job->result);
    free(job->worker);
}

static int status_of(int r) {
    switch (r) {
    case -ECANCELED:
        return EXIT_INTERRUPTED;
    case -EPROTO:
        return complaint_worker_status();
    case -ENOMEM:
        return EXIT_INTERNAL;
    default:
        return EXIT_SOME_FAILED;
    }
}

int command_apply(int argc, char **argv) {
    struct failure failure = {0};
    struct job job = {.output = {.fd = -1}, .points_fd = -1};
    int status = EXIT_USAGE;
    int r = apply_words_parse(argc, argv, &job.words, &failure);
    if (r == 0)
        r = prepare(&job, &failure);
    if (r == 0 && (r = probe_find_worker(&job.worker, &failure)) < 0)
        status = complaint_worker_status();
    if (r == 0 && (r = run(&job, &failure)) < 0) {
        status = status_of(r);
        if (job.words.points && !job.words.out && has_reader_left(&job)) {
            clear(&job);
            return EXIT_ALL_OK;
        }
    }
    if (r == 0) {
        print_doubts(&job);
        if (!job.words.is_quiet)
            print_summary(&job);
        if (job.words.as_json && (r = print_json(&job, &failure)) < 0)
            status = EXIT_INTERNAL;
    }
    clear(&job);
    return r < 0 ? complaint_tell(complaint_wants_json(argc, argv), status, &failure) : EXIT_ALL_OK;
}
