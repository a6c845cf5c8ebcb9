/* registrar.conf: what is read, what every bad line is told, and that the defaults are run's. */
#include "supervisor/cli/options.h"
#include "supervisor/service/conf.h"
#include "tests/unit/folder_fixture.h"

#include <math.h>

/* Reads the text as a file of that name; its path goes to *ret_path. */
static int read_text(const char *folder, const char *text, size_t length, struct conf *ret,
                     struct failure *failure, char **ret_path) {
    folder_write_bytes(folder, "registrar.conf", text, length);
    *ret_path = names_format("%s/registrar.conf", folder);
    assert_non_null(*ret_path);
    assert_int_equal(chmod(*ret_path, 0644), 0);
    return conf_read(*ret_path, ret, failure);
}

static void defaults_are_those_of_run(void **state) {
    (void)state;
    CLEANUP(conf_free) struct conf conf = {0};
    assert_int_equal(conf_read(NULL, &conf, NULL), 0);
    assert_int_equal(conf.timeout_ms, OPTIONS_DEFAULT_TIMEOUT_MS);
    assert_int_equal(conf.stall_timeout_ms, OPTIONS_DEFAULT_STALL_TIMEOUT_MS);
    assert_int_equal(conf.retries, OPTIONS_DEFAULT_RETRIES);
    assert_int_equal(conf.sample_interval_ms, OPTIONS_DEFAULT_SAMPLE_INTERVAL_MS);
    assert_int_equal(conf.worker_memory_bytes, (uint64_t)OPTIONS_DEFAULT_WORKER_MEMORY_MIB << 20);
    assert_int_equal(conf.jobs, 0);
    assert_true(fabs(conf.memory.share - 1) < 1e-9);
    assert_int_equal(conf.reserve.bytes, 0);
    assert_true(conf.sandbox);
    assert_string_equal(conf.admin_group, "registrar-admin");
    assert_null(conf.quiet_hours);
    assert_null(conf.on_failure);
    assert_null(conf.hook_user);
}

static void every_kind_of_value(void **state) {
    static const char text[] = "\xef\xbb\xbf; what an editor puts before it does no harm\r\n"
                               "[registrar]\r\n"
                               "jobs = 3\r\n"
                               "memory=24G ; of 32\n"
                               "\n"
                               "# reserved for those at the desk\n"
                               "reserve = 20%\n"
                               "   \n"
                               "quiet-hours = Mon-Fri 08:00-18:00 30%\n"
                               "sandbox = no\n"
                               "admin-group = none\n"
                               "on-failure = mail -s \"it failed\" ada\n"
                               "hook-timeout = 90s";
    CLEANUP(conf_free) struct conf conf = {0};
    struct failure failure = {0};
    CLEANUP_FREE char *path = NULL;
    int r = read_text(*state, text, sizeof(text) - 1, &conf, &failure, &path);
    assert_string_equal(failure.text, "");
    assert_int_equal(r, 0);
    assert_int_equal(conf.jobs, 3);
    assert_int_equal(conf.threads, 0);
    assert_int_equal(conf.memory.bytes, 24ULL << 30);
    assert_true(conf.memory.share <= 0);
    assert_true(fabs(conf.reserve.share - 0.2) < 1e-9);
    assert_string_equal(conf.quiet_hours, "Mon-Fri 08:00-18:00 30%");
    assert_false(conf.sandbox);
    assert_null(conf.admin_group);
    assert_string_equal(conf.on_failure, "mail -s \"it failed\" ada");
    assert_int_equal(conf.hook_timeout_ms, 90000);
}

