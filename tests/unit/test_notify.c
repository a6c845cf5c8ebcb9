/* What the service manager hears from us, with the socket of a manager of our own. */
#include "supervisor/service/notify.h"
#include "tests/unit/folder_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { MESSAGE_BYTES = 1024, HOPELESS_LOOKS = 3 };

struct manager {
    char *folder;
    int fd;
    uv_loop_t loop;
    uv_poll_t poll;   /* keeps the loop alive and stops it at each message */
    uv_async_t alive; /* as a loop has that waits for clients */
    struct notify *notify;
    int looks; /* of the watchdog at the progress */
    int hopeless;
};

static bool has_progress(void *context) {
    struct manager *manager = context;
    return ++manager->looks > manager->hopeless;
}

static void on_message(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    struct manager *manager = poll->data;
    uv_stop(&manager->loop);
}

static int setup(void **state) {
    struct manager *manager = calloc(1, sizeof(*manager));
    void *folder = NULL;
    if (!manager || folder_setup(&folder) < 0)
        return -1;
    manager->folder = folder;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", manager->folder);
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (manager->fd < 0 || bind(manager->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        setenv("NOTIFY_SOCKET", address.sun_path, 1) < 0 || uv_loop_init(&manager->loop) < 0 ||
        uv_poll_init(&manager->loop, &manager->poll, manager->fd) < 0)
        return -1;
    manager->poll.data = manager;
    *state = manager;
    return uv_poll_start(&manager->poll, UV_READABLE, on_message);
}

static int teardown(void **state) {
    struct manager *manager = *state;
    notify_close(manager->notify);
    uv_close((uv_handle_t *)&manager->poll, NULL);
    (void)uv_run(&manager->loop, UV_RUN_DEFAULT);
    int r = uv_loop_close(&manager->loop);
    cleanup_close(&manager->fd);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    void *folder = manager->folder;
    free(manager);
    return folder_teardown(&folder) < 0 ? -1 : r;
}

static void start(struct manager *manager) {
    assert_int_equal(notify_open(&manager->loop, has_progress, manager, &manager->notify, NULL), 0);
}

/* What was said, or "" when nothing waits. */
static const char *heard(struct manager *manager, char text[MESSAGE_BYTES]) {
    ssize_t n = recv(manager->fd, text, MESSAGE_BYTES - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* The next message, as soon as the loop brings it. */
static const char *next(struct manager *manager, char text[MESSAGE_BYTES]) {
    while (!*heard(manager, text))
        (void)uv_run(&manager->loop, UV_RUN_DEFAULT);
    return text;
}

static void states(void **state) {
    struct manager *manager = *state;
    char text[MESSAGE_BYTES];
    start(manager);
    notify_extend(manager->notify, 1500);
    assert_string_equal(next(manager, text), "EXTEND_TIMEOUT_USEC=1500000");
    notify_ready(manager->notify);
    assert_string_equal(next(manager, text), "READY=1");
    notify_reloading(manager->notify);
    assert_in("RELOADING=1\nMONOTONIC_USEC=", next(manager, text));
    notify_ready(manager->notify);
    assert_string_equal(next(manager, text), "READY=1");
    notify_stopping(manager->notify);
    assert_string_equal(next(manager, text), "STOPPING=1");
}

static void a_status_is_one_line_and_told_once(void **state) {
    struct manager *manager = *state;
    char text[MESSAGE_BYTES];
    start(manager);
    notify_status(manager->notify, "%d tasks wait\nWATCHDOG=1", 7);
    assert_string_equal(next(manager, text), "STATUS=7 tasks wait WATCHDOG=1");
    notify_status(manager->notify, "7 tasks wait\nWATCHDOG=1");
    assert_string_equal(heard(manager, text), "");
}

static void of_many_statuses_the_last_arrives(void **state) {
    struct manager *manager = *state;
    char text[MESSAGE_BYTES];
    start(manager);
    for (int i = 9; i >= 0; i--)
        notify_status(manager->notify, "%d tasks wait", i);
    assert_string_equal(next(manager, text), "STATUS=9 tasks wait");
    assert_string_equal(next(manager, text), "STATUS=0 tasks wait");
    notify_status(manager->notify, "the last word");
    notify_close(manager->notify);
    manager->notify = NULL;
    assert_string_equal(next(manager, text), "STATUS=the last word");
}

/* sd_notify would wait for ever. */
static void a_manager_that_does_not_listen_holds_nothing_up(void **state) {
    struct manager *manager = *state;
    char text[MESSAGE_BYTES];
    start(manager);
    for (int i = 0; i < 5000; i++)
        notify_extend(manager->notify, i);
    notify_status(manager->notify, "told when there is room again");
    while (strncmp(heard(manager, text), "EXTEND", strlen("EXTEND")) == 0)
        ;
    assert_string_equal(*text ? text : next(manager, text), "STATUS=told when there is room again");
}

/* A manager that has gone is no reason to wake up again and again. */
static void a_manager_that_has_gone_is_left_alone(void **state) {
    struct manager *manager = *state;
    start(manager);
    (void)uv_poll_stop(&manager->poll);
    (void)close(STEAL_FD(manager->fd));
    notify_status(manager->notify, "nobody hears this");
    assert_int_equal(uv_async_init(&manager->loop, &manager->alive, NULL), 0);
    for (int i = 0; i < 2 && uv_backend_timeout(&manager->loop) >= 0; i++)
        (void)uv_run(&manager->loop, UV_RUN_ONCE);
    const int next_ms = uv_backend_timeout(&manager->loop);
    uv_close((uv_handle_t *)&manager->alive, NULL);
    assert_int_equal(next_ms, -1); /* nothing wakes it any more */
}

static void the_watchdog_hears_nothing_without_progress(void **state) {
    struct manager *manager = *state;
    char text[MESSAGE_BYTES];
    assert_int_equal(setenv("WATCHDOG_USEC", "20000", 1), 0);
    manager->hopeless = HOPELESS_LOOKS;
    start(manager);
    notify_ready(manager->notify);
    assert_string_equal(next(manager, text), "READY=1");
    assert_int_equal(manager->looks, 0);
    assert_string_equal(next(manager, text), "WATCHDOG=1");
    assert_true(manager->looks > HOPELESS_LOOKS);
    assert_string_equal(next(manager, text), "WATCHDOG=1");
}

static void no_watchdog_unless_asked_for(void **state) {
    struct manager *manager = *state;
    char text[MESSAGE_BYTES];
    start(manager);
    notify_ready(manager->notify);
    assert_string_equal(next(manager, text), "READY=1");
    (void)uv_run(&manager->loop, UV_RUN_NOWAIT);
    assert_int_equal(manager->looks, 0);
}

static void without_a_manager_nothing_happens(void **state) {
    struct manager *manager = *state;
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    char text[MESSAGE_BYTES];
    start(manager);
    notify_ready(manager->notify);
    notify_status(manager->notify, "nobody hears this");
    assert_string_equal(heard(manager, text), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(states, setup, teardown),
        cmocka_unit_test_setup_teardown(a_status_is_one_line_and_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(of_many_statuses_the_last_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(a_manager_that_does_not_listen_holds_nothing_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_manager_that_has_gone_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_watchdog_hears_nothing_without_progress, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_watchdog_unless_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_manager_nothing_happens, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
