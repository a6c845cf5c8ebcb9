/* What the commands share that ask the service for one thing and say what came of it. */
#ifndef SUPERVISOR_CLI_CLIENT_CALL_H
#define SUPERVISOR_CLI_CLIENT_CALL_H

#include "supervisor/cli/client_words.h"
#include "supervisor/client/connection.h"

/* Prints the answer for people. */
typedef void (*client_call_print_cb)(const struct client_words *words, const json_t *answer);

/* Asks for `what` with these members (takes request) and prints the answer: as JSON, or by print.
 * Returns the exit status; what went wrong has been told. */
int client_call(const struct client_words *words, const char *what, json_t *request,
                client_call_print_cb print);
/* The members that name a batch (word 0, if there is one) and tasks of it (the words behind). NULL
 * when out of memory. */
json_t *client_call_batch(const struct client_words *words);
/* The usual way out of a command whose words or connection failed. */
int client_call_fail(bool as_json, const struct connection *connection,
                     const struct failure *failure);

/* Members of an answer, or 0 and "". */
long long client_call_number(const json_t *answer, const char *key);
const char *client_call_text(const json_t *answer, const char *key);

#endif
