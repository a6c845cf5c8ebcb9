/* registrar ledger show|verify|csv: reads the ledger of a run, while that run goes on too; compact
 * makes it smaller when nobody uses it. */
#include "common/units.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/cli/ledger_argument.h"
#include "supervisor/cli/option_words.h"
#include "supervisor/client/ledger_feed.h"
#include "supervisor/ledger/ledger_compact.h"
#include "supervisor/ledger/ledger_csv.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/ledger/ledger_replay.h"
#include "supervisor/ledger/ledger_show.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"

#include <errno.h>
#include <string.h>

struct arguments {
    const char *action;
    const char *out, *file, *task;    /* borrowed; NULL: not given */
    const char *socket;               /* likewise */
    char path[LEDGER_ARGUMENT_BYTES]; /* of the ledger's file; "": the service's */
    bool json, all, wide;
};

enum { OPTION_OUT, OPTION_TASK, OPTION_ALL, OPTION_JSON, OPTION_WIDE, OPTION_SOCKET };

#define GROUP "Options"

static const struct option_row rows[] = {
    [OPTION_OUT] = {"out", "OUT", NULL, "the ledger of the run that wrote to OUT", GROUP, 'o',
                    "show, verify, csv, compact"},
    [OPTION_TASK] = {"task", "ID", NULL, "only the records of this task", GROUP, 0, "show, csv"},
    [OPTION_ALL] = {"all", NULL, NULL, "every record, starts and ends of tasks too", GROUP, 0,
                    "show"},
    [OPTION_JSON] = {"json", NULL, NULL, "the records as they stand, a JSON line each", GROUP, 0,
                     "show"},
    [OPTION_WIDE] = {"wide", NULL, NULL, "a line for each attempt, with all that is recorded of it",
                     GROUP, 0, "csv"},
    [OPTION_SOCKET] = {"socket", "PATH", NULL,
                       "where the service is; else REGISTRAR_SOCKET, the system's, yours", GROUP, 0,
                       "show, csv"},
};

const struct option_row *command_ledger_row(size_t n) {
    return n < ARRAY_LEN(rows) ? &rows[n] : NULL;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct arguments *arguments = context;
    if (n == OPTION_OUT)
        arguments->out = value;
    else if (n == OPTION_TASK)
        arguments->task = value;
    else if (n == OPTION_ALL)
        arguments->all = true;
    else if (n == OPTION_JSON)
        arguments->json = true;
    else if (n == OPTION_SOCKET)
        arguments->socket = value;
    else
        arguments->wide = true;
    (void)failure; /* any value will do */
    return 0;
}

static int set_word(void *context, const char *word, struct failure *failure) {
    struct arguments *arguments = context;
    if (!arguments->action)
        arguments->action = word;
    else if (!arguments->file)
        arguments->file = word;
    else
        return failure_set(failure, -EINVAL, "one ledger at a time: \"%.200s\" is one too many",
                           word);
    return 0;
}

/* Without a ledger it is the service's, as far as that shows it. */
static int set_path(struct arguments *arguments, struct failure *failure) {
    const bool may_ask =
        strcmp(arguments->action, "show") == 0 || strcmp(arguments->action, "csv") == 0;
    if (may_ask && !arguments->out && !arguments->file)
        return 0;
    return ledger_argument_path(
        arguments->out, arguments->file,
        "say which ledger: -o OUT for the run that wrote to OUT, or a ledger file", arguments->path,
        failure);
}

static int complain(int r, const struct failure *failure) {
    (void)fprintf(stderr, "registrar: %s\n", failure->text);
    if (r == -EBADMSG || r == -EMEDIUMTYPE || r == -EPROTONOSUPPORT)
        return EXIT_LEDGER;
    return r == -ENOMEM || r == -EIO ? EXIT_INTERNAL : EXIT_USAGE;
}

static int read_service(const struct arguments *arguments, ledger_store_replay_cb replay,
                        void *context) {
    CLEANUP_CONNECTION struct connection *connection = NULL;
    struct failure failure = {0}, reason;
    int r = connection_open(arguments->socket, &connection, &reason);
    if (r < 0)
        return complain(failure_set(&failure, -EINVAL,
                                    "say which ledger: -o OUT for the run that wrote to OUT, or a "
                                    "ledger file; and %s",
                                    reason.text),
                        &failure);
    r = ledger_feed_read(connection, NULL, NULL, replay, context, NULL, &failure);
    if (r < 0)
        (void)fprintf(stderr, "registrar: %s\n", failure.text);
    return r < 0 ? connection_status(connection) : EXIT_ALL_OK;
}

/* Reads the whole ledger; a tail that is no record is told on stderr. Returns the exit status. */
static int read_ledger(const struct arguments *arguments, ledger_store_replay_cb replay,
                       void *context, struct ledger_replay *ret) {
    struct failure failure = {0};
    CLEANUP_CLOSE int fd = -1;
    if (!arguments->path[0])
        return read_service(arguments, replay, context);
    int r = ledger_lock_open_to_read(arguments->path, &fd, &failure);
    if (r == 0)
        r = ledger_replay_file(fd, arguments->path, NULL, replay, context, ret, &failure);
    if (r < 0)
        return complain(r, &failure);
    if (ret->state != LEDGER_REPLAY_TORN)
        return EXIT_ALL_OK;
    const pid_t holder = ledger_lock_holder("/proc/locks", fd);
    unsigned long long bytes = ret->file_bytes - ret->good_bytes;
    if (holder > 0)
        (void)fprintf(stderr,
                      "registrar: %s: process %d is writing to it: its last %llu bytes are "
                      "no whole record yet\n",
                      arguments->path, (int)holder, bytes);
    else
        (void)fprintf(stderr,
                      "registrar: %s: its last %llu bytes are no whole record: a run was killed or "
                      "power was lost while it wrote them; no result that was told is in them, and "
                      "the next run sets them aside\n",
                      arguments->path, bytes);
    return EXIT_ALL_OK;
}

