/* registrar model: what has been learned of each kind of task from a run's ledger. */
#include "supervisor/memory/model.h"

#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/cli/ledger_argument.h"
#include "supervisor/cli/option_words.h"
#include "supervisor/ledger/ledger_store.h"
#include "supervisor/memory/model_print.h"
#include "supervisor/report/terminal.h"

#include <errno.h>
#include <string.h>

struct arguments {
    const char *out, *file, *kind; /* borrowed; NULL: not given */
    char path[LEDGER_ARGUMENT_BYTES];
    bool json;
};

enum { OPTION_OUT, OPTION_KIND, OPTION_JSON };

#define GROUP "Options"

static const struct option_row rows[] = {
    [OPTION_OUT] = {"out", "OUT", NULL, "the ledger of the run that wrote to OUT", GROUP, 'o',
                    "model"},
    [OPTION_KIND] = {"kind", "KIND", NULL, "only this kind of task", GROUP, 0, "model"},
    [OPTION_JSON] = {"json", NULL, NULL, "as JSON", GROUP, 0, "model"},
};

const struct option_row *command_model_row(size_t n) {
    return n < ARRAY_LEN(rows) ? &rows[n] : NULL;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct arguments *arguments = context;
    if (n == OPTION_OUT)
        arguments->out = value;
    else if (n == OPTION_KIND)
        arguments->kind = value;
    else
        arguments->json = true;
    (void)failure; /* any value will do */
    return 0;
}

static int set_word(void *context, const char *word, struct failure *failure) {
    struct arguments *arguments = context;
    if (arguments->file)
        return failure_set(failure, -EINVAL, "one ledger at a time: \"%.200s\" is one too many",
                           word);
    arguments->file = word;
    return 0;
}

static int set_path(struct arguments *arguments, struct failure *failure) {
    return ledger_argument_path(
        arguments->out, arguments->file,
        "say which ledger: -o OUT for the run that wrote to OUT, or a ledger file", arguments->path,
        failure);
}

static int parse(int argc, char **argv, struct arguments *arguments, struct failure *failure) {
    const struct option_words words = {
        .row = command_model_row, .set = set_option, .word = set_word, .context = arguments};
    uint32_t given;
    int r = option_words_parse(argc, argv, &words, &given, failure);
    return r < 0 ? r : set_path(arguments, failure);
}

static bool is_known(const struct model *model, const char *kind) {
    struct model_kind_view view;
    bool found = false;
    for (size_t i = 0; i < model_count(model) && !found; i++) {
        model_look(model, i, &view);
        found = view.n_attempts > 0 && (!kind || strcmp(view.name, kind) == 0);
    }
    return found;
}

static int check_kind(const struct arguments *arguments, const struct model *model,
                      struct failure *failure) {
    char names[512] = "";
    size_t used = 0;
    if (!arguments->kind || is_known(model, arguments->kind))
        return 0;
    for (size_t i = 0; i < model_count(model) && used < sizeof(names); i++) {
        struct model_kind_view view;
        model_look(model, i, &view);
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
                                 view.name);
    }
    return failure_set(failure, -ENOENT, "%s has no attempts of the kind %.200s; it has: %s",
                       arguments->path, arguments->kind, used ? names : "none at all");
}

static int print(const struct arguments *arguments, const struct model *model) {
    if (!arguments->json) {
        if (is_known(model, NULL))
            model_print(model, arguments->kind, stdout, terminal_size(STDOUT_FILENO).columns);
        else
            (void)printf("nothing has been learned yet: no attempt has ended\n");
        return 0;
    }
    CLEANUP_JSON json_t *value = model_to_json(model, arguments->kind);
    if (!value || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) < 0)
        return -ENOMEM;
    (void)putchar('\n'); /* main checks stdout at the end */
    return 0;
}

static int status_of(int r) {
    if (r == -EBADMSG || r == -EMEDIUMTYPE || r == -EPROTONOSUPPORT)
        return EXIT_LEDGER;
    return r == -ENOMEM || r == -EIO ? EXIT_INTERNAL : EXIT_USAGE;
}

static void close_model(struct model **model) { model_close(*model); }

int command_model(int argc, char **argv) {
    struct arguments arguments = {0};
    struct failure failure = {0};
    CLEANUP(close_model) struct model *model = NULL;
    int r = parse(argc, argv, &arguments, &failure);
    if (r == 0)
        r = model_open(&model, &failure);
    if (r == 0)
        r = ledger_store_search(arguments.path, model_wants, model_replay, model, &failure);
    if (r == 0) {
        (void)model_refresh(model);
        r = check_kind(&arguments, model, &failure);
    }
    if (r == 0 && (r = print(&arguments, model)) < 0)
        (void)failure_set(&failure, r, "out of memory while printing the model");
    return r < 0 ? complaint_tell(complaint_wants_json(argc, argv), status_of(r), &failure)
                 : EXIT_ALL_OK;
}
