/* What a client may send: the bytes go through a real socket to a peer, in pieces, and every line
 * that comes out is read as whatever the service would read it as. */
#include "supervisor/batch/task_json.h"
#include "supervisor/service/peer.h"
#include "supervisor/service/queue_options.h"
#include "supervisor/service/window.h"

#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE_BYTES = 777 };

static void read_as_task(const json_t *line) {
    struct failure failure;
    struct forecast_task need;
    struct task task = {0};
    if (task_json_read(line, "the line", &task, &need, &failure) < 0)
        return;
    json_t *again = task_json_make(&task, &need);
    if (!again)
        abort(); /* what was read can be written */
    json_decref(again);
    task_free(&task);
}

static void read_as_submit(const json_t *line) {
    struct failure failure;
    struct options options;
    int64_t at_ms;
    const char *text = json_string_value(json_object_get(line, "not_before"));
    if (queue_options_read(json_object_get(line, "options"), "/out", &options, &failure) == 0)
        options_free(&options);
    if (text)
        (void)!window_parse_not_before(text, INT64_C(1700000000000), &at_ms, &failure);
}

static void on_request(void *context, struct peer *peer, const char *bytes, size_t length) {
    (void)context;
    json_t *line = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL);
    if (line) {
        read_as_task(line);
        read_as_submit(line);
    }
    peer_refuse(peer, 2, "heard");
    json_decref(line);
}

static void on_wake(void *context, struct peer *peer) { (void)context, (void)peer; }

static void hear_all(int client, struct peer *peer) {
    char answers[4096];
    while (!peer_is_over(peer) && (peer_wants_read(peer) || peer_wants_write(peer))) {
        const uint64_t before = peer_progress(peer);
        peer_readable(peer);
        peer_writable(peer);
        while (recv(client, answers, sizeof(answers), MSG_DONTWAIT) > 0)
            ;
        if (peer_progress(peer) == before)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int ends[2];
    struct peer_pool pool = {.request = on_request, .wake = on_wake};
    struct caller caller;
    struct peer *peer;
    struct failure failure;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
        caller_self(&caller, &failure) < 0 ||
        peer_open(ends[0], &caller, &pool, &peer, &failure) < 0)
        abort();
    for (size_t at = 0; at < size && !peer_is_over(peer); at += PIECE_BYTES) {
        const size_t length = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        if (send(ends[1], data + at, length, MSG_NOSIGNAL) < 0)
            break;
        hear_all(ends[1], peer);
    }
    peer_close(peer);
    if (pool.bytes != 0)
        abort(); /* every buffer is given back */
    (void)close(ends[1]);
    return 0;
}
