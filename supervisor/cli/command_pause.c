/* registrar pause [NAME]: nothing new of a batch, or of the whole queue, is started. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"

static void print(const struct client_words *words, const json_t *answer) {
    const char *what = words->n_words > 0 ? words->words[0] : "the queue";
    const long long running = client_call_number(answer, "running");
    const bool is_new = client_call_number(answer, "changed") > 0;
    (void)printf("%s %s paused", what, is_new ? "is" : "was already");
    if (running > 0)
        (void)printf("; %lld task%s to the end", running, running == 1 ? " runs on" : "s run on");
    (void)printf("\nregistrar resume%s%s lets it go on\n", words->n_words > 0 ? " " : "",
                 words->n_words > 0 ? words->words[0] : "");
}

int command_pause(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    if (client_words_parse(argc, argv, 0, 1, "", &words, &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    return client_call(&words, "pause", client_call_batch(&words), print);
}
