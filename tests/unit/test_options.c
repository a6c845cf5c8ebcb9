/* The command line: what is understood, what is refused and in which words; help agrees with it. */
#include "supervisor/cli/options.h"

#include "common/params.h"
#include "supervisor/cli/help.h"
#include "supervisor/cli/nearest.h"
#include "tests/unit/folder_fixture.h"

enum { MAX_WORDS = 32 };

/* words: separated by blanks; "%" stands for the folder. */
static int parse(const char *words, const char *folder, struct options *ret,
                 struct failure *failure) {
    char *argv[MAX_WORDS + 1] = {strdup("run")};
    int argc = 1;
    CLEANUP_FREE char *copy = strdup(words);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, " ")) && argc < MAX_WORDS;) {
        char *percent = strchr(word, '%');
        argv[argc++] =
            percent && percent[1] != '\0'
                ? names_format("%.*s%s%s", (int)(percent - word), word, folder, percent + 1)
                : strdup(word);
    }
    const int r = options_parse(argc, argv, ret, failure);
    for (int i = 0; i < MAX_WORDS; i++) {
        bool is_there = false; /* getopt_long sorts argv */
        for (int k = 0; k < i; k++)
            is_there = is_there || argv[k] == argv[i];
        if (!is_there)
            free(argv[i]);
    }
    return r;
}

static void defaults(void **state) {
    CLEANUP(options_free) struct options options = {0};
    struct failure failure = {0};
    assert_int_equal(parse("%/raw -o %/out", *state, &options, &failure), 0);
    assert_in("/raw", options.raw);
    assert_in("/out", options.out);
    assert_null(options.manifest);
    assert_null(options.samples);
    assert_int_equal(options.jobs, 0);
    assert_int_equal(options.threads, 0);
    assert_int_equal(options.timeout_ms, 2 * 3600 * 1000);
    assert_int_equal(options.stall_timeout_ms, 600 * 1000);
    assert_int_equal(options.memory_bytes, 0);
    assert_true(options.memory_share == 0);
    assert_int_equal(options.worker_memory_bytes, 512 << 20);
    assert_int_equal(options.retries, 1);
    assert_false(options.force || options.redo || options.json || options.quiet);
    CLEANUP_JSON json_t *params = params_defaults();
    assert_true(json_equal(options.params, params));
}

static void everything(void **state) {
    CLEANUP(options_free) struct options options = {0};
    struct failure failure = {0};
    assert_int_equal(parse("--samples=A,B --dyes X %/raw/ --out %/out// --samples C/,A/", *state,
                           &options, &failure),
                     0);
    assert_int_equal(names_count(options.samples), 3);
    assert_string_equal(options.samples[2], "C");
    assert_string_equal(options.dyes[0], "X");
    assert_in("/raw", options.raw);
    assert_int_not_equal(options.raw[strlen(options.raw) - 1], '/');
    assert_int_not_equal(options.out[strlen(options.out) - 1], '/');
    options_free(&options);
    assert_int_equal(parse("-qo %/out --jobs 3 --threads=auto --timeout 90s --stall-timeout 1m "
                           "--memory 50% --worker-memory 300M --retries 0 --force %/raw",
                           *state, &options, &failure),
                     0);
    assert_true(options.quiet && options.force && !options.redo);
    assert_int_equal(options.jobs, 3);
    assert_int_equal(options.timeout_ms, 90000);
    assert_int_equal(options.stall_timeout_ms, 60000);
    assert_true(options.memory_share > 0.49 && options.memory_share < 0.51);
    assert_int_equal(options.worker_memory_bytes, 300 << 20);
    assert_int_equal(options.retries, 0);
    options_free(&options);
    assert_int_equal(parse("-o%/out --json --redo --skip-missing --memory 2G --set pad=10 "
                           "--set scale_max=1.5 --set scale_min=.95 -- %/raw",
                           *state, &options, &failure),
                     0);
    assert_true(options.json && options.redo && options.skip_missing);
    assert_int_equal(options.memory_bytes, 2ULL << 30);
    assert_int_equal(json_integer_value(json_object_get(options.params, "pad")), 10);
    assert_true(json_real_value(json_object_get(options.params, "scale_max")) > 1.4);
    assert_true(json_real_value(json_object_get(options.params, "scale_min")) > 0.94);
}

static void relative_paths(void **state) {
    CLEANUP(options_free) struct options options = {0};
    struct failure failure = {0};
    CLEANUP_FREE char *here = getcwd(NULL, 0);
    CLEANUP_FREE char *raw = names_format("%s/raw dir", here);
    (void)state;
    char *argv[] = {"run", "./raw dir", "-o", ".", NULL};
    assert_int_equal(options_parse(4, argv, &options, &failure), 0);
    assert_string_equal(options.raw, raw);
    assert_string_equal(options.out, here);
}

