/* Every way to lay out a raw folder, right and wrong: what is found and what is said. */
#include "supervisor/batch/discover.h"

#include "common/params.h"
#include "tests/unit/folder_fixture.h"

/* Discovery of folder/raw with results in folder/out. */
struct raw {
    struct options options;
    struct task_list tasks;
    struct failure failure;
    int r;
};

static void raw_free(struct raw *raw) {
    options_free(&raw->options);
    task_list_free(&raw->tasks);
}

static struct raw discover(const char *folder, const char *sample, const char *dye, bool skip) {
    struct raw raw = {0};
    raw.options.raw = names_format("%s/raw", folder);
    raw.options.out = names_format("%s/raw/out", folder);
    raw.options.params = params_defaults();
    raw.options.skip_missing = skip;
    if (sample)
        assert_int_equal(names_append(&raw.options.samples, sample), 0);
    if (dye)
        assert_int_equal(names_append(&raw.options.dyes, dye), 0);
    raw.r = discover_tasks(&raw.options, &raw.tasks, &raw.failure);
    return raw;
}

/* files: names below raw with a blank between them. */
static void make(const char *folder, const char *files) {
    CLEANUP_FREE char *copy = strdup(files);
    char *rest = copy;
    for (char *name; (name = strsep(&rest, " "));) {
        CLEANUP_FREE char *path = names_format("raw/%s", name);
        folder_write(folder, path, "");
    }
}

static const char *why_broken(const struct raw *raw, const char *id) {
    const struct task *task = task_list_find(&raw->tasks, id);
    if (task)
        return task->broken;
    fail_msg("there is no task %s", id);
    return NULL;
}

static void whole_pairs(void **state) {
    make(*state, "B/Bpre_DAPI.tif B/Bpost_DAPI.TIFF B/notes.txt B/._Bpre_Cy5.tif "
                 "A/a_PRE_x_Cy3.ome.tif A/Post_Cy3.tif B/below/Bpre_Cy5.tif .cache/pre_X.tif");
    CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
    assert_int_equal(raw.r, 0);
    assert_int_equal(raw.tasks.count, 2);
    assert_null(why_broken(&raw, "A/Cy3"));
    const struct task *task = task_list_find(&raw.tasks, "B/DAPI");
    assert_ptr_equal(task, &raw.tasks.items[1]); /* sorted */
    if (!task)
        return;
    assert_string_equal(task->kind_name, "align");
    assert_int_equal(task->n_inputs, 2);
    assert_null(task->broken);
    assert_in("/raw/B/Bpre_DAPI.tif", task->inputs[0]);
    assert_in("/raw/B/Bpost_DAPI.TIFF", task->inputs[1]);
    assert_true(json_equal(task->params, raw.options.params));
}

static void names_with_spaces_and_links(void **state) {
    make(*state, "other/real.tif");
    folder_write(*state, "raw/my sample/scan of pre_Alexa 488.tif", "");
    CLEANUP_FREE char *target = names_format("%s/raw/other/real.tif", (char *)*state);
    CLEANUP_FREE char *link = names_format("%s/raw/my sample/post_Alexa 488.tif", (char *)*state);
    CLEANUP_FREE char *folder_link = names_format("%s/raw/linked", (char *)*state);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(symlink("my sample", folder_link), 0);
    CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
    assert_int_equal(raw.r, 0);
    assert_null(why_broken(&raw, "my sample/Alexa 488"));
    assert_null(why_broken(&raw, "linked/Alexa 488"));
}

static void raw_itself_is_wrong(void **state) {
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
        assert_int_equal(raw.r, -ENOENT);
        assert_in("there is no folder", raw.failure.text);
        assert_in("/raw; check the path, and that the drive is mounted", raw.failure.text);
    }
    folder_make(*state, "raw");
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
        assert_int_equal(raw.r, -ENOENT);
        assert_in("/raw holds no sample folder; each sample needs its own, like", raw.failure.text);
    }
    make(*state, "CD1pre_DAPI.tif CD1post_DAPI.tif");
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
        assert_int_equal(raw.r, -EINVAL);
        assert_in("images lie directly in", raw.failure.text);
        assert_in("(CD1post_DAPI.tif, CD1pre_DAPI.tif)", raw.failure.text);
        assert_in("--samples raw", raw.failure.text);
    }
}

