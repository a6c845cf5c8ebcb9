/* service: what is submitted is run, once, whatever stops it on the way; with real processes on a
 * real loop, but no socket. */
/* timeout: 120 */
#include "supervisor/service/service.h"
#include "tests/unit/folder_fixture.h"

#include "common/clock.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { STARTS = 100 };

struct bench {
    const char *folder;
    uv_loop_t loop;
    struct conf conf;
    struct journal journal;
    struct service *service;
    const char *awaited; /* the event that ends a turn of the test */
    int n_starts, n_ends, n_batches;
    char order[STARTS]; /* of the first starts: the first letter of the batch's name */
    bool is_stopped;
    struct failure end;
};

static struct rights_caller me(void) {
    return (struct rights_caller){.uid = getuid(), .gid = getgid(), .user = "me", .is_admin = true};
}

static void on_event(void *context, const json_t *event) {
    struct bench *bench = context;
    const char *name = json_string_value(json_object_get(event, "event"));
    if (strcmp(name, "start") == 0 && bench->n_starts < STARTS)
        bench->order[bench->n_starts] = *json_string_value(json_object_get(event, "batch"));
    bench->n_starts += strcmp(name, "start") == 0;
    bench->n_ends += strcmp(name, "end") == 0;
    bench->n_batches += strcmp(name, "batch") == 0;
    if (bench->awaited && strcmp(name, bench->awaited) == 0)
        uv_stop(&bench->loop);
}

static void on_stopped(void *context, const struct failure *failure) {
    struct bench *bench = context;
    bench->is_stopped = true;
    bench->end = *failure;
    service_close(bench->service);
}

static void open_service(struct bench *bench) {
    struct failure failure = {0};
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    bench->is_stopped = false;
    bench->n_starts = bench->n_ends = bench->n_batches = 0;
    const struct service_settings settings = {
        .loop = &bench->loop,
        .state_dir = bench->folder,
        .conf = &bench->conf,
        .journal = &bench->journal,
        .command = "registrar daemon",
        .stopped = on_stopped,
        .context = bench,
    };
    if (service_open(&settings, &bench->service, &failure) < 0)
        fail_msg("%s", failure.text);
    service_listen(bench->service, on_event, bench);
}

/* Gently, as SIGTERM does. */
static void stop_service(struct bench *bench) {
    service_stop(bench->service, 1, "SIGTERM");
    (void)uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_true(bench->is_stopped);
    assert_int_equal(bench->end.code, 0);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    service_free(bench->service);
}

/* Until so many of these were told, from the service's opening on. */
static void await(struct bench *bench, const char *event, const int *count, int n) {
    bench->awaited = event;
    while (*count < n)
        (void)uv_run(&bench->loop, UV_RUN_DEFAULT);
    bench->awaited = NULL;
    assert_false(bench->is_stopped);
}

static void await_start(struct bench *bench) { await(bench, "start", &bench->n_starts, 1); }

static void await_batches(struct bench *bench, int n) {
    await(bench, "batch", &bench->n_batches, n);
}

/* n tasks "t/0", "t/1", ... that each run this in a shell. */
static struct queue_batch *submit_as(struct bench *bench, uid_t uid, const char *name, size_t n,
                                     const char *command, const char *more) {
    struct rights_caller caller = me();
    caller.uid = uid;
    struct failure failure = {0};
    struct queue_submit *submit = NULL;
    struct queue_answer answer = {0};
    CLEANUP_FREE char *text = names_format("{\"name\":\"%s\",\"out\":\"%s/%s\",\"tasks\":%zu%s}",
                                           name, bench->folder, name, n, more);
    CLEANUP_JSON json_t *header = json_loads(text, 0, NULL);
    assert_non_null(header);
    CLEANUP_FREE char *out = names_format("%s/%s", bench->folder, name);
    (void)mkdir(out, 0777);
    int r = queue_submit_begin(service_queue(bench->service), &caller, header, clock_wall_ms(),
                               &submit, &failure);
    for (size_t i = 0; r == 0 && i < n; i++) {
        CLEANUP_FREE char *line =
            names_format("{\"id\":\"t/%zu\",\"kind\":\"c\",\"command\":[\"/bin/sh\",\"-c\",\"%s\"],"
                         "\"cwd\":\"%s\",\"memory_bytes\":1048576,\"need\":{\"size\":1.0}}",
                         i, command, bench->folder);
        r = queue_submit_line(submit, line, strlen(line), &failure);
    }
    if (r == 0)
        r = queue_submit_commit(submit, NULL, NULL, &answer, &failure);
    if (r < 0)
        fail_msg("%s", failure.text);
    service_changed(bench->service, NULL, NULL, NULL);
    return queue_find(service_queue(bench->service), name);
}

