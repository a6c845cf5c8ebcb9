/* shared_store: what is removed, what is not, and with whose rights. */
#include "supervisor/engine/shared_store.h"

#include "tests/unit/folder_fixture.h"
#include "tests/unit/user_fixture.h"

static bool is_there(const char *folder, const char *name) {
    CLEANUP_FREE char *path = names_format("%s/%s", folder, name);
    struct stat status;
    return lstat(path, &status) == 0;
}

static void it_goes_with_all_stages(void **state) {
    const char *folder = *state;
    struct failure failure = {0};
    folder_write(folder, "S/D@shared/search-0123/stage.json", "{}");
    folder_write(folder, "S/D@shared/search-0123/lock", "");
    folder_make(folder, "S/D@shared/warp-4567");
    folder_write(folder, "S/D@pad=1/result.json", "{}");
    assert_int_equal(shared_store_remove(folder, "S/D@shared", NULL, &failure), 0);
    assert_false(is_there(folder, "S/D@shared"));
    assert_true(is_there(folder, "S/D@pad=1/result.json"));
    assert_int_equal(shared_store_remove(folder, "S/D@shared", NULL, &failure), 0); /* none */
    assert_int_equal(shared_store_remove(folder, "none/D@shared", NULL, &failure), 0);
}

static void what_is_nobodys_stays_and_is_told(void **state) {
    const char *folder = *state;
    struct failure failure = {0};
    CLEANUP_FREE char *link_to = names_format("%s/precious", folder);
    CLEANUP_FREE char *link_at = names_format("%s/T/D@shared", folder);
    CLEANUP_FREE char *link_in = names_format("%s/S/D@shared/warp-1", folder);
    folder_write(folder, "precious/inner/file", "x");
    folder_make(folder, "T");
    folder_make(folder, "S/D@shared");
    assert_int_equal(symlink(link_to, link_at), 0);
    assert_int_equal(symlink(link_to, link_in), 0);
    assert_true(shared_store_remove(folder, "T/D@shared", NULL, &failure) < 0);
    assert_in("T/D@shared is needed no longer and cannot be removed", failure.text);
    assert_true(shared_store_remove(folder, "S/D@shared", NULL, &failure) < 0);
    assert_true(is_there(folder, "precious/inner/file"));
}

static void with_the_users_rights(void **state) {
    const char *folder = *state;
    struct failure failure = {0};
    user_fixture_need();
    folder_write(folder, "S/D@shared/warp-1/lock", "");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_true(shared_store_remove(folder, "S/D@shared", user_fixture(), &failure) < 0);
    assert_in("Permission denied", failure.text);
    assert_true(is_there(folder, "S/D@shared/warp-1/lock"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_goes_with_all_stages, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(what_is_nobodys_stays_and_is_told, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(with_the_users_rights, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