static void raw_is_a_file(void **state) {
    folder_write(*state, "raw", "");
    CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
    assert_int_equal(raw.r, -ENOTDIR);
    assert_in("/raw is not a folder; name the folder that holds a folder per sample",
              raw.failure.text);
}

/* As somebody who is not root, because root reads everything. */
static struct raw discover_as_nobody(const char *folder) {
    const uid_t user = geteuid();
    assert_int_equal(user == 0 ? seteuid(65534) : 0, 0);
    struct raw raw = discover(folder, NULL, NULL, false);
    assert_int_equal(seteuid(user), 0);
    return raw;
}

static void folders_without_right(void **state) {
    make(*state, "A/pre_D.tif A/post_D.tif B/pre_D.tif");
    CLEANUP_FREE char *sample = names_format("%s/raw/B", (char *)*state);
    CLEANUP_FREE char *whole = names_format("%s/raw", (char *)*state);
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(chmod(sample, 0), 0);
    {
        CLEANUP(raw_free) struct raw raw = discover_as_nobody(*state);
        assert_int_equal(raw.r, 0);
        assert_in("/raw/B cannot be opened: Permission denied", why_broken(&raw, "B"));
    }
    assert_int_equal(chmod(whole, 0), 0);
    CLEANUP(raw_free) struct raw raw = discover_as_nobody(*state);
    assert_int_equal(chmod(whole, 0755), 0);
    assert_int_equal(chmod(sample, 0755), 0);
    assert_int_equal(raw.r, -EACCES);
    assert_in("permission denied", raw.failure.text);
}