static struct queue_batch *submit(struct bench *bench, const char *name, size_t n,
                                  const char *command, const char *more) {
    return submit_as(bench, getuid(), name, n, command, more);
}

static json_t *summary(const struct bench *bench, const char *name) {
    CLEANUP_FREE char *path = names_format("%s/%s/summary.json", bench->folder, name);
    json_t *object = json_load_file(path, 0, NULL);
    assert_non_null(object);
    return object;
}

static json_int_t count_of(const json_t *object, const char *verdict) {
    return json_integer_value(json_object_get(json_object_get(object, "counts"), verdict));
}

/* The service has nothing that would wake it. */
static void expect_idle(struct bench *bench) {
    (void)uv_run(&bench->loop, UV_RUN_NOWAIT);
    while (uv_loop_alive(&bench->loop) && uv_backend_timeout(&bench->loop) >= 0)
        (void)uv_run(&bench->loop, UV_RUN_ONCE); /* its last handles are on their way */
}

static void runs_a_batch(void **state) {
    struct bench *bench = *state;
    open_service(bench);
    service_start(bench->service);
    struct queue_batch *batch = submit(bench, "night", 300, "exit 0", "");
    await_batches(bench, 1);
    assert_int_equal(batch->n_verdict[VERDICT_OK], 300);
    assert_int_equal(bench->n_starts, 300);
    assert_int_equal(bench->n_ends, 300);
    assert_true(batch->is_closed);
    CLEANUP_JSON json_t *object = summary(bench, "night");
    assert_int_equal(json_array_size(json_object_get(object, "tasks")), 300);
    assert_int_equal(count_of(object, "ok"), 300);
    expect_idle(bench);
    stop_service(bench);
    open_service(bench); /* nothing is done again */
    service_start(bench->service);
    batch = queue_find(service_queue(bench->service), "night");
    assert_true(batch->is_closed);
    assert_int_equal(batch->n_state[QUEUE_ENDED], 300);
    expect_idle(bench);
    assert_int_equal(bench->n_starts, 0);
    stop_service(bench);
}

static void failures_are_told(void **state) {
    struct bench *bench = *state;
    open_service(bench);
    service_start(bench->service);
    const struct queue_batch *batch = submit(bench, "bad", 2, "exit 3", "");
    await_batches(bench, 1);
    assert_int_equal(batch->n_verdict[VERDICT_FAILED], 2);
    CLEANUP_JSON json_t *object = summary(bench, "bad");
    const json_t *task = json_array_get(json_object_get(object, "tasks"), 0);
    assert_non_null(strstr(json_string_value(json_object_get(task, "reason")), "3"));
    stop_service(bench);
}

/* What runs when the service is told to stop is asked to end, and runs again at the next start. */
/* Of those who did not end well, however many they are. */
static void every_failure_has_its_reason(void **state) {
    enum { TASKS = 1100 };
    struct bench *bench = *state;
    const struct rights_caller caller = me();
    struct failure failure;
    struct queue_change change;
    open_service(bench);
    struct queue_batch *batch = submit(bench, "many", TASKS, "exit 0", ",\"not_before\":\"+2h\"");
    assert_int_equal(queue_cancel(service_queue(bench->service), &caller, batch, NULL,
                                  clock_wall_ms(), NULL, NULL, &change, &failure),
                     0);
    service_start(bench->service);
    service_changed(bench->service, batch, &change, "me");
    queue_change_free(&change);
    await_batches(bench, 1);
    CLEANUP_JSON json_t *told = summary(bench, "many");
    const json_t *tasks = json_object_get(told, "tasks");
    assert_int_equal(json_array_size(tasks), TASKS);
    for (size_t i = 0; i < TASKS; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(tasks, i), "reason")),
                            "cancelled by me");
    stop_service(bench);
}

/* What the settings say now is true of batches that are open, too. */
static void settings_reach_what_is_open(void **state) {
    struct bench *bench = *state;
    open_service(bench);
    service_start(bench->service);
    bench->conf.retries = 0;
    (void)submit(bench, "slow", 3, "exec sleep 1000", ",\"options\":{\"jobs\":1}");
    await_start(bench);
    bench->conf.timeout_ms = 10;
    service_reconfigure(bench->service, &bench->conf);
    struct queue_batch *batch = queue_find(service_queue(bench->service), "slow");
    const struct rights_caller caller = me();
    struct queue_change change;
    assert_int_equal(queue_cancel(service_queue(bench->service), &caller, batch, "t/0",
                                  clock_wall_ms(), NULL, NULL, &change, NULL),
                     0);
    service_changed(bench->service, batch, &change, "me");
    queue_change_free(&change);
    await_batches(bench, 1);
    CLEANUP_JSON json_t *told = summary(bench, "slow");
    assert_int_equal(count_of(told, "cancelled"), 1);
    assert_int_equal(count_of(told, "timeout"), 2);
    stop_service(bench);
}

