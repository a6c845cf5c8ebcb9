/* registrar ledger show|verify|csv: reads the ledger of a run, while that run goes on too. */
#include "supervisor/cli/commands.h"
#include "supervisor/ledger/ledger_csv.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/ledger/ledger_replay.h"
#include "supervisor/ledger/ledger_show.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

struct arguments {
    const char *action;
    char path[4096]; /* of the ledger's file */
    const char *task;
    bool json, all, wide;
};

static int wrong_usage(const char *text, const char *word) {
    (void)fprintf(stderr, "registrar ledger: %s%s; see registrar ledger --help\n", text, word);
    return EXIT_USAGE;
}

/* FILE may be the output folder too: it is what people have at hand. */
static int set_path(struct arguments *arguments, const char *out, const char *file) {
    struct stat status;
    if (out && file)
        return wrong_usage("give -o OUT or a ledger file, not both: ", file);
    if (!out && !file)
        return wrong_usage("say which ledger: -o OUT for the run that wrote to OUT, or a ledger ",
                           "file");
    bool is_folder = out || (stat(file, &status) == 0 && S_ISDIR(status.st_mode));
    const int n = snprintf(arguments->path, sizeof(arguments->path), "%s%s", out ? out : file,
                           is_folder ? "/ledger.jsonl" : "");
    if (n < 0 || (size_t)n >= sizeof(arguments->path))
        return wrong_usage("the path is too long: ", out ? out : file);
    return 0;
}

/* 0, or the exit status. */
static int parse(int argc, char **argv, struct arguments *arguments) {
    static const struct option long_options[] = {
        {"output", required_argument, NULL, 'o'}, {"task", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},         {"all", no_argument, NULL, 'a'},
        {"wide", no_argument, NULL, 'w'},         {NULL, 0, NULL, 0},
    };
    const char *out = NULL;
    optind = 0; /* glibc: begin anew, whatever was parsed before */
    for (int c; (c = getopt_long(argc, argv, "o:", long_options, NULL)) != -1;) {
        if (c == 'o')
            out = optarg;
        else if (c == 't')
            arguments->task = optarg;
        else if (c == 'j')
            arguments->json = true;
        else if (c == 'a')
            arguments->all = true;
        else if (c == 'w')
            arguments->wide = true;
        else
            return EXIT_USAGE; /* getopt has said what is wrong */
    }
    arguments->action = argv[optind];
    if (!arguments->action)
        return wrong_usage("say what to do: show, verify or csv", "");
    if (argc - optind > 2)
        return wrong_usage("one ledger at a time; not wanted: ", argv[optind + 2]);
    return set_path(arguments, out, argv[optind + 1]);
}

static int complain(int r, const struct failure *failure) {
    (void)fprintf(stderr, "registrar: %s\n", failure->text);
    if (r == -EBADMSG || r == -EMEDIUMTYPE || r == -EPROTONOSUPPORT)
        return EXIT_LEDGER;
    return r == -ENOMEM || r == -EIO ? EXIT_INTERNAL : EXIT_USAGE;
}

/* Reads the whole ledger; a tail that is no record is told on stderr. Returns the exit status. */
static int read_ledger(const struct arguments *arguments, ledger_store_replay_cb replay,
                       void *context, struct ledger_replay *ret) {
    struct failure failure = {0};
    CLEANUP_CLOSE int fd = -1;
    int r = ledger_lock_open_to_read(arguments->path, &fd, &failure);
    if (r == 0)
        r = ledger_replay_file(fd, arguments->path, replay, context, ret, &failure);
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
        (void)fprintf(stderr, "registrar: %s: nothing about the task %s\n", arguments->path,
                      arguments->task);
    return status;
}

static int csv(struct arguments *arguments) {
    struct ledger_replay replay = {0};
    struct ledger_csv table = {stdout, arguments->task, arguments->wide};
    ledger_csv_heading(&table);
    return read_ledger(arguments, ledger_csv_record, &table, &replay);
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

int command_ledger(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(struct arguments *arguments);
    } actions[] = {{"show", show}, {"verify", verify}, {"csv", csv}};
    struct arguments arguments = {0};
    int status = parse(argc, argv, &arguments);
    if (status != 0)
        return status;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (strcmp(actions[i].name, arguments.action) == 0)
            return actions[i].run(&arguments);
    return wrong_usage("there is no such action: ", arguments.action);
}
