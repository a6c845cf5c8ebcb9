/* registrar logs TASK: what a task said, and with -f what it says. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/client/log_follow.h"

#include <errno.h>
#include <string.h>

static json_t *make_request(const struct client_words *words) {
    return words->batch ? json_pack("{s:s, s:s}", "batch", words->batch, "task", words->words[0])
                        : json_pack("{s:s}", "task", words->words[0]);
}

static int show(const struct client_words *words, struct connection **connection,
                struct failure *failure) {
    CLEANUP_JSON json_t *answer = NULL;
    int r = connection_open(words->socket, connection, failure);
    if (r == 0)
        r = connection_ask(*connection, "logs", make_request(words), &answer, failure);
    if (r < 0)
        return r;
    const struct log_follow log = {
        .path = client_call_text(answer, "path"),
        .batch = client_call_text(answer, "batch"),
        .task = words->words[0],
        .out = STDOUT_FILENO,
    };
    const char *verdict = client_call_text(answer, "verdict");
    const bool goes_on = strcmp(verdict, "running") == 0 || strcmp(verdict, "waiting") == 0;
    if (words->json) {
        if (json_dumpf(answer, stdout, JSON_INDENT(1)) == 0)
            (void)putchar('\n'); /* main checks stdout at the end */
        return 0;
    }
    return words->follow && goes_on ? log_follow_on(&log, *connection, failure)
                                    : log_follow_print(&log, failure);
}

int command_logs(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    CLEANUP_CONNECTION struct connection *connection = NULL;
    if (client_words_parse(argc, argv, 1, 1, "say which task: registrar logs TASK", &words,
                           &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    const int r = show(&words, &connection, &failure);
    if (r == -EPIPE)
        return EXIT_ALL_OK; /* as in registrar logs TASK | head */
    return r < 0 ? client_call_fail(words.json, connection, &failure) : EXIT_ALL_OK;
}
