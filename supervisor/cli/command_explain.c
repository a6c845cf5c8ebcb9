/* registrar explain TASK: the story of one task from a ledger, while its run goes on too. */
#include "common/names.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/cli/explain_service.h"
#include "supervisor/cli/ledger_argument.h"
#include "supervisor/cli/option_words.h"
#include "supervisor/engine/launch.h"
#include "supervisor/explain/explain_print.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/ledger/ledger_store.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"

#include <errno.h>
#include <string.h>

enum { PAGE_COLUMNS = 80 };

struct arguments {
    const char *task, *out, *file;      /* borrowed; NULL: not given */
    const char *socket, *batch;         /* likewise */
    char path[LEDGER_ARGUMENT_BYTES];   /* of the ledger's file */
    char folder[LEDGER_ARGUMENT_BYTES]; /* that it stands in */
    bool json;
};

enum { OPTION_OUT, OPTION_BATCH, OPTION_SOCKET, OPTION_JSON };

#define GROUP "Options"

static const struct option_row rows[] = {
    [OPTION_OUT] = {"out", "OUT", NULL, "the ledger of the run that wrote to OUT", GROUP, 'o',
                    "explain"},
    [OPTION_BATCH] = {"batch", "NAME", "the newest that has such a task", "the task's batch", GROUP,
                      'b', "explain"},
    [OPTION_SOCKET] = {"socket", "PATH", NULL,
                       "where the service is; else REGISTRAR_SOCKET, the system's, yours", GROUP, 0,
                       "explain"},
    [OPTION_JSON] = {"json", NULL, NULL, "as JSON", GROUP, 0, "explain"},
};

const struct option_row *command_explain_row(size_t n) {
    return n < ARRAY_LEN(rows) ? &rows[n] : NULL;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct arguments *arguments = context;
    if (n == OPTION_OUT)
        arguments->out = value;
    else if (n == OPTION_BATCH)
        arguments->batch = value;
    else if (n == OPTION_SOCKET)
        arguments->socket = value;
    else
        arguments->json = true;
    (void)failure; /* any value will do */
    return 0;
}

static int set_word(void *context, const char *word, struct failure *failure) {
    struct arguments *arguments = context;
    const char **slot = !arguments->task ? &arguments->task : &arguments->file;
    if (*slot)
        return failure_set(failure, -EINVAL, "one task and one ledger: \"%.200s\" is one too many",
                           word);
    *slot = word;
    return 0;
}

static int set_path(struct arguments *arguments, struct failure *failure) {
    if (!arguments->task)
        return failure_set(failure, -EINVAL,
                           "say which task: registrar explain TASK, or registrar explain TASK "
                           "-o OUT for the run that wrote to OUT");
    if (!arguments->out && !arguments->file)
        return 0; /* the service's */
    int r = ledger_argument_path(arguments->out, arguments->file, "", arguments->path, failure);
    if (r < 0)
        return r;
    (void)snprintf(arguments->folder, sizeof(arguments->folder), "%s", arguments->path);
    char *slash = strrchr(arguments->folder, '/');
    if (!slash)
        (void)snprintf(arguments->folder, sizeof(arguments->folder), ".");
    else
        slash[slash == arguments->folder ? 1 : 0] = '\0';
    return 0;
}

static int parse(int argc, char **argv, struct arguments *arguments, struct failure *failure) {
    const struct option_words words = {
        .row = command_explain_row, .set = set_option, .word = set_word, .context = arguments};
    uint32_t given;
    int r = option_words_parse(argc, argv, &words, &given, failure);
    return r < 0 ? r : set_path(arguments, failure);
}

/* Who goes on with the run; 0: nobody. */
static pid_t find_holder(const char *path) {
    struct failure failure = {0};
    CLEANUP_CLOSE int fd = -1;
    if (ledger_lock_open_to_read(path, &fd, &failure) < 0)
        return 0;
    return ledger_lock_holder("/proc/locks", fd);
}

/* A ledger knows of a task when its first attempt begins. */
static int refuse_unknown(const struct arguments *arguments, const struct story *story,
                          bool goes_on, struct failure *failure) {
    const json_int_t n = json_integer_value(json_object_get(story->batch, "tasks"));
    if (story->nearest)
        return failure_set(failure, -ENOENT,
                           "%s has nothing about the task %.200s; did you mean %.200s?",
                           arguments->path, arguments->task, story->nearest);
    if (goes_on)
        return failure_set(failure, -ENOENT,
                           "%s has nothing about the task %.200s yet: of the %lld tasks of the run "
                           "that goes on, those that wait for their first attempt are not in it",
                           arguments->path, arguments->task, (long long)n);
    if (!story->examples[0])
        return failure_set(failure, -ENOENT, "%s has no task at all", arguments->path);
    return failure_set(failure, -ENOENT,
                       "%s has nothing about the task %.200s; its tasks are called %.200s, for "
                       "example, and one that was never begun is not in it (registrar ledger show "
                       "lists them)",
                       arguments->path, arguments->task, story->examples[0]);
}

static int print(const struct explain_print *what, bool as_json) {
    if (!as_json)
        return explain_print(what, stdout); /* main checks stdout at the end */
    CLEANUP_JSON json_t *value = explain_print_json(what);
    if (!value || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) < 0)
        return -ENOMEM;
    (void)putchar('\n');
    return 0;
}

