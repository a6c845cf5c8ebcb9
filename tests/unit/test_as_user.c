/* as_user and credentials: a user's rights for the daemon's own file work. timeout: 60 */
#include "supervisor/service/as_user.h"

#include "tests/unit/folder_fixture.h"
#include "tests/unit/user_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

static struct as_user enter(void) {
    struct as_user as_user;
    assert_int_equal(as_user_enter(user_fixture(), &as_user, NULL), 0);
    return as_user;
}

static int try_open(const char *path, int flags) {
    const int fd = open(path, flags | O_CLOEXEC, 0666);
    return fd < 0 ? -errno : fd;
}

static void nobody_changes_nothing(void **state) {
    (void)state;
    struct as_user as_user;
    assert_int_equal(as_user_enter(NULL, &as_user, NULL), 0);
    assert_false(as_user.is_other);
    as_user_leave(&as_user);
}

/* A link in the user's own folder leads to a file that only root may write, or to one that only
 * another user may. */
static void links_are_followed_with_the_users_rights(void **state) {
    const char *folder = *state;
    struct stat status;
    user_fixture_need();
    CLEANUP_FREE char *own = names_format("%s/own", folder);
    CLEANUP_FREE char *secret = names_format("%s/secret", folder);
    CLEANUP_FREE char *foreign = names_format("%s/foreign", folder);
    CLEANUP_FREE char *link_name = names_format("%s/log.txt", own);
    CLEANUP_FREE char *made = names_format("%s/made", own);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(mkdir(own, 0755), 0);
    assert_int_equal(chown(own, USER_FIXTURE_UID, USER_FIXTURE_GID), 0);
    const struct {
        const char *path;
        uid_t uid;
    } targets[] = {{secret, 0}, {foreign, 1}};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        const int fd = open(targets[i].path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fchown(fd, targets[i].uid, 0), 0);
        assert_int_equal(fchmod(fd, 0644), 0);
        (void)close(fd);
        assert_int_equal(symlink(targets[i].path, link_name), 0);
        struct as_user as_user = enter();
        assert_int_equal(try_open(link_name, O_WRONLY | O_CREAT | O_APPEND), -EACCES);
        as_user_leave(&as_user);
        const int ours = try_open(link_name, O_WRONLY);
        assert_true(ours >= 0); /* what stopped it was the user's want of rights */
        (void)close(ours);
        assert_int_equal(unlink(link_name), 0);
    }
    struct as_user as_user = enter();
    const int fd = try_open(made, O_WRONLY | O_CREAT);
    as_user_leave(&as_user);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_uid, USER_FIXTURE_UID);
    assert_int_equal(status.st_gid, USER_FIXTURE_GID);
    (void)close(fd);
}

/* The second group opens what the first does not; root's own groups do not come along. */
static void groups_are_the_users(void **state) {
    const char *folder = *state;
    char path[512];
    user_fixture_need();
    (void)snprintf(path, sizeof(path), "%s/shared", folder);
    assert_int_equal(chmod(folder, 0755), 0);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    (void)close(fd);
    gid_t before[64], after[64];
    const int n_before = getgroups(ARRAY_LEN(before), before);
    struct as_user as_user = enter();
    assert_int_equal(try_open(path, O_RDONLY), -EACCES); /* group root */
    as_user_leave(&as_user);
    assert_int_equal(chown(path, 0, USER_FIXTURE_EXTRA_GID), 0);
    as_user = enter();
    const int shared = try_open(path, O_RDONLY);
    as_user_leave(&as_user);
    assert_true(shared >= 0);
    (void)close(shared);
    assert_int_equal(getgroups(ARRAY_LEN(after), after), n_before);
    assert_memory_equal(before, after, (size_t)n_before * sizeof(gid_t));
}

struct other_thread {
    pthread_barrier_t barrier;
    const char *path;
    int opened;
};

static void *open_from_a_thread(void *context) {
    struct other_thread *other = context;
    (void)pthread_barrier_wait(&other->barrier);
    other->opened = try_open(other->path, O_RDONLY);
    (void)pthread_barrier_wait(&other->barrier);
    return NULL;
}

