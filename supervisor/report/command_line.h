/* A command line as text that a shell reads back as the same words. */
#ifndef SUPERVISOR_REPORT_COMMAND_LINE_H
#define SUPERVISOR_REPORT_COMMAND_LINE_H

#include "common/cleanup.h"

/* "registrar run 'my scans' -o out": words in single quotes where they need it. What text.h would
 * not print as it is stands as $'\033', which bash, zsh and ksh understand. Caller owns; NULL when
 * out of memory. */
char *command_line_quote(int argc, char *const *argv);

/* The same for one word: a path in an advice. */
char *command_line_quote_word(const char *word);

/* The same of a command of registrar's own (argv[0] is its name), with "registrar" before it. Call
 * it before getopt reorders the words. */
char *command_line_of_registrar(int argc, char *const *argv);

#endif
