/* See ledger_feed.h. The service passes the lines on as they stand in its ledger, which it has read
 * and healed itself; so their checksums are not asked for once more. */
#include "supervisor/client/ledger_feed.h"

#include <errno.h>

static json_t *make_request(const char *batch, const char *task) {
    CLEANUP_JSON json_t *request = json_object();
    if ((batch && json_object_set_new(request, "batch", json_string(batch)) < 0) ||
        (task && json_object_set_new(request, "task", json_string(task)) < 0))
        return NULL;
    return STEAL_PTR(request);
}

int ledger_feed_read(struct connection *connection, const char *batch, const char *task,
                     ledger_store_replay_cb replay, void *context, json_t **ret_answer,
                     struct failure *failure) {
    CLEANUP_JSON json_t *answer = NULL;
    int r = connection_ask(connection, "ledger", make_request(batch, task), &answer, failure);
    while (r == 0) {
        CLEANUP_JSON json_t *line = NULL;
        r = connection_receive(connection, &line, failure);
        if (r < 0)
            return r;
        if (json_is_true(json_object_get(line, "end")))
            break;
        r = replay(context, line, failure);
    }
    if (r == 0 && ret_answer)
        *ret_answer = STEAL_PTR(answer);
    return r;
}