static void goes_on_after_a_stop(void **state) {
    struct bench *bench = *state;
    open_service(bench);
    service_start(bench->service);
    struct queue_batch *batch =
        submit(bench, "long", 3, "test -e go || exec sleep 1000", ",\"options\":{\"retries\":0}");
    await_start(bench);
    stop_service(bench);
    CLEANUP_FREE char *go = names_format("%s/go", bench->folder);
    struct failure failure;
    assert_int_equal(atomic_file_write(go, "", 0, &failure), 0);
    open_service(bench);
    batch = queue_find(service_queue(bench->service), "long");
    assert_int_equal(batch->n_state[QUEUE_WAITING], 3);
    assert_true(queue_look(batch, 0).attempts == 1);
    service_start(bench->service);
    await_batches(bench, 1);
    assert_int_equal(batch->n_verdict[VERDICT_OK], 3);
    assert_int_equal(queue_look(batch, 0).attempts, 2);
    stop_service(bench);
}

static void cancels(void **state) {
    struct bench *bench = *state;
    struct queue_change change = {0};
    struct failure failure;
    const struct rights_caller caller = me();
    open_service(bench);
    service_start(bench->service);
    struct queue_batch *batch = submit(bench, "away", 200, "exec sleep 1000", "");
    await_start(bench);
    char why[SERVICE_WHY_BYTES];
    assert_non_null(service_why(bench->service, batch, "t/199", why));
    assert_true(why[0]);
    assert_int_equal(queue_cancel(service_queue(bench->service), &caller, batch, NULL, 1, NULL,
                                  NULL, &change, &failure),
                     0);
    service_changed(bench->service, batch, &change, caller.user);
    queue_change_free(&change);
    await_batches(bench, 1);
    assert_int_equal(batch->n_verdict[VERDICT_CANCELLED], 200);
    CLEANUP_JSON json_t *object = summary(bench, "away");
    assert_int_equal(count_of(object, "cancelled"), 200);
    expect_idle(bench);
    stop_service(bench);
}

static void pauses(void **state) {
    struct bench *bench = *state;
    struct queue_change change = {0};
    struct failure failure;
    const struct rights_caller caller = me();
    open_service(bench);
    struct queue *queue = service_queue(bench->service);
    struct queue_batch *batch = submit(bench, "held", 5, "exit 0", "");
    assert_int_equal(queue_pause(queue, &caller, batch, true, NULL, NULL, &change, &failure), 0);
    queue_change_free(&change);
    service_start(bench->service);
    expect_idle(bench);
    assert_int_equal(bench->n_starts, 0);
    char why[SERVICE_WHY_BYTES];
    assert_non_null(strstr(service_why(bench->service, batch, NULL, why), "paused by me"));
    assert_int_equal(queue_pause(queue, &caller, batch, false, NULL, NULL, &change, &failure), 0);
    queue_change_free(&change);
    service_changed(bench->service, batch, NULL, NULL);
    await_batches(bench, 1);
    assert_int_equal(batch->n_verdict[VERDICT_OK], 5);
    stop_service(bench);
}

/* The same work again is looked at and stands. */
static void done_already(void **state) {
    struct bench *bench = *state;
    open_service(bench);
    service_start(bench->service);
    (void)submit(bench, "again", 4, "exit 0", "");
    await_batches(bench, 1);
    struct queue_batch *batch = submit(bench, "again", 4, "exit 0", "");
    assert_non_null(batch);
    if (batch->n_state[QUEUE_ENDED] < 4)
        await_batches(bench, 2);
    assert_int_equal(bench->n_starts, 4);
    assert_int_equal(batch->n_verdict[VERDICT_OK], 4);
    stop_service(bench);
}

/* A batch that comes later and is worth more goes first, though the engine holds all of the other.
 */
static void takes_turns(void **state) {
    struct bench *bench = *state;
    open_service(bench);
    service_start(bench->service);
    (void)submit(bench, "a", 40, "exit 0", "");
    await_start(bench);
    const int n_before = bench->n_starts;
    (void)submit(bench, "b", 4, "exit 0", ",\"priority\":5");
    await_batches(bench, 2);
    assert_int_equal(bench->n_starts, 44);
    int last = 0;
    for (int i = 0; i < 44; i++)
        if (bench->order[i] == 'b')
            last = i;
    assert_in_range(last, n_before, n_before + 4);
    stop_service(bench);
}