/* The ledger's thread writes on with our rights meanwhile. */
static void other_threads_keep_theirs(void **state) {
    const char *folder = *state;
    char path[512];
    pthread_t thread;
    user_fixture_need();
    (void)snprintf(path, sizeof(path), "%s/ledger", folder);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    struct other_thread other = {.path = path};
    assert_int_equal(pthread_barrier_init(&other.barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, open_from_a_thread, &other), 0);
    struct as_user as_user = enter();
    (void)pthread_barrier_wait(&other.barrier);
    (void)pthread_barrier_wait(&other.barrier);
    const int ours = try_open(path, O_RDONLY);
    as_user_leave(&as_user);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(ours < 0);
    assert_true(other.opened >= 0);
    (void)close(other.opened);
    (void)pthread_barrier_destroy(&other.barrier);
}

/* In a process of its own: without privilege. */
static void without_privilege_it_refuses(void **state) {
    (void)state;
    user_fixture_need();
    const pid_t pid = fork();
    if (pid == 0) {
        struct as_user as_user;
        struct failure failure;
        struct credentials *credentials = NULL;
        if (setresgid(1, 1, 1) < 0 || setresuid(1, 1, 1) < 0)
            _exit(10);
        if (as_user_enter(user_fixture(), &as_user, &failure) != -EPERM || as_user.is_other ||
            !strstr(failure.text, "cannot take the rights of somebody"))
            _exit(11);
        if (credentials_lookup(1, &credentials, &failure) != 0 || credentials)
            _exit(12);
        if (credentials_lookup(0, &credentials, &failure) != -EPERM ||
            !strstr(failure.text, "belongs to the user with uid 1"))
            _exit(13);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void looks_up_a_user(void **state) {
    (void)state;
    struct credentials *credentials;
    struct failure failure;
    char expected[512];
    user_fixture_need();
    const struct passwd *entry = getpwnam("nobody");
    if (!entry)
        skip();
    assert_int_equal(credentials_lookup(entry->pw_uid, &credentials, &failure), 0);
    assert_int_equal(credentials->uid, entry->pw_uid);
    assert_int_equal(credentials->gid, entry->pw_gid);
    assert_string_equal(credentials->name, "nobody");
    assert_true(credentials->n_groups >= 1);
    assert_int_equal(credentials->groups[0], entry->pw_gid);
    (void)snprintf(expected, sizeof(expected), "HOME=%s", entry->pw_dir);
    assert_string_equal(credentials->environment[0], expected);
    assert_string_equal(credentials->environment[1], "USER=nobody");
    assert_null(credentials->environment[6]);
    assert_ptr_equal(credentials_ref(credentials), credentials);
    credentials_unref(credentials);
    assert_string_equal(credentials->name, "nobody"); /* one holder is left */
    credentials_unref(credentials);
    credentials_unref(NULL);

    assert_null(getpwuid(USER_FIXTURE_UID));
    assert_int_equal(credentials_lookup(USER_FIXTURE_UID, &credentials, &failure), -ENOENT);
    assert_non_null(strstr(failure.text, "nobody has the uid 54321 on this machine"));
}

static void what_was_looked_up_is_known_for_a_minute(void **state) {
    (void)state;
    struct credentials_memory memory = {0};
    struct credentials *first = NULL, *second = NULL, *third = NULL;
    struct failure failure;
    user_fixture_need();
    const struct passwd *entry = getpwnam("nobody");
    if (!entry)
        skip();
    const uid_t uid = entry->pw_uid;
    assert_int_equal(credentials_remember(&memory, uid, 1000, &first, &failure), 0);
    assert_int_equal(
        credentials_remember(&memory, uid, 999 + CREDENTIALS_AGE_MS, &second, &failure), 0);
    assert_ptr_equal(second, first);
    assert_int_equal(
        credentials_remember(&memory, uid, 1000 + CREDENTIALS_AGE_MS, &third, &failure), 0);
    assert_ptr_not_equal(third, first);
    assert_int_equal(credentials_remember(&memory, USER_FIXTURE_UID, 1000, &second, &failure),
                     -ENOENT);
    credentials_forget(&memory);
    assert_string_equal(first->name, "nobody"); /* who holds it holds it */
    credentials_unref(first);
    credentials_unref(first);
    credentials_unref(third);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_changes_nothing),
        cmocka_unit_test_setup_teardown(links_are_followed_with_the_users_rights, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(groups_are_the_users, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(other_threads_keep_theirs, folder_setup, folder_teardown),
        cmocka_unit_test(without_privilege_it_refuses),
        cmocka_unit_test(looks_up_a_user),
        cmocka_unit_test(what_was_looked_up_is_known_for_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