static int print_json(void *context, const json_t *record, struct failure *failure) {
    const struct arguments *arguments = context;
    const char *task = json_string_value(json_object_get(record, "task"));
    if (arguments->task && (!task || strcmp(task, arguments->task) != 0))
        return 0;
    CLEANUP_FREE char *text =
        json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    if (!text)
        return failure_set_errno(failure, -ENOMEM, "cannot show the ledger");
    (void)puts(text); /* main checks stdout at the end */
    return 0;
}

static int show(struct arguments *arguments) {
    struct ledger_replay replay = {0};
    if (arguments->json)
        return read_ledger(arguments, print_json, arguments, &replay);
    const bool redraws = terminal_can_redraw(STDOUT_FILENO);
    const struct ledger_show_options options = {
        .task = arguments->task,
        .all = arguments->all,
        .width = redraws ? terminal_size(STDOUT_FILENO).columns : TEXT_UNLIMITED,
        .colour = terminal_has_colour(STDOUT_FILENO),
    };
    struct ledger_show *shown = ledger_show_open(stdout, &options);
    struct failure failure = {0};
    if (!shown)
        return complain(-ENOMEM, &failure);
    int status = read_ledger(arguments, ledger_show_record, shown, &replay);
    int r = ledger_show_finish(shown); /* what stands before damage is worth seeing too */
    if (r < 0)
        return complain(failure_set_errno(&failure, r, "cannot show the ledger"), &failure);
    if (r > 0 && arguments->task && status == EXIT_ALL_OK)
        (void)fprintf(stderr, "registrar: %s: nothing about the task %s\n",
                      arguments->path[0] ? arguments->path : "the service's ledger",
                      arguments->task);
    return status;
}

static int csv(struct arguments *arguments) {
    struct ledger_replay replay = {0};
    struct ledger_csv table = {.stream = stdout, .task = arguments->task, .wide = arguments->wide};
    ledger_csv_heading(&table);
    const int status = read_ledger(arguments, ledger_csv_record, &table, &replay);
    ledger_csv_finish(&table); /* what stands before damage is worth seeing too */
    return status;
}

static int verify(struct arguments *arguments) {
    struct ledger_replay replay = {0};
    int status = read_ledger(arguments, NULL, NULL, &replay);
    if (status != EXIT_ALL_OK)
        return status;
    const char *verdict =
        replay.state == LEDGER_REPLAY_TORN ? "behind them a torn tail" : "no damage";
    if (replay.n_records == 0)
        (void)printf("%s: no records, %s\n", arguments->path, verdict);
    else
        (void)printf("%s: %llu record%s, seq 1 to %llu, %s\n", arguments->path,
                     (unsigned long long)replay.n_records, replay.n_records == 1 ? "" : "s",
                     (unsigned long long)replay.n_records, verdict);
    return status;
}

static int compact(struct arguments *arguments) {
    struct ledger_compact_result done;
    struct failure failure = {0};
    char before[UNITS_TEXT_BYTES], after[UNITS_TEXT_BYTES];
    const int r = ledger_compact_file(arguments->path, 0, &done, &failure);
    if (r == -EWOULDBLOCK || r == -EUCLEAN) {
        (void)fprintf(stderr, "registrar: %s\n", failure.text);
        return EXIT_LEDGER;
    }
    if (r < 0)
        return complain(r, &failure);
    if (!done.is_done)
        (void)printf("%s: all of its %llu records still count; nothing was changed\n",
                     arguments->path, (unsigned long long)done.records_before);
    else
        (void)printf("%s: %llu of %llu records still count, %s in place of %s\n", arguments->path,
                     (unsigned long long)done.records_after,
                     (unsigned long long)done.records_before,
                     units_format_size(done.bytes_after, after),
                     units_format_size(done.bytes_before, before));
    return EXIT_ALL_OK;
}

static const struct {
    const char *name;
    int (*run)(struct arguments *arguments);
} actions[] = {{"show", show}, {"verify", verify}, {"csv", csv}, {"compact", compact}};

/* The action's place in the list goes to *ret_action. */
static int parse(int argc, char **argv, struct arguments *arguments, size_t *ret_action,
                 struct failure *failure) {
    const struct option_words words = {
        .row = command_ledger_row, .set = set_option, .word = set_word, .context = arguments};
    uint32_t given;
    int r = option_words_parse(argc, argv, &words, &given, failure);
    if (r < 0)
        return r;
    if (!arguments->action)
        return failure_set(failure, -EINVAL,
                           "say what to do: registrar ledger show, verify, csv or compact");
    size_t i = 0;
    while (i < ARRAY_LEN(actions) && strcmp(actions[i].name, arguments->action) != 0)
        i++;
    if (i == ARRAY_LEN(actions))
        return failure_set(failure, -EINVAL,
                           "registrar ledger can show, verify, csv or compact, not \"%.100s\"",
                           arguments->action);
    r = option_words_check(&words, given, "ledger ", arguments->action, failure);
    if (r == 0)
        r = set_path(arguments, failure);
    if (r == 0)
        *ret_action = i;
    return r;
}

int command_ledger(int argc, char **argv) {
    struct arguments arguments = {0};
    struct failure failure = {0};
    size_t action = 0;
    int r = parse(argc, argv, &arguments, &action, &failure);
    if (r < 0)
        return complaint_tell(false, EXIT_USAGE, &failure);
    return actions[action].run(&arguments);
}
