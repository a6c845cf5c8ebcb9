/* The tiles' journal: what was appended is believed, and nothing else is. */
#include "worker/output/tile_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { PATH_BYTES = 256, TILES = 1000, WRITTEN = 600, RECORD_BYTES = 16 };

static char folder[] = "/tmp/test_tile_journal.XXXXXX";
static char path[PATH_BYTES];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/journal", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder); /* fails when a test left something */
}

/* Every third tile, WRITTEN of them, in pieces of odd sizes; tile i has i + 1 covered pixels. */
static void write_journal(const char *key) {
    struct tile_journal_head head = {.n_tiles = (uint64_t)3 * TILES, .inodes = {7, 8}};
    (void)snprintf(head.key, sizeof(head.key), "%s", key);
    struct tile_journal *journal = NULL;
    struct failure failure = {0};
    assert_int_equal(tile_journal_create(path, &head, &journal, &failure), 0);
    static struct tile_journal_entry entries[WRITTEN];
    for (uint32_t i = 0; i < WRITTEN; i++)
        entries[i] = (struct tile_journal_entry){.tile = 3 * i, .covered = 3 * i + 1};
    assert_int_equal(tile_journal_append(journal, entries, 1, &failure), 0);
    assert_int_equal(tile_journal_append(journal, entries + 1, WRITTEN - 1, &failure), 0);
    assert_int_equal(tile_journal_n_had(journal), 0);
    tile_journal_close(journal);
}

/* Opens, and expects the first n of what write_journal wrote. */
static struct tile_journal *open_journal(const char *key, uint32_t n) {
    struct tile_journal *journal = NULL;
    struct failure failure = {0};
    if (tile_journal_open(path, key, (uint64_t)3 * TILES, &journal, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_int_equal(tile_journal_n_had(journal), n);
    uint64_t covered = 0;
    for (uint32_t i = 0; i < 3 * TILES; i++) {
        bool had = i % 3 == 0 && i / 3 < n;
        assert_int_equal(tile_journal_had(journal, i), had);
        covered += had ? i + 1 : 0;
    }
    assert_int_equal(tile_journal_covered_had(journal), covered);
    return journal;
}

static void what_was_appended_is_there(void **state) {
    (void)state;
    write_journal("a key");
    struct tile_journal *journal = open_journal("a key", WRITTEN);
    assert_int_equal(tile_journal_get_head(journal)->inodes[1], 8);
    struct failure failure = {0};
    struct tile_journal_entry next = {.tile = 3 * WRITTEN, .covered = 3 * WRITTEN + 1};
    assert_int_equal(tile_journal_append(journal, &next, 1, &failure), 0);
    tile_journal_close(journal);
    tile_journal_close(open_journal("a key", WRITTEN + 1));
    assert_int_equal(tile_journal_remove(path, &failure), 0);
    assert_int_equal(tile_journal_remove(path, &failure), 0);
    assert_int_equal(access(path, F_OK), -1);
    tile_journal_close(NULL);
}

static void others_are_refused(void **state) {
    (void)state;
    struct tile_journal *journal = NULL;
    struct failure failure = {0};
    assert_int_equal(tile_journal_open(path, "a key", 3000, &journal, &failure), -ENOENT);
    write_journal("a key");
    assert_int_equal(tile_journal_open(path, "a kez", 3000, &journal, &failure), -ESTALE);
    assert_non_null(strstr(failure.text, "belongs to other inputs or parameters"));
    assert_int_equal(tile_journal_open(path, "a key", 3001, &journal, &failure), -ESTALE);
    assert_int_equal(tile_journal_open(path, "", 3000, &journal, &failure), -ESTALE);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(tile_journal_open(path, "a key", 3000, &journal, &failure), -EBADMSG);
    assert_non_null(strstr(failure.text, "is damaged"));
    assert_int_equal(unlink(path), 0);
}

static void overwrite(off_t at, const void *bytes, size_t size) {
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), size);
}

/* Torn, zero-filled, or with one bit wrong: what stands before is believed, and more can follow. */
static void damage_ends_it(void **state) {
    (void)state;
    const off_t head = sizeof(struct tile_journal_head);
    static const char zeros[100];
    for (int how = 0; how < 3; how++) {
        write_journal("a key");
        off_t place = head + (off_t)(how == 1 ? WRITTEN : 300) * RECORD_BYTES;
        if (how == 0)
            assert_int_equal(truncate(path, place + 5), 0);
        else if (how == 1)
            overwrite(place, zeros, sizeof(zeros));
        else
            overwrite(place + 4, "\xff", 1);
        uint32_t right = how == 1 ? WRITTEN : 300;
        struct tile_journal *journal = open_journal("a key", right);
        struct failure failure = {0};
        struct tile_journal_entry next = {.tile = 3 * right, .covered = 3 * right + 1};
        assert_int_equal(tile_journal_append(journal, &next, 1, &failure), 0);
        tile_journal_close(journal);
        tile_journal_close(open_journal("a key", right + 1));
    }
    assert_int_equal(unlink(path), 0);
}

/* Records of one journal mean nothing in another, though each is whole. */
static void records_belong_to_their_head(void **state) {
    (void)state;
    char first[RECORD_BYTES];
    write_journal("another");
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, first, sizeof(first), sizeof(struct tile_journal_head)),
                     sizeof(first));
    write_journal("a key");
    overwrite(sizeof(struct tile_journal_head), first, sizeof(first));
    tile_journal_close(open_journal("a key", 0));
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_appended_is_there),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(damage_ends_it),
        cmocka_unit_test(records_belong_to_their_head),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