static void an_unclean_working_folder(void **state) {
    CLEANUP(options_free) struct options options = {0};
    struct failure failure = {0};
    CLEANUP_FREE char *before = getcwd(NULL, 0);
    folder_make(*state, "bad\xff");
    CLEANUP_FREE char *bad = names_format("%s/bad\xff", (char *)*state);
    assert_int_equal(chdir(bad), 0);
    char *argv[] = {"run", "raw", "-o", "out", NULL};
    const int r = options_parse(4, argv, &options, &failure);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(r, -EINVAL);
    assert_in("/bad\\xff/out\" holds a control character or bytes that are no UTF-8", failure.text);
}

static void one_place_has_one_name(void **state) {
    static const struct {
        const char *words, *out;
    } cases[] = {
        {"%/raw -o %/raw/../out", "/out"},      /* only its parent exists */
        {"%/raw -o %/raw/../raw/..", ""},       /* all of it exists */
        {"%/raw -o %/no/../out", "/no/../out"}, /* who knows where that is */
        {"%/raw -o %/..out", "/..out"},
    };
    folder_make(*state, "raw");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(options_free) struct options options = {0};
        struct failure failure = {0};
        CLEANUP_FREE char *out = names_format("%s%s", (char *)*state, cases[i].out);
        assert_int_equal(parse(cases[i].words, *state, &options, &failure), 0);
        assert_string_equal(options.out, out);
    }
}

static void refused(void **state) {
    static const struct {
        const char *words, *sentence;
    } cases[] = {
        {"%/raw", "the folder for the results is missing; write registrar run "},
        {"-o %/out", "the raw folder is missing; write registrar run RAW -o OUT"},
        {"%/raw %/raw2 -o %/out", "one raw folder at a time: "},
        {"%/raw --manifest %/m.json -o %/out", "cannot go together; leave one out"},
        {"--manifest %/m.json", "write registrar run --manifest "},
        {"--manifest %/m.json --samples A -o %/out", "--samples chooses from a raw folder"},
        {"--manifest %/m.json --dyes A -o %/out", "--dyes chooses from a raw folder"},
        {"%/raw -o %/raw", "is the raw folder itself; give another one"},
        {"%/there -o %/./there/../there", "is the raw folder itself; give another one"},
        {"%/raw -o %/file", "/file is a file; give a folder for the results"},
        {"%/raw -o %/file/below", "a part of "},
        {"%/raw -o ", "-o: the path is empty"},
        {"%/raw -o %/a\nb", "holds a control character"},
        {"%/raw -o %/\xff", "/\\xff\" holds a control character or bytes that are no UTF-8"},
        {"%/raw -o %/out --jobs 0", "--jobs: \"0\" is not allowed; give auto or a number from 1"},
        {"%/raw -o %/out --jobs many", "--jobs: \"many\" is not allowed"},
        {"%/raw -o %/out --jobs 2x", "--jobs: \"2x\" is not allowed"},
        {"%/raw -o %/out --threads -1", "--threads: \"-1\" is not allowed"},
        {"%/raw -o %/out --retries 1000", "--retries: \"1000\" is not allowed; give a number from"},
        {"%/raw -o %/out --timeout soon", "--timeout: \"soon\" is not allowed; give a duration"},
        {"%/raw -o %/out --timeout 0",
         "a duration above 0 and below ten years, like 90s, 30m or 2h"},
        {"%/raw -o %/out --stall-timeout -5s", "--stall-timeout: \"-5s\" is not allowed"},
        {"%/raw -o %/out --memory lots", "a size like 4G or 900M, or a share from 1% to 100%"},
        {"%/raw -o %/out --memory 0", "--memory: \"0\" is not allowed"},
        {"%/raw -o %/out --memory=150%", "--memory: \"150%\" is not allowed"},
        {"%/raw -o %/out --worker-memory 10M", "\"10M\" is not allowed; give a size of at least "},
        {"%/raw -o %/out --samples A,,B", "--samples: \"A,,B\" is not allowed; give names"},
        {"%/raw -o %/out --samples ../A", "--samples: \"../A\" is not allowed"},
        {"%/raw -o %/out --dyes ", "--dyes: \"\" is not allowed"},
        {"%/raw -o %/out --format jpeg",
         "--format: \"jpeg\" is not allowed; give tiff, ome-tiff, fits or both"},
        {"%/raw -o %/out --format=", "--format: \"\" is not allowed"},
        {"%/raw -o %/out --set format=jpeg",
         "format is jpeg; it must be one of tiff ome-tiff fits both"},
        {"%/raw -o %/out --set pad", "--set: \"pad\" has no value; write it as NAME=VALUE"},
        {"%/raw -o %/out --set pda=1", "unknown parameter \"pda\"; known are pad, channel"},
        {"%/raw -o %/out --set pad=-1", "pad is -1; it must be a whole number from 0"},
        {"%/raw -o %/out --set scale_min=0.9.5", "scale_min is 0.9.5; it must be a number from"},
        {"%/raw -o %/out --set scale_min=1.5", "scale_min (1.5) is above scale_max (1.25)"},
        {"%/raw -o %/out --job 2 --stall-timeuot=5s",
         "unknown option --stall-timeuot; did you mean --stall-timeout?"},
        {"%/raw -o %/out --halp", "did you mean --help?"},
        {"%/raw -o %/out --bananas", "unknown option --bananas; registrar run --help lists all"},
        {"%/raw -o %/out -x", "unknown option -x; registrar run --help lists all options"},
        {"%/raw -o %/out --force=yes", "--force takes no value"},
        {"%/raw -o", "--out needs a value: --out OUT"},
        {"%/raw -o %/out --jobs", "--jobs needs a value: --jobs N|auto"},
    };
    folder_write(*state, "file", "");
    folder_make(*state, "there");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(options_free) struct options options = {0};
        struct failure failure = {0};
        print_message("%s\n", cases[i].sentence);
        assert_true(parse(cases[i].words, *state, &options, &failure) < 0);
        assert_in(cases[i].sentence, failure.text);
        assert_null(options.params); /* untouched on failure */
    }
}