static void bad_lines_are_named(void **state) {
    static const struct {
        const char *text, *told; /* told: behind the path */
    } cases[] = {
        {"jobs = 2\nmemroy = 4G\n",
         ":2: unknown key \"memroy\", did you mean memory?; registrar.conf(5) lists all"},
        {"zzz = 4G\n", ":1: unknown key \"zzz\"; registrar.conf(5) lists all"},
        {"\n\njobs = many\n", ":3: jobs: \"many\" is not allowed; give auto or a number from 1 to"},
        {"jobs =\n", ":1: jobs: \"\" is not allowed"},
        {"memory = 0\n", ":1: memory: \"0\" is not allowed; give a size like 24G, or a share"},
        {"reserve = -1G\n", ":1: reserve: \"-1G\" is not allowed"},
        {"worker-memory = 100M\n", ":1: worker-memory: \"100M\" is not allowed; give a size of at"},
        {"timeout = soon\n", ":1: timeout: \"soon\" is not allowed; give a duration above 0"},
        {"quiet-hours = by day\n",
         ":1: quiet-hours: \"by day\" is not allowed; give none, or hours"},
        {"half-life = 1s\n", ":1: half-life: \"1s\" is not allowed"},
        {"sandbox = perhaps\n", ":1: sandbox: \"perhaps\" is not allowed; give yes or no"},
        {"retries = 1\nretries = 2\n", ":2: retries stands in line 1 already; leave one out"},
        {"[tasks]\nretries = 1\n", ":2: retries stands in the section [tasks]; there is none but"},
        {"retries 1\n", ":1: this is no \"key = value\""},
        {"jobs = 1\n[registrar\n", ":2: this is no \"key = value\""},
        {"on-failure = a\n  b\n", ":2: a line begins with its key, not with a space"},
        {"admin-group = a\x01z\n", ":1: admin-group: \"a\\x01z\" is not allowed"},
        {"hook-user = \xff\n", ":1: hook-user: \"\\xff\" is not allowed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct conf conf = {0};
        struct failure failure = {0};
        CLEANUP_FREE char *path = NULL;
        int r = read_text(*state, cases[i].text, strlen(cases[i].text), &conf, &failure, &path);
        assert_int_equal(r, -EINVAL);
        assert_in(path, failure.text);
        assert_in(cases[i].told, failure.text);
        assert_null(conf.text[0]);
    }
}

static void bytes_that_are_no_line(void **state) {
    struct conf conf = {0};
    struct failure failure = {0};
    CLEANUP_FREE char *path = NULL;
    assert_int_equal(read_text(*state, "jobs\0 = 1\n", 10, &conf, &failure, &path), -EINVAL);
    assert_in(":1: a zero byte: this is no text file", failure.text);

    char text[600] = "jobs = 1\non-failure = ";
    memset(text + strlen(text), 'x', sizeof(text) - strlen(text) - 1);
    CLEANUP_FREE char *again = NULL;
    assert_int_equal(read_text(*state, text, strlen(text), &conf, &failure, &again), -EINVAL);
    assert_in(":2: a line has at most ", failure.text);
    assert_in("put a long command into a script", failure.text);
}

static void files_that_are_not_to_be_believed(void **state) {
    struct conf conf = {0};
    struct failure failure = {0};
    CLEANUP_FREE char *missing = names_format("%s/none.conf", (char *)*state);
    assert_int_equal(conf_read(missing, &conf, &failure), -ENOENT);
    assert_in(missing, failure.text);
    assert_int_equal(conf_read(*state, &conf, &failure), -EINVAL);
    assert_in("is no plain file", failure.text);

    if (geteuid() != 0)
        skip();
    folder_write(*state, "open.conf", "jobs = 1\n");
    CLEANUP_FREE char *open_to_all = names_format("%s/open.conf", (char *)*state);
    assert_int_equal(chmod(open_to_all, 0666), 0);
    assert_int_equal(conf_read(open_to_all, &conf, &failure), -EPERM);
    assert_in("chmod go-w", failure.text);
}

/* What --show-config prints is a file that says the same. */
static void printed_and_read_again(void **state) {
    static const char text[] = "jobs = 3\nmemory = 60%\non-batch-end = logger done\n";
    CLEANUP(conf_free) struct conf conf = {0};
    struct failure failure = {0};
    CLEANUP_FREE char *path = NULL;
    assert_int_equal(read_text(*state, text, sizeof(text) - 1, &conf, &failure, &path), 0);
    char *printed = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&printed, &length);
    assert_non_null(stream);
    conf_print(&conf, stream);
    assert_int_equal(fclose(stream), 0);
    CLEANUP(conf_free) struct conf again = {0};
    CLEANUP_FREE char *path_again = NULL;
    assert_int_equal(read_text(*state, printed, length, &again, &failure, &path_again), 0);
    free(printed);
    for (size_t i = 0; conf_row(i); i++)
        assert_string_equal(again.text[i], conf.text[i]);
    assert_string_equal(again.on_batch_end, "logger done");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_run),
        cmocka_unit_test_setup_teardown(every_kind_of_value, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(bad_lines_are_named, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_line, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(files_that_are_not_to_be_believed, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(printed_and_read_again, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
