/* See help.h. Option rows come from options.c and parameter rows from common/params.c, so nothing
 * is described twice. */
#include "supervisor/cli/help.h"

#include "common/cleanup.h"
#include "common/params.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/help_apply.h"
#include "supervisor/cli/help_service.h"
#include "supervisor/cli/options.h"
#include "supervisor/report/text.h"

#include <string.h>

enum { LINE_WIDTH = 80, MEANING_COLUMN = 31 };

static const struct help_page pages[] = {
    {
        .command = "run",
        .meaning = "align every pair below a raw folder, now, in the foreground",
        .usage = "  registrar run RAW -o OUT [OPTION]...\n"
                 "  registrar run --manifest FILE -o OUT [OPTION]...\n",
        .text =
            "RAW holds a folder per sample, and in it a pre- and a post-stain image per dye:\n"
            "\n"
            "  RAW/CD070/CD070pre_DAPI.tif\n"
            "  RAW/CD070/CD070post_DAPI.tif     becomes the task CD070/DAPI\n"
            "\n"
            "\"pre\" or \"post\" stands anywhere before the last underscore, the dye behind it;\n"
            "the ending is .tif or .tiff. Letter case matters in the dye alone.\n"
            "\n"
            "Each pair is aligned by a fresh process; one that fails never stops the others.\n"
            "Results are in OUT/<sample>/<dye>/. Run the same command again after an\n"
            "interruption, a crash or a power cut: finished tasks are not repeated.\n",
        .row = options_row,
        .is_batch = true,
        .more = "Examples:\n"
                "  registrar run /data/raw -o /data/aligned\n"
                "  registrar run /data/raw -o /data/aligned --samples CD070,CD071 --dyes DAPI\n"
                "  registrar run /data/raw -o /data/aligned --jobs 2 --worker-memory 1G\n"
                "  registrar run /data/raw -o /data/aligned --set scale_max=1.5 --redo\n"
                "\n"
                "Ctrl-C once stops at the next checkpoint, twice at once; both can be resumed.\n"
                "\n"
                "Exit status:\n"
                "  0   every task is ok\n"
                "  1   some task failed or is doubtful\n"
                "  2   wrong usage, or nothing in RAW that can be aligned\n"
                "  3   the pre-flight refused: too little memory or disk (see --force)\n"
                "  4   interrupted; the same command continues\n"
                "  5   the ledger is damaged, or in use by another run\n"
                "  70  a fault of registrar itself\n",
    },
    {
        .command = "plan",
        .meaning = "what a run would do and need; starts nothing",
        .usage = "  registrar plan RAW -o OUT [OPTION]...\n"
                 "  registrar plan --manifest FILE -o OUT [OPTION]...\n",
        .text = "Takes the same words as run, reads the headers of the images and prints the\n"
                "tasks, what each is predicted to need, how many fit at once, and the pre-flight.\n"
                "Pairs that cannot be aligned are listed with the reason. Nothing is written, and\n"
                "OUT need not exist.\n",
        .row = options_row,
        .is_batch = true,
        .more = "Examples:\n"
                "  registrar plan /data/raw -o /data/aligned\n"
                "  registrar plan /data/raw -o /data/aligned --memory 4G --json\n"
                "  registrar plan /data/raw -o /data/aligned --assume-memory 16G --assume-cpus 4\n"
                "\n"
                "Exit status:\n"
                "  0   run would start, and every task can be tried\n"
                "  1   run would start, but some tasks are broken and would fail\n"
                "  2   wrong usage, or nothing in RAW that can be aligned\n"
                "  3   the pre-flight refuses; run would not start without --force\n"
                "  5   the ledger in OUT is damaged\n",
    },
    {
        .command = "ledger",
        .meaning = "read the record of everything that was done",
        .usage = "  registrar ledger show|verify|csv|compact -o OUT [OPTION]...\n"
                 "  registrar ledger show|verify|csv|compact FILE [OPTION]...\n",
        .text = "  show     what was done, for people: a row per attempt, times in your time zone\n"
                "  verify   check every record's checksum and number; name the damaged line\n"
                "  csv      memory per attempt: task_key,min_memory_mb,max_memory_mb\n"
                "  compact  leave out what does not count any more: attempts of what is done\n"
                "\n"
                "-o OUT takes OUT/ledger.jsonl, the record of the run that wrote to OUT; without\n"
                "it, show and csv ask the service. Reading disturbs no run that is going on.\n"
                "registrar-ledger(5) describes the file.\n",
        .row = command_ledger_row,
        .more = "Exit status:\n"
                "  0   fine; a torn tail, which the next run sets aside, is fine too\n"
                "  2   wrong usage, or no such file\n"
                "  5   the ledger is damaged, or the file is no ledger; compact: or it is in use\n",
    },
    {
        .command = "explain",
        .meaning = "the story of one task, and what to do next",
        .usage = "  registrar explain TASK [OPTION]...\n"
                 "  registrar explain TASK -o OUT [OPTION]...\n"
                 "  registrar explain TASK FILE [OPTION]...\n",
        .text =
            "Of each attempt: what was predicted, reserved and measured, which counters of the\n"
            "kernel moved, and what stood in memory at its peak; then what happens next, or\n"
            "what to type. FILE is a ledger; without one the service is asked. Reading\n"
            "disturbs no run that is going on.\n",
        .row = command_explain_row,
        .more = "Example:\n"
                "  registrar explain CD070/DAPI -o /data/aligned\n"
                "\n"
                "Exit status:\n"
                "  0   fine, whatever the task's verdict\n"
                "  2   wrong usage, no such file, or no such task in it\n"
                "  5   the ledger is damaged, or the file is no ledger\n",
    },
    {
        .command = "report",
        .meaning = "a page to look at in the morning",
        .usage = "  registrar report OUT [OPTION]...\n",
        .text =
            "Writes OUT/report.html, one file to open in a browser: what needs attention and\n"
            "what to type, the workers and the memory over the night, and of each task its\n"
            "pictures, figures and stages. A run ends by writing it; so does each batch of the\n"
            "service. It needs no network and asks nobody for anything.\n",
        .row = command_report_row,
        .more = "Exit status:\n"
                "  0   it is written, whatever the tasks' verdicts\n"
                "  2   wrong usage, no such folder, or no task in it\n"
                "  5   the ledger is damaged, or the file is no ledger\n"
                "  70  it cannot be written\n",
    },
    {
        .command = "model",
        .meaning = "what each kind of task has needed, and how well that was foretold",
        .usage = "  registrar model -o OUT [OPTION]...\n"
                 "  registrar model FILE [OPTION]...\n",
        .text = "Of each kind: how memory and time grow with the size of the inputs, the attempts\n"
                "that this was made from, and how far the forecasts were from what was measured.\n"
                "run and plan reserve by the same figures. FILE is a ledger.\n",
        .row = command_model_row,
        .more = "Exit status:\n"
                "  0   fine\n"
                "  2   wrong usage, no such file, or no such kind in it\n"
                "  5   the ledger is damaged, or the file is no ledger\n",
    },
    {
        .command = "doctor",
        .meaning = "check this machine, and say what to change",
        .usage = "  registrar doctor [OPTION]...\n",
        .text =
            "Looks at what the service and run depend on: control groups and their delegation,\n"
            "memory pressure, the sandbox, the journal, the disk, swap and the clock. Nothing\n"
            "is changed.\n",
        .row = command_doctor_row,
        .more = "Exit status:\n"
                "  0   everything is as it should be\n"
                "  1   there is something to change\n"
                "  2   wrong usage\n",
    },
};

