/* A task's story for people and for programs. Pure but for the stream. */
#ifndef SUPERVISOR_EXPLAIN_EXPLAIN_PRINT_H
#define SUPERVISOR_EXPLAIN_EXPLAIN_PRINT_H

#include "supervisor/explain/next.h"

struct explain_print {
    const struct story *story;
    enum story_state state;
    const struct next *next;
    const char *log_path; /* NULL: there is none */
    size_t width;         /* columns; TEXT_UNLIMITED: of any length */
    bool colour;
};

/* -ENOMEM. */
MUST_USE int explain_print(const struct explain_print *what, FILE *stream);
/* Caller owns; NULL when out of memory. */
json_t *explain_print_json(const struct explain_print *what);

#endif
