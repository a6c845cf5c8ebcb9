/* The command line of registrar apply, taken apart and checked. */
#ifndef SUPERVISOR_CLI_APPLY_WORDS_H
#define SUPERVISOR_CLI_APPLY_WORDS_H

#include "supervisor/cli/option_words.h"

/* Borrows the words themselves; owns the rest. */
struct apply_words {
    char *transform;           /* owned: the file, also where its folder was named */
    const char *image;         /* NULL: points */
    const char *points;        /* NULL: an image; "-": stdin */
    const char *out;           /* NULL: stdout */
    char *columns[2];          /* owned; NULL: not given */
    json_t *params;            /* owned: interpolation, compression and pad as they were given */
    const char *interpolation; /* borrowed; NULL: not given */
    bool is_inverse, is_labels, is_quiet, as_json;
    int threads; /* 0: auto */
    uint64_t memory_bytes;
};

/* The options; NULL past the end. */
const struct option_row *apply_words_row(size_t n);

MUST_USE int apply_words_parse(int argc, char **argv, struct apply_words *ret,
                               struct failure *failure);
void apply_words_clear(struct apply_words *words); /* {0} is fine */

#endif
