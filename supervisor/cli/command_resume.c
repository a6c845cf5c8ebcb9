/* registrar resume [NAME]: a paused batch goes on; without a name the queue does, after a pause or
 * a drain. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"

static void print(const struct client_words *words, const json_t *answer) {
    (void)printf("%s %s\n", words->n_words > 0 ? words->words[0] : "the queue",
                 client_call_number(answer, "changed") > 0 ? "goes on" : "was not paused");
}

int command_resume(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    if (client_words_parse(argc, argv, 0, 1, "", &words, &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    return client_call(&words, "resume", client_call_batch(&words), print);
}
