/* registrar cancel NAME [TASK...]: what waits of a batch ends, what runs is stopped. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"

#include <limits.h>

static void print(const struct client_words *words, const json_t *answer) {
    const long long n = client_call_number(answer, "changed"),
                    running = client_call_number(answer, "running");
    if (n == 0) {
        (void)printf("%s: nothing to cancel, %s ended already\n", words->words[0],
                     words->n_words > 1 ? "that has" : "all of it has");
        return;
    }
    (void)printf("%s: %lld task%s cancelled", words->words[0], n, n == 1 ? "" : "s");
    if (running > 0)
        (void)printf("; %lld of them %s and %s being stopped", running,
                     running == 1 ? "runs" : "run", running == 1 ? "is" : "are");
    (void)putchar('\n');
}

int command_cancel(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    if (client_words_parse(argc, argv, 1, INT_MAX,
                           "say which batch: registrar cancel NAME (registrar status lists them)",
                           &words, &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    return client_call(&words, "cancel", client_call_batch(&words), print);
}
