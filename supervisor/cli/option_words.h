/* Taking a command line apart by a table of options, the same way and with the same sentences for
 * every command: getopt_long, but it speaks our words and names the nearest option. */
#ifndef SUPERVISOR_CLI_OPTION_WORDS_H
#define SUPERVISOR_CLI_OPTION_WORDS_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

enum { OPTION_WORDS_MAX_ROWS = 32 };

/* One row of the table that parsing, --help and the man page's test share. */
struct option_row {
    const char *name;     /* without the dashes */
    const char *argument; /* "N|auto"; NULL: it takes none */
    const char *fallback; /* the default in words; NULL: none */
    const char *meaning;
    const char *group;    /* the heading it stands under */
    char letter;          /* the short form; 0: none */
    const char *commands; /* those that take it: "run, plan" */
};

/* The nth row; NULL past the end. Rows of one group are neighbours. */
typedef const struct option_row *(*option_words_row_cb)(size_t n);

struct option_words {
    option_words_row_cb row; /* at most OPTION_WORDS_MAX_ROWS */
    /* Option n was given; value is NULL when it takes none. */
    int (*set)(void *context, size_t n, const char *value, struct failure *failure);
    /* A word that is no option. */
    int (*word)(void *context, const char *word, struct failure *failure);
    void *context;
};

/* argv[0] is the command's name; the words may be put in another order. Options first, then the
 * words, wherever they stood. *ret_given has bit n set when option n was. */
MUST_USE int option_words_parse(int argc, char **argv, const struct option_words *words,
                                uint32_t *ret_given, struct failure *failure);
/* Whether the command is one of the row's. */
bool option_words_belongs(const struct option_row *row, const char *command);
/* Refuses options that do not belong to the command: better than to leave them unheard. given: from
 * option_words_parse; before: what stands before the command, "ledger ". */
MUST_USE int option_words_check(const struct option_words *words, uint32_t given,
                                const char *before, const char *command, struct failure *failure);

#endif
