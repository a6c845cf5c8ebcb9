/* registrar submit: what run would do, given to the service. All that touches the user's files is
 * done here, with the user's rights: finding the tasks, reading the images' headers, making OUT. */
#include "common/atomic_file.h"
#include "common/units.h"
#include "supervisor/batch/discover.h"
#include "supervisor/batch/manifest.h"
#include "supervisor/batch/task_json.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/client/connection.h"
#include "supervisor/client/status_view.h"
#include "supervisor/client/watch_stream.h"
#include "supervisor/memory/preflight.h"
#include "supervisor/memory/probe.h"
#include "supervisor/report/command_line.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"
#include "supervisor/service/queue_options.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

struct submit {
    struct options options;
    char *command; /* the command line, quoted; owned */
    struct task_list tasks;
    struct preflight_needs needs;
    char *worker;
    json_t *answer; /* the service's */
    size_t n_problems;
    struct failure failure;
};

static void submit_free(struct submit *submit) {
    options_free(&submit->options);
    free(submit->command);
    task_list_free(&submit->tasks);
    preflight_needs_free(&submit->needs);
    free(submit->worker);
    json_decref(submit->answer);
}

/* The steps below return 0 or the exit status, and then have said why. */

static int fail(const struct submit *submit, int status) {
    return complaint_tell(submit->options.json, status, &submit->failure);
}

/* Before a hundred headers are read: is there anybody who would take them? */
static int look_for_service(struct submit *submit) {
    CLEANUP_CONNECTION struct connection *connection = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    int r = connection_open(submit->options.socket, &connection, &submit->failure);
    if (r == 0)
        r = connection_ask(connection, "hello", json_object(), &answer, &submit->failure);
    return r < 0 ? fail(submit, connection_status(connection)) : 0;
}

/* Of pairs alone: a command's need is told when it is sent, so that a million wait in less room. */
static int gather_needs(struct submit *submit) {
    const struct task_list *tasks = &submit->tasks;
    CLEANUP_FREE bool *is_pair = calloc(tasks->count, sizeof(*is_pair));
    if (!is_pair) {
        (void)failure_set(&submit->failure, -ENOMEM, "out of memory");
        return fail(submit, EXIT_INTERNAL);
    }
    for (size_t i = 0; i < tasks->count; i++)
        is_pair[i] = tasks->items[i].kind == TASK_ALIGN;
    if (preflight_needs_gather(tasks, is_pair, submit->worker, &submit->needs, &submit->failure) <
        0)
        return fail(submit,
                    submit->failure.code == -EPROTO ? complaint_worker_status() : EXIT_INTERNAL);
    return 0;
}

static int find_tasks(struct submit *submit) {
    const struct options *options = &submit->options;
    bool needs_worker = false;
    int r = options->manifest ? manifest_read(options, &submit->tasks, &submit->failure)
                              : discover_tasks(options, &submit->tasks, &submit->failure);
    if (r < 0)
        return fail(submit, EXIT_USAGE);
    for (size_t i = 0; i < submit->tasks.count; i++)
        needs_worker |= submit->tasks.items[i].kind == TASK_ALIGN;
    if (needs_worker && probe_find_worker(&submit->worker, &submit->failure) < 0)
        return fail(submit, complaint_worker_status());
    const int status = gather_needs(submit);
    if (status != 0)
        return status;
    for (size_t i = 0; i < submit->tasks.count; i++)
        submit->n_problems += submit->tasks.items[i].broken || submit->needs.items[i].error;
    return 0;
}

/* Room on the disk; room in memory is the service's to judge, who knows what else is to run. */
static int check_disk(struct submit *submit) {
    uint64_t needed = 0;
    struct space space;
    char text[2][UNITS_TEXT_BYTES];
    for (size_t i = 0; i < submit->needs.count; i++)
        needed +=
            submit->needs.items[i].need.is_pair ? forecast_disk(&submit->needs.items[i].need) : 0;
    if (needed == 0 || submit->options.force)
        return 0;
    if (space_read(submit->options.out, &space, &submit->failure) < 0)
        return fail(submit, EXIT_USAGE);
    if (needed <= space.free_bytes)
        return 0;
    (void)failure_set(&submit->failure, -ENOSPC,
                      "the disk of %s has %s free and the results need %s: make room, give another "
                      "-o OUT, submit fewer samples, or submit all the same with --force",
                      submit->options.out, units_format_size(space.free_bytes, text[0]),
                      units_format_size(needed, text[1]));
    return fail(submit, EXIT_REFUSED);
}

static json_t *add_text(json_t *header, const char *key, const char *text) {
    if (header && text && json_object_set_new(header, key, json_string(text)) < 0) {
        json_decref(header);
        return NULL;
    }
    return header;
}

static json_t *make_header(const struct submit *submit) {
    const struct options *options = &submit->options;
    json_t *header = json_pack(
        "{s:i, s:s, s:s, s:I, s:s, s:o, s:i}", "v", CONNECTION_PROTOCOL_VERSION, "do", "submit",
        "out", options->out, "tasks", (json_int_t)submit->tasks.count, "command", submit->command,
        "options", queue_options_to_json(options), "priority", options->priority);
    header = add_text(header, "name", options->name);
    header = add_text(header, "not_before", options->not_before);
    return add_text(header, "on_finish", options->on_finish);
}

