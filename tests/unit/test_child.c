/* child: a real process from its start to the news that it is over. */
#include "supervisor/process/child.h"
#include "tests/unit/folder_fixture.h"

enum { FILLERS = 8, GUARD_MS = 20000 };

extern char **environ;

/* One child leaves a helper, so it has ended a while before it is over; in that while another one
 * starts and gets the numbers of the descriptors that the first had. */
struct scene {
    struct child_host host;
    struct child *first, *second;
    bool first_over, second_over;
    int log_fd;
    int fillers[FILLERS];
    uv_idle_t watch;
    uv_timer_t guard;
};

static void on_over(void *context, const struct child_end *end) {
    bool *over = context;
    (void)end;
    *over = true;
}

static void on_report(void *context, const struct report *report) {
    (void)context;
    (void)report;
}

static void on_breach(void *context) { (void)context; }

static struct child *start(struct scene *scene, const char *script, bool *over) {
    static const struct child_callbacks callbacks = {
        .report = on_report, .breach = on_breach, .over = on_over};
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct child_request request = {.argv = argv,
                                          .envp = (const char *const *)environ,
                                          .token = "test_child",
                                          .log_fd = scene->log_fd};
    struct child *child;
    struct failure failure;
    assert_int_equal(child_start(&scene->host, &request, &callbacks, over, &child, &failure), 0);
    return child;
}

static void on_turn(uv_idle_t *idle) {
    struct scene *scene = idle->data;
    if (!scene->second && child_ended(scene->first)) {
        for (int i = 0; i < FILLERS; i++)
            if (scene->fillers[i] >= 0)
                (void)close(STEAL_FD(scene->fillers[i]));
        scene->second = start(scene, "exec sleep 600", &scene->second_over);
    }
    if (scene->first && scene->first_over && scene->second) {
        child_close(scene->first);
        scene->first = NULL;
        child_kill(scene->second);
    }
    if (scene->second_over)
        uv_stop(idle->loop);
}

static void on_guard(uv_timer_t *timer) { uv_stop(timer->loop); }

static void a_child_keeps_being_watched_when_another_is_closed(void **state) {
    (void)state;
    for (int n_fillers = 0; n_fillers < FILLERS; n_fillers++) {
        uv_loop_t loop;
        struct failure failure;
        struct scene scene = {.log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(child_host_open(&loop, &scene.host, &failure), 0);
        assert_int_equal(uv_idle_init(&loop, &scene.watch), 0);
        assert_int_equal(uv_timer_init(&loop, &scene.guard), 0);
        scene.watch.data = &scene;
        assert_int_equal(uv_idle_start(&scene.watch, on_turn), 0);
        assert_int_equal(uv_timer_start(&scene.guard, on_guard, GUARD_MS, 0), 0);
        for (int i = 0; i < FILLERS; i++) /* so that every number is tried by some round */
            scene.fillers[i] = i < n_fillers ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
        scene.first = start(&scene, "(setsid sleep 600 &); exit 0", &scene.first_over);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_true(scene.first_over);
        assert_true(scene.second_over);
        child_close(scene.first);
        child_close(scene.second);
        uv_close((uv_handle_t *)&scene.watch, NULL);
        uv_close((uv_handle_t *)&scene.guard, NULL);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
        child_host_close(&scene.host);
        (void)close(scene.log_fd);
    }
}

static void keep_end(void *context, const struct child_end *end) {
    *(struct child_end *)context = *end;
}

/* The folder is no cgroup: no limit can be set in it, and nobody can enter. */
static void a_child_without_its_group_runs_all_the_same(void **state) {
    static const struct {
        uint64_t limit_bytes;
        const char *told;
    } rows[] = {{1 << 30, "task-1 takes no limit: No such file or directory"},
                {0, "it could not enter its control group: Bad file descriptor"}};
    static const struct child_callbacks callbacks = {
        .report = on_report, .breach = on_breach, .over = keep_end};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uv_loop_t loop;
        struct failure failure;
        struct child_host host;
        struct child_end end = {.exit = {.status = -1}};
        struct cgroup_level level = {.kind = CGROUP_LEVEL_V1};
        (void)snprintf(level.folder, sizeof(level.folder), "%s", (char *)*state);
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(child_host_open(&loop, &host, &failure), 0);
        assert_int_equal(cgroup_tree_open(&level, "0123", &host.tree, &failure), 0);
        CLEANUP_CLOSE int log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        const char *const argv[] = {"/bin/sh", "-c", "exit 7", NULL};
        const struct child_request request = {.argv = argv,
                                              .envp = (const char *const *)environ,
                                              .token = "test_child",
                                              .log_fd = log_fd,
                                              .memory_limit_bytes = rows[i].limit_bytes};
        struct child *child = NULL;
        struct cgroup_leaf_usage usage;
        assert_int_equal(child_start(&host, &request, &callbacks, &end, &child, &failure), 0);
        assert_int_equal(child_look(child, &usage), -ENODATA);
        while (end.exit.status < 0)
            (void)uv_run(&loop, UV_RUN_ONCE);
        assert_int_equal(end.exit.status, 7);
        assert_int_equal(end.cgroup.kind, CGROUP_LEVEL_NONE);
        assert_in(rows[i].told, end.cgroup_error);
        child_close(child);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
        cgroup_tree_close(host.tree);
        child_host_close(&host);
    }
    assert_int_equal(rmdir(*state), 0); /* nothing is left in it */
    folder_make(*state, ".");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_child_without_its_group_runs_all_the_same, folder_setup,
                                        folder_teardown),
        cmocka_unit_test(a_child_keeps_being_watched_when_another_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
