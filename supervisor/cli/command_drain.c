/* registrar drain: what runs is finished and nothing new is started, before work on the machine. */
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"

static void print(const struct client_words *words, const json_t *answer) {
    const long long running = client_call_number(answer, "running");
    (void)words;
    if (running > 0)
        (void)printf("nothing new is started; %lld task%s to the end\n", running,
                     running == 1 ? " runs on" : "s run on");
    else
        (void)puts("nothing new is started, and nothing runs");
    (void)puts("registrar resume lets the queue go on; so does a restart of the service");
}

int command_drain(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    if (client_words_parse(argc, argv, 0, 0, "", &words, &failure) < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    return client_call(&words, "drain", json_object(), print);
}