static int tell(const struct arguments *arguments, const struct story *story, pid_t holder,
                struct failure *failure) {
    CLEANUP_FREE char *cwd = getcwd(NULL, 0);
    CLEANUP_FREE char *log_path = launch_log_path(arguments->folder, story->task);
    CLEANUP(next_free) struct next next = {0};
    const struct next_facts facts = {
        .state = story_state(story, holder > 0),
        .out = arguments->folder,
        .cwd = cwd ? cwd : "",
        .holder = (int)holder,
    };
    if (facts.state == STORY_UNKNOWN)
        return refuse_unknown(arguments, story, holder > 0 && !story->is_over, failure);
    int r = log_path ? next_make(story, &facts, &next) : -ENOMEM;
    const bool redraws = terminal_can_redraw(STDOUT_FILENO);
    const struct explain_print what = {
        .story = story,
        .state = facts.state,
        .next = &next,
        .log_path = r == 0 && access(log_path, F_OK) == 0 ? log_path : NULL,
        .width = redraws ? terminal_size(STDOUT_FILENO).columns : PAGE_COLUMNS,
        .colour = terminal_has_colour(STDOUT_FILENO),
    };
    if (r == 0)
        r = print(&what, arguments->json);
    return r < 0 ? failure_set_errno(failure, r, "cannot explain the task") : 0;
}

static int status_of(int r) {
    if (r == -EBADMSG || r == -EMEDIUMTYPE || r == -EPROTONOSUPPORT)
        return EXIT_LEDGER;
    return r == -ENOMEM || r == -EIO ? EXIT_INTERNAL : EXIT_USAGE;
}

/* What a task that the ledger does not have may be mistaken for takes a look at all of it. */
static int read_story(const struct arguments *arguments, struct story *story,
                      struct failure *failure) {
    int r = story_begin(story, arguments->task);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot explain the task");
    r = ledger_store_search(arguments->path, story_wants, story_record, story, failure);
    if (r < 0 || story->n_attempts > 0 || story->verdict)
        return r;
    story_clear(story);
    story->task = arguments->task;
    return ledger_store_read(arguments->path, story_record, story, failure);
}

/* ---- the service's ---- */

/* Nothing was begun yet: there is no story but why. */
static int tell_waiting(const struct arguments *arguments, const struct explain_service *explain) {
    const char *batch = explain_service_text(explain, "batch");
    const char *why = explain_service_text(explain, "why");
    const char *verdict = explain_service_text(explain, "verdict");
    if (arguments->json)
        return json_dumpf(explain->task, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF
                   ? -ENOMEM
                   : 0;
    (void)printf("%s of %s, %s: no attempt was made%s%s\n", arguments->task, batch, verdict,
                 *why ? "; " : "", why); /* main checks stdout at the end */
    return 0;
}

static int tell_of_service(const struct arguments *arguments, struct explain_service *explain,
                           struct failure *failure) {
    CLEANUP(next_free) struct next next = {0};
    const char *log_path = explain_service_text(explain, "path");
    const struct next_facts facts = {
        .state = story_state(&explain->story, true),
        .out = explain_service_text(explain, "out"),
        .cwd = "",
    };
    const bool redraws = terminal_can_redraw(STDOUT_FILENO);
    int r = facts.state == STORY_UNKNOWN ? tell_waiting(arguments, explain)
                                         : next_make(&explain->story, &facts, &next);
    if (facts.state == STORY_UNKNOWN || r < 0)
        return r < 0 ? failure_set_errno(failure, r, "cannot explain the task") : 0;
    if (!next.command)
        next.command = STEAL_PTR(explain->command);
    const struct explain_print what = {
        .story = &explain->story,
        .state = facts.state,
        .next = &next,
        .log_path = access(log_path, F_OK) == 0 ? log_path : NULL,
        .width = redraws ? terminal_size(STDOUT_FILENO).columns : PAGE_COLUMNS,
        .colour = terminal_has_colour(STDOUT_FILENO),
    };
    r = print(&what, arguments->json);
    return r < 0 ? failure_set_errno(failure, r, "cannot explain the task") : 0;
}

static bool is_absent(int code) {
    return code == -ENOENT || code == -ENOTDIR || code == -ECONNREFUSED;
}

/* Returns the exit status. */
static int ask_service(const struct arguments *arguments) {
    CLEANUP_CONNECTION struct connection *connection = NULL;
    CLEANUP(explain_service_free) struct explain_service explain = {0};
    struct failure failure = {0}, reason;
    int r = connection_open(arguments->socket, &connection, &reason);
    if (is_absent(r))
        (void)failure_set(
            &failure, -EINVAL,
            "say which ledger: registrar explain %.200s -o OUT for the run that wrote "
            "to OUT, or a ledger file in place of -o OUT; and %s",
            arguments->task, reason.text);
    else if (r < 0)
        failure = reason;
    else
        r = explain_service_read(connection, arguments->batch, arguments->task, &explain, &failure);
    if (r == 0)
        r = tell_of_service(arguments, &explain, &failure);
    return r < 0 ? complaint_tell(arguments->json, connection_status(connection), &failure)
                 : EXIT_ALL_OK;
}

int command_explain(int argc, char **argv) {
    struct arguments arguments = {0};
    struct failure failure = {0};
    CLEANUP(story_clear) struct story story = {0};
    int r = parse(argc, argv, &arguments, &failure);
    if (r == 0 && !arguments.path[0])
        return ask_service(&arguments);
    if (r == 0) {
        /* asked first: a run that ends meanwhile has written its end */
        const pid_t holder = find_holder(arguments.path);
        r = read_story(&arguments, &story, &failure);
        if (r == 0)
            r = tell(&arguments, &story, holder, &failure);
    }
    return r < 0 ? complaint_tell(complaint_wants_json(argc, argv), status_of(r), &failure)
                 : EXIT_ALL_OK;
}
