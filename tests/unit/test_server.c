/* timeout: 90
 * The control socket with a toy behind it: real sockets, real clients, the rude ones among them.
 * The toy answers "echo" with the line, "flood" with a long answer, "watch" until we hang up,
 * "tell" by telling every watcher, and takes the lines that follow "lines N". */
#include "supervisor/client/connection.h"
#include "supervisor/service/listen_socket.h"
#include "supervisor/service/server.h"

#include "tests/unit/folder_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { FLOOD_LINES = 20000, MAX_WATCHERS = 8, TOLD_BYTES = 100000 };

struct toy {
    char *folder, *path;
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t stop;
    struct listen_socket socket;
    struct server *server;
    struct peer *watchers[MAX_WATCHERS];
    size_t n_watchers;
    size_t n_ended;        /* activities whose end was called */
    _Atomic bool is_admin; /* who calls now */
};

/* ---- the toy's answers ---- */

struct flood {
    struct toy *toy;
    int sent;
};

static void flood_produce(void *context, struct peer *peer) {
    struct flood *flood = context;
    while (flood->sent < FLOOD_LINES && peer_pending(peer) < PEER_LOW_BYTES) {
        peer_send(peer, json_pack("{s:i, s:s}", "n", flood->sent++, "padding",
                                  "0123456789012345678901234567890123456789"));
    }
    if (flood->sent == FLOOD_LINES)
        peer_finish(peer);
}

static void flood_end(void *context) {
    struct flood *flood = context;
    flood->toy->n_ended++;
    free(flood);
}

static const struct peer_activity flooding = {.produce = flood_produce, .end = flood_end};

struct watcher {
    struct toy *toy;
    struct peer *peer;
};

static void watch_end(void *context) {
    struct watcher *watcher = context;
    struct toy *toy = watcher->toy;
    for (size_t i = 0; i < toy->n_watchers; i++)
        if (toy->watchers[i] == watcher->peer)
            toy->watchers[i] = toy->watchers[--toy->n_watchers];
    toy->n_ended++;
    free(watcher);
}

static const struct peer_activity watching = {.end = watch_end, .is_watch = true};

struct lines {
    struct toy *toy;
    int left;
};

static void lines_line(void *context, struct peer *peer, const char *bytes, size_t length) {
    struct lines *lines = context;
    (void)bytes, (void)length;
    if (--lines->left > 0)
        return;
    peer_send(peer, json_pack("{s:b}", "ok", 1));
    peer_finish(peer);
}

static void lines_end(void *context) {
    struct lines *lines = context;
    lines->toy->n_ended++;
    free(lines);
}

static const struct peer_activity taking_lines = {.line = lines_line, .end = lines_end};

static void tell_watchers(struct toy *toy) {
    CLEANUP_FREE char *bytes = malloc(TOLD_BYTES);
    memset(bytes, 'x', TOLD_BYTES);
    bytes[TOLD_BYTES - 1] = '\n';
    for (size_t i = 0; i < toy->n_watchers; i++)
        peer_send_bytes(toy->watchers[i], bytes, TOLD_BYTES);
}

static void on_request(void *context, struct peer *peer, const char *bytes, size_t length) {
    struct toy *toy = context;
    if (length >= 4 && memcmp(bytes, "echo", 4) == 0) {
        peer_send_bytes(peer, bytes, length);
        peer_send_bytes(peer, "\n", 1);
    } else if (length == 5 && memcmp(bytes, "flood", 5) == 0) {
        struct flood *flood = calloc(1, sizeof(*flood));
        flood->toy = toy;
        peer_begin(peer, &flooding, flood);
    } else if (length == 5 && memcmp(bytes, "watch", 5) == 0) {
        struct watcher *watcher = calloc(1, sizeof(*watcher));
        *watcher = (struct watcher){toy, peer};
        toy->watchers[toy->n_watchers++] = peer;
        peer_begin(peer, &watching, watcher);
        peer_send_bytes(peer, "watching\n", 9);
    } else if (length == 4 && memcmp(bytes, "tell", 4) == 0) {
        tell_watchers(toy);
        peer_send(peer, json_pack("{s:i}", "watchers", (int)toy->n_watchers));
    } else if (length > 6 && memcmp(bytes, "lines ", 6) == 0) {
        struct lines *lines = calloc(1, sizeof(*lines));
        *lines = (struct lines){toy, atoi(bytes + 6)};
        peer_begin(peer, &taking_lines, lines);
    } else {
        peer_refuse(peer, 2, "what is that?");
    }
}