/* One wrong thing beside a good pair: a broken task with its own sentence. */
static void one_broken_pair(void **state) {
    (void)state;
    static const struct {
        const char *files, *id, *why;
    } cases[] = {
        {"S/pre_D.tif", "S/D", "half a pair: S has pre_D.tif but no post image of D; add it"},
        {"S/post_D.tif", "S/D", "half a pair: S has post_D.tif but no pre image of D"},
        {"S/pre1_D.tif S/pre2_D.tif S/post_D.tif", "S/D",
         "S has 2 pre images of D (pre1_D.tif, pre2_D.tif); keep one and move the other away"},
        {"S/post1_D.tif S/post2_D.tif S/post3_D.tif S/pre_D.tif", "S/D",
         "3 post images of D (post1_D.tif, post2_D.tif, post3_D.tif); keep one and move the "
         "others"},
        {"S/pre_D.tif S/pre_D.tiff S/post_D.tif", "S/D", "(pre_D.tif, pre_D.tiff)"},
        {"S/pre_Dapi.tif S/post_DAPI.tif", "S/DAPI",
         "the dye is written DAPI in post_DAPI.tif but Dapi in pre_Dapi.tif; rename one file"},
        {"S/prepost_D.tif", "S/prepost_D.tif",
         "prepost_D.tif holds both \"pre\" and \"post\" before its last underscore (prepost)"},
        {"S/scan_D.tif", "S/scan_D.tif",
         "scan_D.tif holds neither \"pre\" nor \"post\" before its last underscore"},
        {"S/scan_D.tif S/post_D.tif", "S/D",
         "S has no pre image to go with post_D.tif: scan_D.tif holds neither"},
        {"S/pre_D.tif S/post_D.tif S/scan_D.tif", "S/scan_D.tif", "scan_D.tif holds neither"},
        {"S/S1_D_pre.tif", "S/S1_D_pre.tif",
         "S1_D_pre.tif ends in \"pre\" where the dye belongs; put the dye last, like "
         "CD070pre_DAPI.tif"},
        {"S/S1post.tif", "S/S1post.tif",
         "S1post.tif has no underscore before the dye; rename it like CD070post_DAPI.tif"},
        {"S/S1pre_.tif", "S/S1pre_.tif",
         "S1pre_.tif has no dye between its last underscore and the extension"},
        {"S/notes.txt", "S", "/raw/S holds no .tif or .tiff file; put its images there"},
        {"S/CD070/pre_D.tif S/CD070/post_D.tif", "S",
         "/raw/S holds no .tif or .tiff file, but its folder CD070 does; if that is a sample, "
         "name"},
        {"overview.tif", "overview.tif", "overview.tif lies directly in"},
        {"S/pre_-x.tif S/post_-x.tif", "S/-x", "begins with \"-\""},
        {"summary.json/pre_D.tif summary.json/post_D.tif", "summary.json/D",
         "registrar itself keeps"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        void *folder = NULL;
        print_message("%s\n", cases[i].files);
        assert_int_equal(folder_setup(&folder), 0);
        make(folder, "good/pre_D.tif good/post_D.tif");
        make(folder, cases[i].files);
        CLEANUP(raw_free) struct raw raw = discover(folder, NULL, NULL, false);
        assert_int_equal(folder_teardown(&folder), 0);
        assert_int_equal(raw.r, 0);
        assert_null(why_broken(&raw, "good/D"));
        assert_in(cases[i].why, why_broken(&raw, cases[i].id));
        size_t n_broken = 0;
        for (size_t k = 0; k < raw.tasks.count; k++)
            n_broken += raw.tasks.items[k].broken != NULL;
        assert_int_equal(n_broken, 1); /* one fault, one complaint */
    }
}

static void hostile_names(void **state) {
    make(*state, "A/pre_D.tif A/post_D.tif");
    folder_write(*state, "raw/A/new\nline_pre_D.tif", "");
    folder_write(*state, "raw/A/\xffpre_E.tif", "");
    folder_write(*state, "raw/A/\\xffpre_E.tif", ""); /* what the one above is shown as */
    folder_write(*state, "raw/\033[31m/pre_D.tif", "");
    folder_write(*state, "raw/A/post_Link.tif", "");
    CLEANUP_FREE char *nowhere = names_format("%s/raw/A/pre_Link.tif", (char *)*state);
    CLEANUP_FREE char *fifo = names_format("%s/raw/A/pre_Fifo.tif", (char *)*state);
    CLEANUP_FREE char *unmounted = names_format("%s/raw/drive", (char *)*state);
    assert_int_equal(symlink("/nowhere/at/all", nowhere), 0);
    assert_int_equal(symlink("/nowhere/at/all", unmounted), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
    assert_int_equal(raw.r, 0);
    assert_null(why_broken(&raw, "A/D"));
    assert_in("control character", why_broken(&raw, "A/new\\x0aline_pre_D.tif"));
    assert_in("no UTF-8; rename the file", why_broken(&raw, "A/\\xffpre_E.tif"));
    assert_in("control character", why_broken(&raw, "\\x1b[31m"));
    assert_in("A has no pre image to go with post_Link.tif: A/pre_Link.tif cannot be read: No such "
              "file",
              why_broken(&raw, "A/Link"));
    assert_in("neither a file nor a link to one", why_broken(&raw, "A/pre_Fifo.tif"));
    assert_in("No such file or directory; if it is a link, its target is gone",
              why_broken(&raw, "drive"));
    for (size_t i = 0; i < raw.tasks.count; i++) {
        assert_true(names_is_clean(raw.tasks.items[i].id));
        if (raw.tasks.items[i].broken)
            assert_true(names_is_clean(raw.tasks.items[i].broken));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(raw.tasks.items[i].id, raw.tasks.items[k].id);
    }
}

static void requested_samples(void **state) {
    make(*state, "A/pre_D.tif A/post_D.tif B/pre_D.tif B/post_D.tif empty/notes.txt");
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, "B", NULL, false);
        assert_int_equal(raw.r, 0);
        assert_int_equal(raw.tasks.count, 1);
        assert_string_equal(raw.tasks.items[0].id, "B/D");
    }
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, "X", NULL, false);
        assert_int_equal(raw.r, -ENOENT);
        assert_in("--samples: not in", raw.failure.text);
        assert_in("/raw: X; there are: A, B, empty (--skip-missing", raw.failure.text);
    }
    CLEANUP(raw_free) struct raw raw = {0};
    raw.options.raw = names_format("%s/raw", (char *)*state);
    raw.options.out = names_format("%s/out", (char *)*state);
    raw.options.params = params_defaults();
    static const char *const samples[] = {"Y", "A", "X", "empty"};
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        assert_int_equal(names_append(&raw.options.samples, samples[i]), 0);
    assert_int_equal(discover_tasks(&raw.options, &raw.tasks, &raw.failure), -ENOENT);
    assert_in(": Y, X; there are", raw.failure.text); /* all of them at once */
    assert_int_equal(names_append(&raw.options.dyes, "E"), 0);
    assert_int_equal(discover_tasks(&raw.options, &raw.tasks, &raw.failure), -ENOENT);
    assert_in(": Y, X; there are", raw.failure.text); /* and dyes along with samples */
    assert_in("--dyes: not in", raw.failure.text);
    assert_in(": A/E; there are: D (", raw.failure.text);
    raw.options.dyes[0][0] = 'D';
    raw.options.skip_missing = true;
    assert_int_equal(discover_tasks(&raw.options, &raw.tasks, &raw.failure), 0);
    assert_int_equal(raw.tasks.count, 1);
}

