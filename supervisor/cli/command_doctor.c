/* registrar doctor: what the service and run depend on, and what to change. */
#include "common/names.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/doctor/findings.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"
#include "supervisor/service/places.h"

#include <errno.h>
#include <string.h>

struct arguments {
    const char *state_dir; /* borrowed; NULL: the usual */
    bool json;
};

enum { OPTION_STATE_DIR, OPTION_JSON };
enum { TEXT_COLUMN = 24, LEAST_WIDTH = 60 };

#define GROUP "Options"

static const struct option_row rows[] = {
    [OPTION_STATE_DIR] = {"state-dir", "DIR", NULL, "look at this folder's disk", GROUP, 0,
                          "doctor"},
    [OPTION_JSON] = {"json", NULL, NULL, "as JSON on stdout", GROUP, 0, "doctor"},
};

const struct option_row *command_doctor_row(size_t n) {
    return n < ARRAY_LEN(rows) ? &rows[n] : NULL;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct arguments *arguments = context;
    if (n == OPTION_STATE_DIR && *value != '/')
        return failure_set(failure, -EINVAL,
                           "--state-dir: \"%.200s\" is not allowed; give a path from the root on",
                           value);
    if (n == OPTION_STATE_DIR)
        arguments->state_dir = value;
    else
        arguments->json = true;
    return 0;
}

static int refuse_word(void *context, const char *word, struct failure *failure) {
    (void)context;
    return failure_set(failure, -EINVAL, "\"%.200s\" is one word too many: doctor takes options",
                       word);
}

static void print(const struct findings *findings) {
    const bool colour = terminal_has_colour(STDOUT_FILENO);
    size_t width = TEXT_UNLIMITED;
    if (terminal_can_redraw(STDOUT_FILENO))
        width = terminal_size(STDOUT_FILENO).columns;
    if (width < LEAST_WIDTH)
        width = LEAST_WIDTH;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        const enum text_style style = finding->is_ok ? TEXT_GOOD : TEXT_WARN;
        (void)printf("%s%-6s%s%-*s", text_style(style, colour), finding->is_ok ? "ok" : "warn",
                     text_style(TEXT_PLAIN, colour), TEXT_COLUMN - 6, finding->name);
        text_wrap(stdout, finding->text, TEXT_COLUMN, width);
        if (finding->is_ok)
            continue;
        (void)printf("%*s", TEXT_COLUMN, "");
        CLEANUP_FREE char *fix = names_format("-> %s", finding->fix);
        text_wrap(stdout, fix ? fix : finding->fix, TEXT_COLUMN + 3, width);
    }
}

static int print_json(const struct findings *findings) {
    CLEANUP_JSON json_t *checks = json_array();
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        if (json_array_append_new(checks, json_pack("{s:s, s:b, s:s, s:s}", "name", finding->name,
                                                    "ok", finding->is_ok, "text", finding->text,
                                                    "fix", finding->fix)) < 0)
            return -ENOMEM;
    }
    CLEANUP_JSON json_t *all = json_pack("{s:i, s:I, s:O}", "version", 1, "warnings",
                                         (json_int_t)findings->n_warnings, "checks", checks);
    if (!all || json_dumpf(all, stdout, JSON_INDENT(1)) < 0)
        return -ENOMEM;
    (void)putchar('\n'); /* main checks stdout at the end */
    return 0;
}

int command_doctor(int argc, char **argv) {
    struct arguments arguments = {0};
    const struct option_words words = {
        .row = command_doctor_row, .set = set_option, .word = refuse_word, .context = &arguments};
    struct failure failure = {0};
    uint32_t given;
    CLEANUP_FREE char *usual = NULL;
    int r = option_words_parse(argc, argv, &words, &given, &failure);
    if (r == 0 && !arguments.state_dir)
        r = places_state_dir(geteuid() == 0, &usual, &failure);
    if (r < 0)
        return complaint_tell(complaint_wants_json(argc, argv), EXIT_USAGE, &failure);
    const struct facts_place place = {
        .root = "", .state_dir = arguments.state_dir ? arguments.state_dir : usual};
    struct facts facts;
    struct findings findings;
    facts_read(&place, &facts);
    findings_make(&facts, &findings);
    if (!arguments.json)
        print(&findings);
    else if (print_json(&findings) < 0)
        return EXIT_INTERNAL;
    return findings.n_warnings > 0 ? EXIT_SOME_FAILED : EXIT_ALL_OK;
}