static void out_without_right(void **state) {
    CLEANUP(options_free) struct options options = {0};
    struct failure failure = {0};
    folder_make(*state, "locked");
    CLEANUP_FREE char *locked = names_format("%s/locked", (char *)*state);
    const uid_t user = geteuid();
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(chmod(locked, 0555), 0);
    assert_int_equal(user == 0 ? seteuid(65534) : 0, 0); /* root writes everywhere */
    const int r = parse("%/raw -o %/locked/a/b", *state, &options, &failure);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(r, -EACCES);
    assert_in("-o: no results can be written to ", failure.text);
    assert_in("/locked: Permission denied", failure.text);
}

static void near_words(void **state) {
    (void)state;
    static const struct {
        const char *typed, *nearest;
    } cases[] = {
        {"rnu", "run"},
        {"ru", "run"},
        {"plna", "plan"},
        {"legder", "ledger"},
        {"led", "ledger"},
        {"timeuot", "timeout"},
        {"stal", "stall-timeout"},
        {"xyz", NULL},
        {"", NULL},
        {"r", NULL},
        {"a-very-long-word-that-nobody-would-ever-type-here", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static const char *const words[] = {"run",           "plan",    "ledger",
                                            "stall-timeout", "timeout", NULL};
        const char *nearest = nearest_word(cases[i].typed, words);
        if (cases[i].nearest)
            assert_string_equal(nearest, cases[i].nearest);
        else
            assert_null(nearest);
    }
}

/* The defaults that --help shows are the ones that are in force: giving them changes nothing. */
static void help_tells_the_defaults(void **state) {
    CLEANUP(options_free) struct options plain = {0};
    struct failure failure = {0};
    assert_int_equal(parse("%/raw -o %/out", *state, &plain, &failure), 0);
    const struct option_row *row = NULL;
    size_t n_checked = 0;
    for (size_t i = 0; (row = options_row(i)); i++) {
        assert_non_null(row->meaning);
        assert_non_null(row->group);
        if (!row->fallback || strchr(row->fallback, ' ') || strcmp(row->fallback, "all") == 0 ||
            !option_words_belongs(row, "run"))
            continue;
        CLEANUP(options_free) struct options given = {0};
        CLEANUP_FREE char *words =
            names_format("%%/raw -o %%/out --%s %s", row->name, row->fallback);
        assert_int_equal(parse(words, *state, &given, &failure), 0);
        assert_int_equal(given.jobs, plain.jobs);
        assert_int_equal(given.threads, plain.threads);
        assert_int_equal(given.retries, plain.retries);
        assert_int_equal(given.sample_interval_ms, plain.sample_interval_ms);
        assert_int_equal(given.timeout_ms, plain.timeout_ms);
        assert_int_equal(given.stall_timeout_ms, plain.stall_timeout_ms);
        assert_int_equal(given.worker_memory_bytes, plain.worker_memory_bytes);
        assert_true(json_equal(given.params, plain.params));
        n_checked++;
    }
    assert_int_equal(n_checked, 8);
}

static void help_names_every_option(void **state) {
    (void)state;
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    help_print_page(help_find("run"), stream);
    assert_int_equal(fclose(stream), 0);
    size_t n_foreign = 0;
    for (size_t i = 0; options_row(i); i++) {
        CLEANUP_FREE char *option = names_format(" --%s ", options_row(i)->name);
        const bool is_ours = option_words_belongs(options_row(i), "run");
        assert_true((strstr(text, option) != NULL) == is_ours);
        n_foreign += !is_ours;
    }
    assert_true(n_foreign > 0); /* plan's own */
    for (size_t i = 0; params_name(i); i++)
        assert_in(params_name(i), text);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    assert_null(help_find("nothing"));
    char *argv[] = {"run", "raw", "--help", NULL}, *hidden[] = {"run", "--", "--help", NULL};
    assert_true(help_is_asked(3, argv));
    assert_false(help_is_asked(2, argv));
    assert_false(help_is_asked(3, hidden));
}

int main(void) {
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(defaults),
        WITH_FOLDER(everything),
        cmocka_unit_test(relative_paths),
        WITH_FOLDER(an_unclean_working_folder),
        WITH_FOLDER(one_place_has_one_name),
        WITH_FOLDER(refused),
        WITH_FOLDER(out_without_right),
        cmocka_unit_test(near_words),
        WITH_FOLDER(help_tells_the_defaults),
        cmocka_unit_test(help_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