static void on_stop(uv_async_t *async) {
    struct toy *toy = async->data;
    server_close(toy->server);
    uv_close((uv_handle_t *)async, NULL);
}

static bool is_privileged(void *context, const struct caller *caller) {
    const struct toy *toy = context;
    (void)caller;
    return toy->is_admin;
}

static void *serve(void *context) {
    struct toy *toy = context;
    (void)uv_run(&toy->loop, UV_RUN_DEFAULT);
    return NULL;
}

static struct toy *start(void **state, struct server_settings settings) {
    struct toy *toy = calloc(1, sizeof(*toy));
    struct failure failure = {0};
    toy->folder = *state;
    toy->path = names_format("%s/deep/socket", toy->folder);
    settings.request = on_request;
    settings.context = toy;
    settings.is_privileged = settings.n_reserved > 0 ? is_privileged : NULL;
    assert_int_equal(listen_socket_open(toy->path, false, &toy->socket, &failure), 0);
    settings.listen_fd = toy->socket.fd;
    assert_int_equal(uv_loop_init(&toy->loop), 0);
    assert_int_equal(uv_async_init(&toy->loop, &toy->stop, on_stop), 0);
    toy->stop.data = toy;
    assert_int_equal(server_open(&toy->loop, &settings, &toy->server, &failure), 0);
    assert_int_equal(pthread_create(&toy->thread, NULL, serve, toy), 0);
    return toy;
}

static void stop(struct toy *toy) {
    assert_int_equal(uv_async_send(&toy->stop), 0);
    assert_int_equal(pthread_join(toy->thread, NULL), 0);
    assert_int_equal(uv_loop_close(&toy->loop), 0);
    listen_socket_close(&toy->socket);
    assert_int_equal(toy->n_watchers, 0);
    free(toy->path);
    free(toy);
}

/* ---- clients ---- */

static int call(const struct toy *toy) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", toy->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One line with its newline, read byte by byte so that nothing of the next is taken. False: the
 * server hung up. */
static bool hear(int fd, char *text, size_t size) {
    size_t used = 0;
    while (used + 1 < size) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 30000), 1);
        if (recv(fd, text + used, 1, 0) <= 0)
            return false;
        if (text[used++] == '\n')
            break;
    }
    text[used] = '\0';
    return true;
}

static void expect_line(int fd, const char *wanted) {
    char text[512];
    assert_true(hear(fd, text, sizeof(text)));
    assert_string_equal(text, wanted);
}

static void expect_hung_up(int fd) {
    char text[512];
    assert_false(hear(fd, text, sizeof(text)));
}

static void hang_up(int fd) { assert_int_equal(close(fd), 0); }

/* ---- the tests ---- */

static void requests_are_answered_in_turn(void **state) {
    struct toy *toy = start(state, (struct server_settings){0});
    int fd = call(toy);
    say(fd, "echo 1\necho 2\n\nnonsense\nlines 3\n1\n2\n3\necho ");
    expect_line(fd, "echo 1\n");
    expect_line(fd, "echo 2\n");
    expect_line(fd, "{\"ok\":false,\"exit\":2,\"sentence\":\"what is that?\"}\n");
    expect_line(fd, "{\"ok\":true}\n");
    say(fd, "in pieces\n");
    expect_line(fd, "echo in pieces\n");
    hang_up(fd);
    stop(toy);
}

