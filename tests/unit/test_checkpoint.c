/* Checkpoints: what was saved comes back; what is damaged, foreign or missing does not. */
#include "worker/stage/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static char folder[] = "/tmp/test_checkpoint.XXXXXX";
static char path[sizeof(folder) + 32];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/search.json", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static json_t *make_object(void) {
    return json_pack("{s:f,s:[f,i],s:s}", "third", 1.0 / 3, "list", 2.0, 7, "word", "äöü");
}

static void save(const char *stage, const char *key) {
    struct failure failure = {0};
    struct checkpoint checkpoint = {
        .object = make_object(),
        .files = json_array(),
        .measured = json_pack("{s:f}", "wall_s", 1.5),
    };
    assert_int_equal(checkpoint_save(path, stage, key, &checkpoint, &failure), 0);
    checkpoint_clear(&checkpoint);
}

static int load(const char *stage, const char *key, struct failure *failure) {
    struct checkpoint checkpoint = {0};
    int r = checkpoint_load(path, stage, key, &checkpoint, failure);
    if (r == 0) {
        /* to the last bit: a resumed task goes on with the same numbers */
        CLEANUP_JSON json_t *wanted = make_object();
        assert_true(json_equal(checkpoint.object, wanted));
    }
    checkpoint_clear(&checkpoint);
    return r;
}

static void what_was_saved_comes_back(void **state) {
    (void)state;
    struct failure failure = {0};
    assert_int_equal(load("search", "k", &failure), -ENOENT);
    save("search", "k");
    assert_int_equal(load("search", "k", &failure), 0);
}

static void foreign_ones_are_stale(void **state) {
    (void)state;
    struct failure failure = {0};
    save("search", "k");
    assert_int_equal(load("search", "other", &failure), -ESTALE);
    assert_non_null(strstr(failure.text, "belongs to other inputs or parameters"));
    assert_int_equal(load("refine", "k", &failure), -ESTALE);
    assert_int_equal(load("search", "", &failure), -ESTALE); /* no key, no trust */
}

/* Every byte of the file in turn is changed, and every length cut: none of it is ever believed
 * unless it still says the same (load compares): white space, a digit that does not matter. */
static void damage_is_never_believed(void **state) {
    (void)state;
    save("search", "k");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char good[4096], bad[4096];
    size_t length = fread(good, 1, sizeof(good), file);
    assert_int_equal(fclose(file), 0);
    assert_in_range(length, 50, sizeof(good) - 1);
    size_t refused = 0;
    for (size_t i = 0; i < 2 * length; i++) {
        memcpy(bad, good, length);
        size_t kept = length;
        if (i < length)
            bad[i] ^= 1;
        else
            kept = i - length;
        file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(bad, 1, kept, file), kept);
        assert_int_equal(fclose(file), 0);
        struct failure failure = {0};
        int r = load("search", "k", &failure);
        refused += r == -EBADMSG || r == -ESTALE;
        assert_true(r == 0 || r == -EBADMSG || r == -ESTALE);
    }
    assert_true(refused > 3 * length / 2);
}

static void files_are_watched(void **state) {
    (void)state;
    char name[sizeof(path)];
    (void)snprintf(name, sizeof(name), "%s/levels", folder);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs("levels", file) >= 0);
    assert_int_equal(fclose(file), 0);
    CLEANUP_JSON json_t *files = json_array();
    struct failure failure = {0};
    assert_int_equal(checkpoint_add_file(files, folder, "levels", &failure), 0);
    assert_int_equal(checkpoint_add_file(files, folder, "absent", &failure), -ENOENT);
    assert_true(checkpoint_files_intact(files, folder, NULL));
    assert_true(checkpoint_files_intact(files, folder, "levels"));
    assert_false(checkpoint_files_intact(files, folder, "absent"));
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
    assert_false(checkpoint_files_intact(files, folder, NULL));
}

static void keys_tell_apart(void **state) {
    (void)state;
    char a[CHECKPOINT_KEY_BYTES], b[CHECKPOINT_KEY_BYTES];
    CLEANUP_JSON json_t *one = json_pack("{s:i,s:i}", "x", 1, "y", 2);
    CLEANUP_JSON json_t *same = json_pack("{s:i,s:i}", "y", 2, "x", 1);
    CLEANUP_JSON json_t *other = json_pack("{s:i,s:i}", "x", 2, "y", 1);
    assert_string_equal(checkpoint_key(one, a), checkpoint_key(same, b));
    assert_string_not_equal(checkpoint_key(one, a), checkpoint_key(other, b));
    assert_int_equal(strlen(a), CHECKPOINT_KEY_BYTES - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_comes_back), cmocka_unit_test(foreign_ones_are_stale),
        cmocka_unit_test(damage_is_never_believed),  cmocka_unit_test(files_are_watched),
        cmocka_unit_test(keys_tell_apart),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
