/* registrar watch [NAME]: what happens, a line per event, until the batch has ended or Ctrl-C. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/client/status_view.h"
#include "supervisor/client/watch_stream.h"

#include <errno.h>

int command_watch(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    char sum[STATUS_VIEW_BYTES];
    CLEANUP_CONNECTION struct connection *connection = NULL;
    if (client_words_parse(argc, argv, 0, 1, "", &words, &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    struct watch_stream watch = {
        .stream = stdout,
        .batch = words.n_words > 0 ? words.words[0] : NULL,
        .as_json = words.json,
    };
    int r = connection_open(words.socket, &connection, &failure);
    if (r == 0)
        r = watch_stream_follow(&watch, connection, &failure);
    CLEANUP_JSON json_t *last = watch.last;
    if (r == -EPIPE)
        return EXIT_ALL_OK; /* as in registrar watch | head */
    if (r < 0)
        return client_call_fail(words.json, connection, &failure);
    if (last && !words.json)
        (void)printf("%s: %s\n", watch.batch, status_view_sum(last, sum));
    return EXIT_ALL_OK;
}
