/* What `registrar --help` and `registrar COMMAND --help` print: everything a user needs to begin.
 * The pages are data, so that a test can hold the man page against them. */
#ifndef SUPERVISOR_CLI_HELP_H
#define SUPERVISOR_CLI_HELP_H

#include "supervisor/cli/option_words.h"

#include <stdbool.h>
#include <stdio.h>

struct help_page {
    const char *command;
    const char *meaning;     /* one line, for the list of commands */
    const char *usage;       /* lines */
    const char *text;        /* paragraphs */
    option_words_row_cb row; /* its options */
    bool is_batch;           /* run, plan, submit: sizes and alignment parameters belong to it */
    bool is_shared;          /* its options are a table of several commands */
    const char *more;        /* sections behind the options, as they are printed */
};

/* NULL past the end. */
const struct help_page *help_page(size_t n);
const struct help_page *help_find(const char *command); /* NULL when there is none */

void help_print_page(const struct help_page *page, FILE *stream);
void help_print_overview(FILE *stream);
/* True when one of the arguments asks for help: --help, or -h. Nothing behind "--" counts. */
bool help_is_asked(int argc, char *const *argv);

#endif
