/* See option_words.h. */
#include "supervisor/cli/option_words.h"

#include "common/names.h"
#include "supervisor/cli/nearest.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

enum { FIRST_VALUE = 256 /* getopt's code of row 0: out of the way of every letter */ };

struct getopt_tables {
    struct option longs[OPTION_WORDS_MAX_ROWS + 1];
    char shorts[2 * OPTION_WORDS_MAX_ROWS + 2];
};

static void fill_tables(const struct option_words *words, struct getopt_tables *ret) {
    const struct option_row *row = NULL;
    size_t used = 0;
    *ret = (struct getopt_tables){0};
    ret->shorts[used++] = ':'; /* tell a missing value from an unknown option */
    for (size_t i = 0; i < OPTION_WORDS_MAX_ROWS && (row = words->row(i)); i++) {
        ret->longs[i] = (struct option){.name = row->name,
                                        .has_arg = row->argument ? required_argument : no_argument,
                                        .val = (int)i + FIRST_VALUE};
        if (row->letter)
            ret->shorts[used++] = row->letter;
        if (row->letter && row->argument)
            ret->shorts[used++] = ':';
    }
}

/* The row of getopt's code; its place goes to *ret. NULL: there is none. */
static const struct option_row *find_row(const struct option_words *words, int code, size_t *ret) {
    const struct option_row *row = NULL;
    for (size_t i = 0; (row = words->row(i)); i++)
        if (code == (int)i + FIRST_VALUE || (row->letter && code == row->letter)) {
            *ret = i;
            return row;
        }
    return NULL;
}

/* The option that is nearest to what was typed, or NULL. */
static const char *nearest_option(const struct option_words *words, const char *typed) {
    const char *names[OPTION_WORDS_MAX_ROWS + 2] = {"help"}; /* answered before, misspelt as any */
    const struct option_row *row = NULL;
    for (size_t i = 0; i < OPTION_WORDS_MAX_ROWS && (row = words->row(i)); i++)
        names[i + 1] = row->name;
    return nearest_word(typed, names);
}

static int refuse_option(const struct option_words *words, const char *command, const char *word,
                         int code, struct failure *failure) {
    size_t place;
    const struct option_row *row = find_row(words, code, &place);
    if (row) /* getopt knows the option: it had a value where none belongs */
        return failure_set(failure, -EINVAL, "--%s takes no value", row->name);
    if (code != 0)
        return failure_set(failure, -EINVAL,
                           "unknown option -%c; registrar %s --help lists all options",
                           code > ' ' && code < 0x7f ? code : '?', command);
    CLEANUP_FREE char *typed = names_escape(word);
    if (!typed)
        return failure_set(failure, -ENOMEM, "out of memory while reading the command line");
    typed[strcspn(typed, "=")] = '\0';
    const char *nearest = nearest_option(words, typed + 2);
    return failure_set(failure, -EINVAL,
                       "unknown option %.100s;%s%s%s registrar %s --help lists all options", typed,
                       nearest ? " did you mean --" : "", nearest ? nearest : "",
                       nearest ? "?" : "", command);
}

int option_words_parse(int argc, char **argv, const struct option_words *words, uint32_t *ret_given,
                       struct failure *failure) {
    struct getopt_tables tables;
    uint32_t given = 0;
    fill_tables(words, &tables);
    opterr = 0; /* we speak for ourselves */
    optind = 0; /* glibc: start anew */
    int code, r = 0;
    while (r == 0 && (code = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
        size_t place = 0;
        const struct option_row *row =
            code == '?' ? NULL : find_row(words, code == ':' ? optopt : code, &place);
        if (!row)
            return refuse_option(words, argv[0], argv[optind - 1], optopt, failure);
        if (code == ':')
            return failure_set(failure, -EINVAL, "--%s needs a value: --%s %s", row->name,
                               row->name, row->argument);
        given |= UINT32_C(1) << place;
        r = words->set(words->context, place, optarg, failure);
    }
    for (; r == 0 && optind < argc; optind++)
        r = words->word(words->context, argv[optind], failure);
    if (r == 0)
        *ret_given = given;
    return r;
}

bool option_words_belongs(const struct option_row *row, const char *command) {
    const size_t length = strlen(command);
    for (const char *list = row->commands; *list; list += strspn(list, ", ")) {
        const size_t n = strcspn(list, ",");
        if (n == length && strncmp(list, command, n) == 0)
            return true;
        list += n;
    }
    return false;
}

int option_words_check(const struct option_words *words, uint32_t given, const char *before,
                       const char *command, struct failure *failure) {
    const struct option_row *row = NULL;
    for (size_t i = 0; (row = words->row(i)); i++)
        if ((given & UINT32_C(1) << i) && !option_words_belongs(row, command))
            return failure_set(failure, -EINVAL,
                               "--%s does not go with registrar %s%s; it is for %s: leave it out",
                               row->name, before, command, row->commands);
    return 0;
}