static json_t *make_line(const struct submit *submit, size_t i) {
    const struct task *task = &submit->tasks.items[i];
    const struct preflight_need *known = &submit->needs.items[i];
    struct forecast_task need = known->need;
    if (task->kind == TASK_COMMAND)
        need = (struct forecast_task){.declared_bytes = task->memory_bytes,
                                      .size = preflight_needs_input_size(task)};
    return task_json_make(task, task->broken || known->error ? NULL : &need);
}

static int send_tasks(struct submit *submit, struct connection *connection) {
    int r = connection_send(connection, make_header(submit), &submit->failure);
    for (size_t i = 0; r == 0 && i < submit->tasks.count; i++)
        r = connection_send(connection, make_line(submit, i), &submit->failure);
    return r < 0 ? r : connection_receive(connection, &submit->answer, &submit->failure);
}

static int hand_in(struct submit *submit) {
    CLEANUP_CONNECTION struct connection *connection = NULL;
    if (atomic_file_make_folders(submit->options.out, &submit->failure) < 0)
        return fail(submit, EXIT_USAGE);
    int r = connection_open(submit->options.socket, &connection, &submit->failure);
    if (r == 0)
        r = send_tasks(submit, connection);
    return r < 0 ? fail(submit, connection_status(connection)) : 0;
}

/* ---- what came of it ---- */

static const char *name_of(const struct submit *submit) {
    const char *name = json_string_value(json_object_get(submit->answer, "batch"));
    return name ? name : "";
}

static long long number_of(const struct submit *submit, const char *key) {
    return (long long)json_integer_value(json_object_get(submit->answer, key));
}

/* The name on stdout, for scripts; the rest is for people. */
static void tell(const struct submit *submit) {
    const long long queued = number_of(submit, "queued"), already = number_of(submit, "already");
    if (!submit->options.quiet) {
        (void)fprintf(stderr, "registrar: %lld task%s wait%s in the batch %s", queued,
                      queued == 1 ? "" : "s", queued == 1 ? "s" : "", name_of(submit));
        if (already > 0)
            (void)fprintf(stderr, "; %lld wait%s or ran already", already,
                          already == 1 ? "s" : "ed");
        if (number_of(submit, "seen") > 0)
            (void)fprintf(stderr,
                          "; %lld ended earlier, and what is done and unchanged is not done again",
                          number_of(submit, "seen"));
        if (submit->n_problems > 0)
            (void)fprintf(stderr, "; %zu cannot be done and will fail (registrar plan tells why)",
                          submit->n_problems);
        (void)fputc('\n', stderr);
    }
    if (!submit->options.json)
        (void)puts(name_of(submit)); /* main checks stdout at the end */
    else if (!submit->options.wait &&
             json_dumpf(submit->answer, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0)
        (void)putchar('\n');
    (void)fflush(stdout);
}

/* ---- --wait ---- */

/* Async-signal-safe calls only. */
static void leave(int number) {
    (void)number;
    static const char text[] = "\nregistrar: the batch goes on; registrar status tells how far it "
                               "is, registrar cancel ends it\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1); /* nobody left to tell */
    _exit(EXIT_INTERRUPTED);
}

/* The batch with its tasks, as it ended. */
static int show_end(struct submit *submit) {
    CLEANUP_CONNECTION struct connection *connection = NULL;
    const bool redraws = terminal_can_redraw(STDOUT_FILENO);
    CLEANUP(status_view_free)
    struct status_view view = {
        .stream = stdout,
        .width = redraws ? terminal_size(STDOUT_FILENO).columns : TEXT_UNLIMITED,
        .colour = terminal_has_colour(STDOUT_FILENO),
        .as_json = submit->options.json,
        .batch = name_of(submit),
    };
    int r = connection_open(submit->options.socket, &connection, &submit->failure);
    if (r == 0)
        r = status_view_show(&view, connection, false, &submit->failure);
    if (r < 0)
        return fail(submit, connection_status(connection));
    return status_view_problems(json_array_get(view.batches, 0)) > 0 ? EXIT_SOME_FAILED
                                                                     : EXIT_ALL_OK;
}

static int wait_for_end(struct submit *submit) {
    const struct sigaction action = {.sa_handler = leave};
    struct watch_stream watch = {
        .stream = submit->options.quiet ? NULL : stderr,
        .batch = name_of(submit),
    };
    int status = EXIT_INTERNAL;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    const int r = watch_stream_follow_on(&watch, submit->options.socket, &status, &submit->failure);
    json_decref(watch.last);
    return r < 0 ? fail(submit, status) : show_end(submit);
}

int command_submit(int argc, char **argv) {
    CLEANUP(submit_free) struct submit submit = {.command = command_line_of_registrar(argc, argv)};
    if (options_parse(argc, argv, &submit.options, &submit.failure) < 0)
        return complaint_tell(complaint_wants_json(argc, argv), EXIT_USAGE, &submit.failure);
    if (!submit.command) {
        (void)failure_set(&submit.failure, -ENOMEM, "out of memory");
        return fail(&submit, EXIT_INTERNAL);
    }
    int status = look_for_service(&submit);
    if (status == 0)
        status = find_tasks(&submit);
    if (status == 0)
        status = check_disk(&submit);
    if (status == 0)
        status = hand_in(&submit);
    if (status != 0)
        return status;
    tell(&submit);
    return submit.options.wait ? wait_for_end(&submit) : EXIT_ALL_OK;
}
