/* registrar retry NAME [TASK...]: what ended other than ok waits again. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"

#include <limits.h>

static void print(const struct client_words *words, const json_t *answer) {
    const long long n = client_call_number(answer, "changed");
    if (n == 0)
        (void)printf("%s: nothing to try again\n", words->words[0]);
    else
        (void)printf("%s: %lld task%s again\n", words->words[0], n, n == 1 ? " waits" : "s wait");
}

int command_retry(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    if (client_words_parse(argc, argv, 1, INT_MAX,
                           "say which batch: registrar retry NAME (registrar status lists them)",
                           &words, &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    return client_call(&words, "retry", client_call_batch(&words), print);
}
