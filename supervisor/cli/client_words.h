/* The words of the commands that talk to the service: one table of options for all of them, since
 * most mean the same everywhere. */
#ifndef SUPERVISOR_CLI_CLIENT_WORDS_H
#define SUPERVISOR_CLI_CLIENT_WORDS_H

#include "common/failure.h"
#include "supervisor/cli/option_words.h"

struct client_words {
    const char *socket, *batch; /* NULL: not given. All is borrowed from argv */
    bool json, follow, all;
    char *const *words; /* that are no options, NULL-terminated */
    size_t n_words;
};

/* missing: the sentence when there are fewer words than least. */
MUST_USE int client_words_parse(int argc, char **argv, size_t least, size_t most,
                                const char *missing, struct client_words *ret,
                                struct failure *failure);
const struct option_row *client_words_row(size_t n);

#endif