/* As socat does: it closes its side and still wants its answer. */
static void a_client_that_said_all_still_hears(void **state) {
    struct toy *toy = start(state, (struct server_settings){0});
    int fd = call(toy);
    say(fd, "flood\necho last\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    char text[512];
    for (int i = 0; i < FLOOD_LINES; i++)
        assert_true(hear(fd, text, sizeof(text)));
    expect_line(fd, "echo last\n");
    expect_hung_up(fd);
    hang_up(fd);
    stop(toy);
}

static void an_endless_line_is_refused(void **state) {
    struct toy *toy = start(state, (struct server_settings){0});
    enum { PIECE = 1 << 20, GIB = 1 << 30 };
    CLEANUP_FREE char *piece = malloc(PIECE);
    memset(piece, 'x', PIECE);
    int fd = call(toy);
    size_t sent = 0;
    while (sent < GIB) {
        ssize_t n = send(fd, piece, PIECE, MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    assert_in_range(sent, PEER_LINE_BYTES, 16 * PEER_LINE_BYTES);
    char text[512];
    assert_true(hear(fd, text, sizeof(text)));
    assert_non_null(strstr(text, "a line of the request has more than 1048576 bytes"));
    expect_hung_up(fd);
    hang_up(fd);
    stop(toy);
}

static void the_longest_line_is_heard(void **state) {
    struct toy *toy = start(state, (struct server_settings){0});
    CLEANUP_FREE char *line = malloc(PEER_LINE_BYTES + 1);
    memset(line, 'x', PEER_LINE_BYTES);
    (void)strcpy(line + PEER_LINE_BYTES - 1, "\n");
    int fd = call(toy);
    say(fd, line);
    expect_line(fd, "{\"ok\":false,\"exit\":2,\"sentence\":\"what is that?\"}\n");
    say(fd, "echo\n");
    expect_line(fd, "echo\n");
    hang_up(fd);
    stop(toy);
}

static void half_a_line_is_not_waited_for(void **state) {
    struct toy *toy = start(state, (struct server_settings){.line_ms = 50, .idle_ms = 1500});
    int half = call(toy), silent = call(toy), in_lines = call(toy), watch = call(toy);
    say(watch, "watch\n");
    say(half, "echo without an end");
    say(in_lines, "lines 5\n1\n");
    expect_line(watch, "watching\n");
    expect_hung_up(half);
    expect_hung_up(silent);
    expect_hung_up(in_lines);
    int fd = call(toy);
    say(fd, "tell\n");
    expect_line(fd, "{\"watchers\":1}\n"); /* a watch may last */
    hang_up(half), hang_up(silent), hang_up(in_lines), hang_up(fd), hang_up(watch);
    stop(toy);
}

static void a_slow_reader_holds_up_nobody(void **state) {
    struct toy *toy = start(state, (struct server_settings){.reader_ms = 200});
    int slow = call(toy), watch = call(toy), other = call(toy);
    say(slow, "flood\n"); /* and never reads it */
    say(watch, "watch\n");
    expect_line(watch, "watching\n");
    for (int i = 0; i < 40; i++) { /* 4 MB for a watcher that does not read */
        char text[64];
        say(other, "tell\n");
        assert_true(hear(other, text, sizeof(text)));
    }
    say(other, "tell\n");
    expect_line(other, "{\"watchers\":0}\n"); /* it was dropped */
    /* the other one is, too; what it had been sent before may still be read */
    CLEANUP_FREE char *bytes = malloc(1 << 20);
    ssize_t n;
    struct pollfd wait = {.fd = slow, .events = POLLRDHUP};
    assert_int_equal(poll(&wait, 1, 30000), 1);
    while ((n = recv(slow, bytes, 1 << 20, 0)) > 0)
        ;
    assert_int_equal(n, 0);
    hang_up(slow), hang_up(watch), hang_up(other);
    stop(toy);
}

static void a_crowd_of_rude_clients_disturbs_nobody(void **state) {
    struct toy *toy = start(state, (struct server_settings){0});
    int rude[100], polite[100];
    static const char *const rudeness[] = {"echo half a", "\xff\xfe\x01\n{{{{\n", "flood\n", "",
                                           "lines 9\n1"};
    for (size_t i = 0; i < ARRAY_LEN(rude); i++) {
        rude[i] = call(toy);
        say(rude[i], rudeness[i % ARRAY_LEN(rudeness)]);
        if (i % 7 == 6) { /* connects and leaves */
            hang_up(rude[i]);
            rude[i] = -1;
        }
        polite[i] = call(toy);
    }
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < ARRAY_LEN(polite); i++)
            say(polite[i], "echo please\n");
        for (size_t i = 0; i < ARRAY_LEN(polite); i++)
            expect_line(polite[i], "echo please\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(polite); i++) {
        hang_up(polite[i]);
        if (rude[i] >= 0)
            hang_up(rude[i]);
    }
    stop(toy);
}

static void a_full_house_loses_patience(void **state) {
    struct toy *toy = start(state, (struct server_settings){.max_clients = 4});
    int idle[4];
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        idle[i] = call(toy);
    int fd = call(toy);
    say(fd, "echo at last\n");
    expect_line(fd, "echo at last\n");
    hang_up(fd);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        hang_up(idle[i]);
    stop(toy);
}

static void the_last_places_are_for_administrators(void **state) {
    struct toy *toy = start(state, (struct server_settings){.max_clients = 6, .n_reserved = 2});
    int fds[4];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = call(toy);
        say(fds[i], "watch\n");
        expect_line(fds[i], "watching\n");
    }
    int fd = call(toy);
    char told[512];
    assert_true(hear(fd, told, sizeof(told)));
    assert_non_null(strstr(told, "as many clients as it takes"));
    expect_hung_up(fd);
    hang_up(fd);
    toy->is_admin = true;
    int admin = call(toy);
    say(admin, "echo at once\n");
    expect_line(admin, "echo at once\n");
    hang_up(admin);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        hang_up(fds[i]);
    stop(toy);
}

static void names_are_asked_for_once_a_minute(void **state) {
    struct caller_names names = {0};
    struct caller caller = {0};
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(caller_read(ends[0], &names, &caller, NULL), 0);
    assert_string_equal(names.entries[0].name, caller.user);
    CLEANUP_FREE char *before = strdup(caller.user);
    caller_free(&caller);
    free(names.entries[0].name);
    names.entries[0].name = strdup("known");
    assert_int_equal(caller_read(ends[0], &names, &caller, NULL), 0);
    assert_string_equal(caller.user, "known");
    caller_free(&caller);
    names.entries[0].read_ms -= CALLER_NAME_AGE_MS;
    assert_int_equal(caller_read(ends[0], &names, &caller, NULL), 0);
    assert_string_equal(caller.user, before);
    assert_null(names.entries[1].name);
    caller_free(&caller);
    caller_names_free(&names);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void no_service_has_its_sentences(void **state) {
    CLEANUP_FREE char *path = names_format("%s/socket", (char *)*state);
    char part[201];
    memset(part, 'd', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    CLEANUP_FREE char *far = names_format("%s/%s/socket", (char *)*state, part);
    struct failure failure = {0};
    struct connection *connection = NULL;
    struct listen_socket dead;
    assert_int_equal(connection_open(path, &connection, &failure), -ENOENT);
    assert_non_null(strstr(failure.text, "no service is running: there is no socket"));
    assert_int_equal(connection_open(far, &connection, &failure), -ENOENT);
    assert_non_null(strstr(failure.text, far)); /* longer than an address holds */
    assert_int_equal(listen_socket_open(path, false, &dead, &failure), 0);
    assert_int_equal(close(dead.fd), 0); /* as a killed service leaves it */
    assert_int_equal(connection_open(path, &connection, &failure), -ECONNREFUSED);
    assert_non_null(strstr(failure.text, "no service is running: nobody answers at"));
    dead.fd = -1;
    listen_socket_close(&dead);
}

static void a_refusal_is_heard_in_the_midst_of_sending(void **state) {
    struct toy *toy = start(state, (struct server_settings){0});
    struct connection *connection = NULL;
    struct failure failure = {0};
    CLEANUP_FREE char *huge = malloc(8 << 20);
    memset(huge, 'x', (8 << 20) - 1);
    huge[(8 << 20) - 1] = '\0';
    assert_int_equal(connection_open(toy->path, &connection, &failure), 0);
    assert_int_equal(connection_send(connection, json_pack("{s:s}", "x", huge), &failure),
                     -EREMOTEIO);
    assert_non_null(strstr(failure.text, "has more than 1048576 bytes"));
    assert_int_equal(connection_status(connection), 2);
    connection_close(connection);
    stop(toy);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(requests_are_answered_in_turn),
        TEST(a_client_that_said_all_still_hears),
        TEST(an_endless_line_is_refused),
        TEST(the_longest_line_is_heard),
        TEST(half_a_line_is_not_waited_for),
        TEST(a_slow_reader_holds_up_nobody),
        TEST(a_crowd_of_rude_clients_disturbs_nobody),
        TEST(a_full_house_loses_patience),
        TEST(the_last_places_are_for_administrators),
        TEST(names_are_asked_for_once_a_minute),
        TEST(no_service_has_its_sentences),
        TEST(a_refusal_is_heard_in_the_midst_of_sending),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