const struct help_page *help_page(size_t n) {
    if (n < ARRAY_LEN(pages))
        return &pages[n];
    return n == ARRAY_LEN(pages) ? help_apply_page() : help_service_page(n - ARRAY_LEN(pages) - 1);
}

const struct help_page *help_find(const char *command) {
    const struct help_page *page = NULL;
    for (size_t i = 0; (page = help_page(i)); i++)
        if (strcmp(page->command, command) == 0)
            return page;
    return NULL;
}

bool help_is_asked(int argc, char *const *argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* The meaning beside what stands on the left, which is `at` columns wide. */
static void print_meaning(FILE *stream, const char *text, int at) {
    if (at >= MEANING_COLUMN) {
        (void)fputc('\n', stream); /* main checks stdout at the end */
        at = 0;
    }
    (void)fprintf(stream, "%*s", MEANING_COLUMN - at, "");
    text_wrap(stream, text, MEANING_COLUMN, LINE_WIDTH);
}

/* lead stands before the meaning. */
static void print_option(FILE *stream, const struct option_row *row, const char *lead) {
    char left[64], right[256];
    const char letter[] = {'-', row->letter, ',', ' ', '\0'};
    const int at =
        snprintf(left, sizeof(left), "  %s--%s%s%s", row->letter ? letter : "    ", row->name,
                 row->argument ? " " : "", row->argument ? row->argument : "");
    if (row->fallback)
        (void)snprintf(right, sizeof(right), "%s (default: %s)", row->meaning, row->fallback);
    else
        (void)snprintf(right, sizeof(right), "%s%s", lead, row->meaning);
    (void)fputs(left, stream);
    print_meaning(stream, right, at);
}

static void print_options(FILE *stream, const struct help_page *page) {
    static const struct option_row help = {"help", NULL, NULL, "this text", NULL, 'h', NULL};
    const char *group = "";
    const struct option_row *row = NULL;
    for (size_t i = 0; (row = page->row(i)); i++) {
        if ((page->is_batch || page->is_shared) && !option_words_belongs(row, page->command))
            continue;
        if (strcmp(group, row->group) != 0)
            (void)fprintf(stream, "%s%s:\n", i ? "\n" : "", row->group);
        group = row->group;
        char lead[64] = "";
        if (!page->is_batch && !page->is_shared && strcmp(row->commands, page->command) != 0)
            (void)snprintf(lead, sizeof(lead), "%s: ", row->commands);
        print_option(stream, row, lead);
    }
    print_option(stream, &help, "");
}

static void print_parameters(FILE *stream) {
    (void)fputs("\nSizes are binary: 512M, 4G. Durations: 90s, 30m, 2h.\n"
                "\nAlignment parameters, for --set:\n",
                stream);
    for (size_t i = 0; params_name(i); i++) {
        char left[64], right[256], fallback[32];
        const int at = snprintf(left, sizeof(left), "  %s", params_name(i));
        (void)snprintf(
            fallback, sizeof(fallback), "%.*s", /* JSON text: strings are quoted */
            (int)strcspn(params_default_text(i) + (*params_default_text(i) == '"'), "\""),
            params_default_text(i) + (*params_default_text(i) == '"'));
        (void)snprintf(right, sizeof(right), "%s (default: %s)", params_meaning(i), fallback);
        (void)fputs(left, stream);
        print_meaning(stream, right, at);
    }
}

void help_print_page(const struct help_page *page, FILE *stream) {
    (void)fprintf(stream, "registrar %s: %s\n\nUsage:\n%s\n%s\n", page->command, page->meaning,
                  page->usage, page->text);
    print_options(stream, page);
    if (page->is_batch)
        print_parameters(stream);
    (void)fputc('\n', stream);
    (void)fputs(page->more, stream);
}

void help_print_overview(FILE *stream) {
    (void)fputs("registrar aligns pre- and post-stain microscopy scans through the night, one\n"
                "supervised process per pair, and tells in the morning what worked, what did\n"
                "not, and why.\n"
                "\n"
                "  registrar plan RAW -o OUT     what there is to do, and whether it fits\n"
                "  registrar run RAW -o OUT      do it; again: do only what is missing\n"
                "\n"
                "Commands:\n",
                stream);
    const struct help_page *page = NULL;
    for (size_t i = 0; (page = help_page(i)); i++)
        (void)fprintf(stream, "  %-10s%s\n", page->command, page->meaning);
    (void)fputs("\n"
                "registrar COMMAND --help tells all about one command.\n"
                "registrar --version prints the version.\n",
                stream);
}
