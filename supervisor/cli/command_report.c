/* registrar report OUT: the page to look at in the morning, made anew; while a run goes on too. */
#include "common/names.h"
#include "common/units.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/cli/report_service.h"
#include "supervisor/page/page_read.h"

#include <errno.h>
#include <sys/stat.h>

struct arguments {
    const char *out, *socket; /* borrowed; NULL: not given */
    uint64_t embed_bytes;
    bool json;
};

enum { OPTION_OUT, OPTION_EMBED, OPTION_JSON, OPTION_SOCKET };

#define GROUP "Options"

static const struct option_row rows[] = {
    [OPTION_OUT] = {"out", "OUT", NULL, "the folder of the results", GROUP, 'o', "report"},
    [OPTION_EMBED] = {"embed", "SIZE", "64M",
                      "pictures to put into the page, at most; those of problems first, the others "
                      "stay files beside it",
                      GROUP, 0, "report"},
    [OPTION_JSON] = {"json", NULL, NULL, "say where it is as JSON", GROUP, 0, "report"},
    [OPTION_SOCKET] = {"socket", "PATH", NULL,
                       "where the service is; else REGISTRAR_SOCKET, the system's, yours", GROUP, 0,
                       "report"},
};

const struct option_row *command_report_row(size_t n) {
    return n < ARRAY_LEN(rows) ? &rows[n] : NULL;
}

static int set_word(void *context, const char *word, struct failure *failure) {
    struct arguments *arguments = context;
    if (arguments->out)
        return failure_set(failure, -EINVAL, "one folder: \"%.200s\" is one too many", word);
    arguments->out = word;
    return 0;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct arguments *arguments = context;
    if (n == OPTION_OUT)
        return set_word(context, value, failure);
    if (n == OPTION_JSON)
        arguments->json = true;
    else if (n == OPTION_SOCKET)
        arguments->socket = value;
    else if (units_parse_size(value, &arguments->embed_bytes) < 0)
        return failure_set(failure, -EINVAL, "--embed \"%.200s\": a size, such as 64M, or 0",
                           value);
    return 0;
}

static int parse(int argc, char **argv, struct arguments *arguments, struct failure *failure) {
    const struct option_words words = {
        .row = command_report_row, .set = set_option, .word = set_word, .context = arguments};
    uint32_t given;
    int r = option_words_parse(argc, argv, &words, &given, failure);
    if (r == 0 && !arguments->out)
        return failure_set(failure, -EINVAL,
                           "say of which results: registrar report OUT, the folder that a run "
                           "wrote to");
    return r;
}

/* A batch of the service: its results are here, its ledger is the service's. */
static int make_of_batch(const struct arguments *arguments, struct page_result *ret,
                         struct failure *failure) {
    CLEANUP(report_service_close) struct report_service service = {0};
    struct failure reason;
    struct stat status;
    if (stat(arguments->out, &status) == 0 && /* else the page tells */
        report_service_find(arguments->socket, arguments->out, &service, &reason) < 0)
        (void)fprintf(stderr, "registrar: it is made without the workers over time: %s\n",
                      reason.text);
    const struct page_request request = {.out = arguments->out,
                                         .batch = service.batch,
                                         .read = service.batch ? report_service_read : NULL,
                                         .context = &service,
                                         .embed_bytes = arguments->embed_bytes};
    return page_write(&request, ret, failure);
}

static int make(const struct arguments *arguments, struct page_result *ret,
                struct failure *failure) {
    struct stat status;
    CLEANUP_FREE char *ledger = names_format("%s/ledger.jsonl", arguments->out);
    if (!ledger)
        return failure_set_errno(failure, -ENOMEM, "cannot write the report");
    if (stat(ledger, &status) < 0)
        return make_of_batch(arguments, ret, failure);
    const struct page_request request = {.out = arguments->out,
                                         .read = page_read_run,
                                         .context = ledger,
                                         .embed_bytes = arguments->embed_bytes};
    return page_write(&request, ret, failure);
}

static int tell(const struct arguments *arguments, const struct page_result *result) {
    char size[UNITS_TEXT_BYTES];
    CLEANUP_FREE char *path = names_format("%s/" PAGE_NAME, arguments->out);
    CLEANUP_FREE char *clean = path ? names_escape(path) : NULL;
    if (!clean)
        return -ENOMEM;
    if (!arguments->json) {
        (void)printf("%s: %zu task%s, %s\n", clean, result->n_tasks, /* main checks stdout */
                     result->n_tasks == 1 ? "" : "s", units_format_size(result->bytes, size));
        return 0;
    }
    CLEANUP_JSON json_t *value =
        json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:I}", "version", 1, "path", clean, "bytes",
                  (json_int_t)result->bytes, "tasks", (json_int_t)result->n_tasks, "pictures",
                  (json_int_t)result->n_pictures, "embedded_bytes", (json_int_t)result->embed_bytes,
                  "tasks_with_pictures_beside", (json_int_t)result->n_beside);
    if (!value || json_dumpf(value, stdout, JSON_INDENT(2)) < 0)
        return -ENOMEM;
    (void)putchar('\n');
    return 0;
}

static int status_of(int r) {
    if (r == -EBADMSG || r == -EMEDIUMTYPE || r == -EPROTONOSUPPORT)
        return EXIT_LEDGER;
    return r == -ENOMEM || r == -EIO || r == -ENOSPC || r == -EDQUOT ? EXIT_INTERNAL : EXIT_USAGE;
}

int command_report(int argc, char **argv) {
    struct arguments arguments = {.embed_bytes = PAGE_EMBED_BYTES};
    struct failure failure = {0};
    struct page_result result = {0};
    int r = parse(argc, argv, &arguments, &failure);
    if (r == 0)
        r = make(&arguments, &result, &failure);
    if (r == 0 && tell(&arguments, &result) < 0)
        r = failure_set_errno(&failure, -ENOMEM, "cannot say where the report is");
    return r < 0 ? complaint_tell(complaint_wants_json(argc, argv), status_of(r), &failure)
                 : EXIT_ALL_OK;
}
