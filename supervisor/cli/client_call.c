/* See client_call.h. */
#include "supervisor/cli/client_call.h"

#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"

long long client_call_number(const json_t *answer, const char *key) {
    return (long long)json_integer_value(json_object_get(answer, key));
}

const char *client_call_text(const json_t *answer, const char *key) {
    const char *text = json_string_value(json_object_get(answer, key));
    return text ? text : "";
}

int client_call_fail(bool as_json, const struct connection *connection,
                     const struct failure *failure) {
    return complaint_tell(as_json, connection_status(connection), failure);
}

json_t *client_call_batch(const struct client_words *words) {
    CLEANUP_JSON json_t *request = json_object();
    CLEANUP_JSON json_t *tasks = json_array();
    if (words->n_words > 0 &&
        json_object_set_new(request, "batch", json_string(words->words[0])) < 0)
        return NULL;
    for (size_t i = 1; i < words->n_words; i++)
        if (json_array_append_new(tasks, json_string(words->words[i])) < 0)
            return NULL;
    if (words->n_words > 1 && json_object_set(request, "tasks", tasks) < 0)
        return NULL;
    return STEAL_PTR(request);
}

int client_call(const struct client_words *words, const char *what, json_t *request,
                client_call_print_cb print) {
    CLEANUP_JSON json_t *owned = request;
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_CONNECTION struct connection *connection = NULL;
    struct failure failure = {0};
    int r = connection_open(words->socket, &connection, &failure);
    if (r == 0)
        r = connection_ask(connection, what, STEAL_PTR(owned), &answer, &failure);
    if (r < 0)
        return client_call_fail(words->json, connection, &failure);
    if (!words->json) {
        print(words, answer);
        return EXIT_ALL_OK;
    }
    if (json_dumpf(answer, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0)
        (void)putchar('\n'); /* main checks stdout at the end */
    return EXIT_ALL_OK;
}