static void waits_for_its_time(void **state) {
    struct bench *bench = *state;
    open_service(bench);
    service_start(bench->service);
    const struct queue_batch *batch =
        submit(bench, "later", 1, "exit 0", ",\"not_before\":\"+2h\"");
    (void)uv_run(&bench->loop, UV_RUN_NOWAIT);
    char why[SERVICE_WHY_BYTES];
    assert_non_null(strstr(service_why(bench->service, batch, NULL, why), "not before"));
    assert_int_equal(bench->n_starts, 0);
    assert_true(uv_backend_timeout(&bench->loop) > 1000); /* one timer, far away */
    stop_service(bench);
}

/* However many there are of a user who is gone: they hold nobody up, and say why they wait. */
static void what_cannot_be_begun_keeps_no_place(void **state) {
    struct bench *bench = *state;
    if (geteuid() != 0)
        skip(); /* nobody else works for others */
    open_service(bench);
    service_start(bench->service);
    struct queue_batch *gone[100];
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        CLEANUP_FREE char *name = names_format("gone-%zu", i);
        gone[i] = submit_as(bench, (uid_t)4000000001, name, 1, "exit 0", "");
    }
    queue_charge(service_queue(bench->service), submit(bench, "own", 1, "exit 0", ""), 1 << 30,
                 1 << 20, clock_wall_ms()); /* they would come first */
    await_batches(bench, 1);
    char why[SERVICE_WHY_BYTES];
    assert_in("nobody has the uid 4000000001", service_why(bench->service, gone[0], NULL, why));
    assert_int_equal(gone[0]->n_state[QUEUE_WAITING], 1);
    stop_service(bench);
}

static void judges_what_cannot_fit(void **state) {
    struct bench *bench = *state;
    const struct rights_caller caller = me();
    struct failure failure = {0};
    struct queue_submit *submitted = NULL;
    open_service(bench);
    CLEANUP_FREE char *text =
        names_format("{\"name\":\"large\",\"out\":\"%s/large\",\"tasks\":1}", bench->folder);
    CLEANUP_JSON json_t *header = json_loads(text, 0, NULL);
    assert_int_equal(
        queue_submit_begin(service_queue(bench->service), &caller, header, 1, &submitted, &failure),
        0);
    static const char line[] =
        "{\"id\":\"t/0\",\"kind\":\"c\",\"command\":[\"/bin/true\"],\"cwd\":\"/\","
        "\"memory_bytes\":1152921504606846976,\"need\":{\"size\":1.0}}";
    assert_int_equal(queue_submit_line(submitted, line, strlen(line), &failure), -EFBIG);
    assert_non_null(strstr(failure.text, "t/0"));
    assert_non_null(strstr(failure.text, "could never start"));
    queue_submit_abort(submitted);
    bench->conf.max_timeout_ms = 60000;
    bench->conf.max_memory = (struct conf_amount){.bytes = 1 << 20};
    assert_int_equal(
        queue_submit_begin(service_queue(bench->service), &caller, header, 1, &submitted, &failure),
        0);
    static const char slow[] = "{\"id\":\"t/1\",\"kind\":\"c\",\"command\":[\"/bin/true\"],"
                               "\"cwd\":\"/\",\"timeout_ms\":61000,\"need\":{\"size\":1.0}}";
    assert_int_equal(queue_submit_line(submitted, slow, strlen(slow), &failure), -EFBIG);
    assert_non_null(strstr(failure.text, "t/1 asks for a timeout of"));
    static const char big[] = "{\"id\":\"t/2\",\"kind\":\"c\",\"command\":[\"/bin/true\"],"
                              "\"cwd\":\"/\",\"memory_bytes\":1048577,\"need\":{\"size\":1.0}}";
    assert_int_equal(queue_submit_line(submitted, big, strlen(big), &failure), -EFBIG);
    assert_non_null(strstr(failure.text, "t/2 asks for"));
    assert_non_null(strstr(failure.text, "max-memory"));
    queue_submit_abort(submitted);
    service_start(bench->service);
    stop_service(bench);
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    void *folder = NULL;
    struct failure failure;
    if (!bench || folder_setup(&folder) < 0 || conf_read(NULL, &bench->conf, &failure) < 0)
        return -1;
    bench->folder = folder;
    *state = bench;
    return setenv("REGISTRAR_WORKER", "/bin/true", 1);
}

static int teardown(void **state) {
    struct bench *bench = *state;
    void *folder = (void *)bench->folder;
    conf_free(&bench->conf);
    free(bench);
    return folder_teardown(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(every_failure_has_its_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_reach_what_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_after_a_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(cancels, setup, teardown),
        cmocka_unit_test_setup_teardown(pauses, setup, teardown),
        cmocka_unit_test_setup_teardown(done_already, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_begun_keeps_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(judges_what_cannot_fit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
