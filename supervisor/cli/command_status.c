/* registrar status [NAME]: the queue, or one batch with its tasks. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/client/status_view.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"

int command_status(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    CLEANUP_CONNECTION struct connection *connection = NULL;
    const bool redraws = terminal_can_redraw(STDOUT_FILENO);
    if (client_words_parse(argc, argv, 0, 1, "", &words, &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    CLEANUP(status_view_free)
    struct status_view view = {
        .stream = stdout,
        .width = redraws ? terminal_size(STDOUT_FILENO).columns : TEXT_UNLIMITED,
        .colour = terminal_has_colour(STDOUT_FILENO),
        .as_json = words.json,
        .batch = words.n_words > 0 ? words.words[0] : NULL,
    };
    int r = connection_open(words.socket, &connection, &failure);
    if (r == 0)
        r = status_view_show(&view, connection, words.all, &failure);
    return r < 0 ? client_call_fail(words.json, connection, &failure) : EXIT_ALL_OK;
}
