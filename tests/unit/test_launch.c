/* launch: what the supervisor does in a user's folder, and what it starts his tasks with.
 * timeout: 60 */
#include "supervisor/engine/launch.h"

#include "tests/unit/folder_fixture.h"
#include "tests/unit/user_fixture.h"

struct place {
    char *out, *task_folder, *log, *secret;
};

/* OUT and OUT/t/1 as the user left them, and beside them a file of root's. */
static void make_place(const char *folder, bool is_users, struct place *ret) {
    ret->out = names_format("%s/out", folder);
    ret->task_folder = names_format("%s/out/t/1", folder);
    ret->log = names_format("%s/log.txt", ret->task_folder);
    ret->secret = names_format("%s/secret", folder);
    folder_write(folder, "secret", "root's\n");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(ret->secret, 0644), 0);
    assert_int_equal(mkdir(ret->out, 0755), 0);
    if (is_users)
        assert_int_equal(chown(ret->out, USER_FIXTURE_UID, USER_FIXTURE_GID), 0);
}

static void make_task_folder(const struct place *place) {
    CLEANUP_FREE char *parent = names_format("%s/t", place->out);
    assert_int_equal(mkdir(parent, 0755), 0);
    assert_int_equal(mkdir(place->task_folder, 0755), 0);
}

static void free_place(const struct place *place) {
    free(place->out);
    free(place->task_folder);
    free(place->log);
    free(place->secret);
}

static int prepare(const struct place *place, const struct credentials *credentials,
                   struct launch *ret, struct failure *failure) {
    /* the launch borrows them */
    static char program[] = "true", language[] = "LANG=de_DE.UTF-8";
    static char *command[] = {program, NULL}, *own[] = {language, NULL};
    const struct task task = {
        .id = (char[]){"t/1"}, .kind = TASK_COMMAND, .command = command, .env = own};
    const struct launch_line line = {.out = place->out, .credentials = credentials};
    struct launch_base base = {.ledger_id = "test"};
    assert_int_equal(launch_base_init(&base), 0);
    int r = launch_prepare(&base, &line, &task, 1, NULL, ret, failure);
    if (r < 0)
        launch_free(ret);
    launch_base_free(&base);
    return r;
}

static bool has(const struct launch *launch, const char *variable) {
    for (size_t i = 0; launch->envp[i]; i++)
        if (strncmp(launch->envp[i], variable, strlen(variable)) == 0)
            return true;
    return false;
}

static void folder_log_and_environment_are_the_users(void **state) {
    struct place place;
    struct launch launch;
    struct stat status;
    struct failure failure;
    user_fixture_need();
    make_place(*state, true, &place);
    assert_int_equal(setenv("REGISTRAR_TEST_SECRET", "1", 1), 0);
    assert_int_equal(prepare(&place, user_fixture(), &launch, &failure), 0);
    assert_ptr_equal(launch.request.credentials, user_fixture());
    assert_int_equal(stat(place.task_folder, &status), 0);
    assert_int_equal(status.st_uid, USER_FIXTURE_UID);
    assert_int_equal(stat(place.log, &status), 0);
    assert_int_equal(status.st_uid, USER_FIXTURE_UID);
    assert_false(has(&launch, "REGISTRAR_TEST_SECRET"));
    assert_true(has(&launch, "USER=somebody"));
    assert_true(has(&launch, "LANG=de_DE.UTF-8"));
    assert_true(has(&launch, "REGISTRAR_TASK=t/1"));
    launch_free(&launch);
    assert_int_equal(unsetenv("REGISTRAR_TEST_SECRET"), 0);
    free_place(&place);
}

/* Into a folder that only root may write nothing is put, whoever asks. */
static void a_folder_of_others_stays_as_it_is(void **state) {
    struct place place;
    struct launch launch;
    struct failure failure;
    user_fixture_need();
    make_place(*state, false, &place);
    assert_int_equal(prepare(&place, user_fixture(), &launch, &failure), -EACCES);
    assert_int_equal(access(place.task_folder, F_OK), -1);
    make_task_folder(&place);
    assert_int_equal(prepare(&place, user_fixture(), &launch, &failure), -EACCES);
    assert_non_null(strstr(failure.text, "log.txt: Permission denied"));
    assert_int_equal(access(place.log, F_OK), -1);
    free_place(&place);
}

/* Whatever a program in the folder put in the log's place: it is not followed, and keeps nobody
 * waiting. */
static void what_is_no_log_is_refused(void **state) {
    struct place place;
    struct launch launch;
    struct failure failure;
    struct stat status;
    make_place(*state, false, &place);
    make_task_folder(&place);
    assert_int_equal(symlink(place.secret, place.log), 0);
    assert_int_equal(prepare(&place, NULL, &launch, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "out/t/1/log.txt: it is no plain file; remove it"));
    assert_int_equal(stat(place.secret, &status), 0);
    assert_int_equal(status.st_size, strlen("root's\n"));
    assert_int_equal(unlink(place.log), 0);
    assert_int_equal(mkfifo(place.log, 0666), 0);
    assert_int_equal(prepare(&place, NULL, &launch, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "no plain file"));
    free_place(&place);
}

/* --redo empties checkpoints/, and not what a link of that name leads to. */
static void only_checkpoints_are_forgotten(void **state) {
    const struct task task = {.id = (char[]){"t/1"}};
    struct place place;
    struct failure failure;
    make_place(*state, false, &place);
    make_task_folder(&place);
    folder_write(*state, "photos/a", "a");
    CLEANUP_FREE char *photos = names_format("%s/photos", (char *)*state);
    CLEANUP_FREE char *photo = names_format("%s/a", photos);
    CLEANUP_FREE char *checkpoints = names_format("%s/checkpoints", place.task_folder);
    const struct launch_line line = {.out = place.out};
    assert_int_equal(symlink(photos, checkpoints), 0);
    assert_true(launch_forget_stages(&line, &task, &failure) < 0);
    assert_int_equal(access(photo, F_OK), 0);
    assert_int_equal(unlink(checkpoints), 0);
    assert_int_equal(launch_forget_stages(&line, &task, &failure), 0);
    assert_int_equal(rename(photos, checkpoints), 0);
    assert_int_equal(launch_forget_stages(&line, &task, &failure), 0);
    assert_int_equal(rmdir(checkpoints), 0); /* it is empty */
    free_place(&place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folder_log_and_environment_are_the_users, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(a_folder_of_others_stays_as_it_is, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_log_is_refused, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(only_checkpoints_are_forgotten, folder_setup,
                                        folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