static void requested_dyes(void **state) {
    make(*state, "A/pre_D.tif A/post_D.tif A/pre_E.tif A/post_E.tif A/stray.tif B/pre_D.tif "
                 "B/post_D.tif");
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, NULL, "D", false);
        assert_int_equal(raw.r, 0);
        assert_int_equal(raw.tasks.count, 2);
    }
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, NULL, "E", false);
        assert_int_equal(raw.r, -ENOENT);
        assert_in("--dyes: not in", raw.failure.text);
        assert_in(": B/E; there are: D, E (--skip-missing", raw.failure.text);
    }
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, NULL, "E", true);
        assert_int_equal(raw.r, 0);
        assert_int_equal(raw.tasks.count, 1);
        assert_string_equal(raw.tasks.items[0].id, "A/E");
    }
    CLEANUP(raw_free) struct raw raw = discover(*state, NULL, "Q", true);
    assert_int_equal(raw.r, -ENOENT);
    assert_in("nothing of what --samples and --dyes ask for", raw.failure.text);
}

static void nothing_whole(void **state) {
    make(*state, "A/pre_D.tif B/post_D.tif C/notes.txt E/x.tif");
    CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
    assert_int_equal(raw.r, -ENOENT);
    assert_in("no whole pair of images in", raw.failure.text);
    assert_in("A/D: half a pair", raw.failure.text);
    assert_in("and 1 more", raw.failure.text);
    assert_int_equal(raw.tasks.count, 0);
}

static void results_are_no_samples(void **state) {
    make(*state, "A/pre_D.tif A/post_D.tif out/A/D/aligned_pre.tiff last-week/ledger.jsonl "
                 "last-week/A/D/aligned_pre.tiff");
    {
        CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
        assert_int_equal(raw.r, 0);
        assert_int_equal(raw.tasks.count, 1);
    }
    make(*state, "out/pre_D.tif");
    CLEANUP(raw_free) struct raw raw = discover(*state, NULL, NULL, false);
    assert_int_equal(raw.r, -EINVAL);
    assert_in("is the raw folder of sample out itself; give another folder", raw.failure.text);
}

int main(void) {
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(whole_pairs),
        WITH_FOLDER(names_with_spaces_and_links),
        WITH_FOLDER(raw_itself_is_wrong),
        WITH_FOLDER(raw_is_a_file),
        WITH_FOLDER(folders_without_right),
        cmocka_unit_test(one_broken_pair),
        WITH_FOLDER(hostile_names),
        WITH_FOLDER(requested_samples),
        WITH_FOLDER(requested_dyes),
        WITH_FOLDER(nothing_whole),
        WITH_FOLDER(results_are_no_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
