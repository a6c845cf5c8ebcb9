/* See trace_file.h. */
#include "supervisor/memory/trace_file.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "supervisor/service/as_user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct job {
    uv_work_t work;
    struct trace_files *files;
    struct job *next;
    char *path, *lines;                    /* owned */
    const struct credentials *credentials; /* a reference */
    struct failure failure;
};

struct trace_files {
    uv_loop_t *loop;
    trace_file_failed_cb failed;
    void *context;
    struct job *first, *last; /* waiting or, the first, being written */
    bool closing;
};

struct trace_files *trace_files_open(uv_loop_t *loop, trace_file_failed_cb failed, void *context) {
    struct trace_files *files = calloc(1, sizeof(*files));
    if (files)
        *files = (struct trace_files){.loop = loop, .failed = failed, .context = context};
    return files;
}

static void free_job(struct job *job) {
    free(job->path);
    free(job->lines);
    credentials_unref(job->credentials);
    free(job);
}

/* ---- in the thread ---- */

/* Too long a file gives a text without an end, which trace_file_join does not keep. NULL: none. */
static char *read_old(const char *path) {
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    CLEANUP_FREE char *text = fd >= 0 ? malloc(TRACE_FILE_MOST_BYTES + 1) : NULL;
    size_t used = 0;
    while (text && used < TRACE_FILE_MOST_BYTES) {
        const ssize_t n = read(fd, text + used, TRACE_FILE_MOST_BYTES - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    if (text)
        text[used] = '\0';
    return STEAL_PTR(text);
}

char *trace_file_join(const char *old, const char *lines) {
    static const char heading[] = TRACE_SERIES_HEADING;
    const size_t length = old ? strlen(old) : 0;
    const bool is_kept = length >= sizeof(heading) && old[length - 1] == '\n' &&
                         strncmp(old, heading, sizeof(heading) - 1) == 0 &&
                         length + strlen(lines) <= TRACE_FILE_MOST_BYTES;
    return names_format("%s%s", is_kept ? old : heading, lines);
}

static void write_file(uv_work_t *work) {
    struct job *job = work->data;
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    if (as_user_enter(job->credentials, &as_user, &job->failure) < 0)
        return;
    CLEANUP_FREE char *old = read_old(job->path);
    CLEANUP_FREE char *text = trace_file_join(old, job->lines);
    if (!text)
        (void)failure_set_errno(&job->failure, -ENOMEM, "cannot write %s", job->path);
    else
        (void)!atomic_file_write(job->path, text, strlen(text), &job->failure); /* it is told */
}

/* ---- in the loop ---- */

static void start_first(struct trace_files *files);

static void on_written(uv_work_t *work, int status) {
    struct job *job = work->data;
    struct trace_files *files = job->files;
    (void)status; /* nobody cancels it */
    files->first = job->next;
    if (job->failure.code < 0 && !files->closing)
        files->failed(files->context, &job->failure);
    free_job(job);
    if (files->first)
        start_first(files);
    else if (files->closing)
        free(files);
}

/* Fails only for a callback that is missing. */
static void start_first(struct trace_files *files) {
    (void)uv_queue_work(files->loop, &files->first->work, write_file, on_written);
}

void trace_files_add(struct trace_files *files, const struct trace_series *series, int attempt,
                     const char *path, const struct credentials *credentials) {
    struct failure failure = {0};
    size_t length = 0;
    struct job *job = calloc(1, sizeof(*job));
    FILE *stream = job ? open_memstream(&job->lines, &length) : NULL;
    bool is_whole = false;
    if (stream) {
        trace_series_print(series, attempt, stream);
        is_whole = fclose(stream) == 0 && job->lines;
        job->path = strdup(path);
    }
    if (!is_whole || !job->path) {
        if (job)
            free_job(job);
        (void)failure_set_errno(&failure, -ENOMEM, "cannot write %s", path);
        files->failed(files->context, &failure);
        return;
    }
    job->files = files;
    job->credentials = credentials_ref(credentials);
    job->work.data = job;
    if (files->first) {
        files->last->next = job;
    } else {
        files->first = job;
        start_first(files);
    }
    files->last = job;
}

void trace_files_close(struct trace_files *files) {
    if (!files)
        return;
    files->closing = true;
    if (!files->first)
        free(files);
}
