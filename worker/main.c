/* registrar-worker: finds the mode and hands over. One process per task; the supervisor watches it
 * from outside, so whatever a hostile image does here ends here. */
#include "common/protocol.h"
#include "common/version.h"
#include "worker/apply/apply.h"
#include "worker/sandbox/sandbox.h"
#include "worker/stage/pipeline.h"
#include "worker/stage/progress.h"
#include "worker/stage/report.h"
#include "worker/tiff/probe.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>

static const char usage[] =
    "usage: registrar-worker align  < TASK.json    align one pair\n"
    "       registrar-worker apply  < APPLY.json   one image or table through a map\n"
    "       registrar-worker probe  < FILES.json   sizes of images, from their headers\n"
    "       registrar-worker hash   < FILES.json   content hashes of files\n"
    "       registrar-worker --help | --version\n"
    "\n"
    "The task is one JSON object on stdin:\n"
    "  {\"pre\":\"pre.tif\", \"post\":\"post.tif\", \"out\":\"folder\",\n"
    "   \"params\":{...}, \"threads\":2, \"memory_bytes\":536870912}\n"
    "Reports are JSON lines on file descriptor 3, or on stdout when that is not open.\n"
    "See registrar-worker(1). For a folder of pairs use: registrar run RAW -o OUT\n"
    "\n"
    "Parameters of align:\n";

static void print_help(void) {
    (void)fputs(usage, stdout);
    for (size_t i = 0; params_name(i); i++)
        (void)printf("  %-17s %-8s %s\n", params_name(i), params_default_text(i),
                     params_meaning(i));
}

/* Freed memory goes back to the kernel at once, and threads share two arenas: what the process
 * holds stays near what the tracked allocator counts. */
static void limit_malloc(void) {
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
    (void)mallopt(M_ARENA_MAX, 2);
}

static int enter_sandbox(struct align_task *task, const struct report *report,
                         struct failure *failure) {
    const char *const inputs[] = {task->pre, task->post};
    const struct landlock_paths paths = {.inputs = inputs,
                                         .n_inputs = ARRAY_LEN(inputs),
                                         .output = task->out,
                                         .shared = task->shared};
    int r = sandbox_enter(&paths, report_descriptor(report), failure);
    task->may_link = r > 0;
    return r < 0 ? r : 0;
}

static int align(struct report *report) {
    struct failure failure = {0};
    struct align_task task = {0};
    if (align_task_read(stdin, &task, &failure) < 0) {
        report_error(report, "input", &failure);
        return PROTOCOL_EXIT_USAGE;
    }
    progress_hold_signals();
    task.may_link = task.is_unconfined;
    int r = task.is_unconfined ? 0 : enter_sandbox(&task, report, &failure);
    if (r == 0)
        r = pipeline_run(&task, report, &failure);
    align_task_clear(&task);
    if (r == 0)
        return 0;
    if (r == -ECANCELED)
        return PROTOCOL_EXIT_STOPPED;
    if (!failure.text[0])
        (void)failure_set_errno(&failure, r, "the task could not be done");
    report_error(report, pipeline_is_environment(r) ? "environment" : "input", &failure);
    return PROTOCOL_EXIT_ERROR;
}

static int run_mode(const char *mode, struct report *report) {
    if (strcmp(mode, "align") == 0)
        return align(report);
    if (strcmp(mode, "apply") == 0)
        return apply_main(report);
    if (strcmp(mode, "probe") == 0)
        return probe_main();
    if (strcmp(mode, "hash") == 0)
        return probe_hash_main();
    (void)fprintf(stderr, "registrar-worker: unknown mode \"%s\"\n%s", mode, usage);
    return PROTOCOL_EXIT_USAGE;
}

int main(int argc, char **argv) {
    struct report *report = report_open(); /* before anything can take descriptor 3 */
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help();
        report_close(report);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)puts("registrar-worker " REGISTRAR_VERSION);
        report_close(report);
        return 0;
    }
    if (argc != 2 || !report) {
        (void)fputs(usage, stderr);
        report_close(report);
        return PROTOCOL_EXIT_USAGE;
    }
    limit_malloc();
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that went away shows as EPIPE */
    int status = run_mode(argv[1], report);
    report_close(report);
    return status;
}
