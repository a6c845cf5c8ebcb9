/* What the facts mean: a line for each thing that registrar depends on, ok or with what to change.
 * Pure. */
#ifndef SUPERVISOR_DOCTOR_FINDINGS_H
#define SUPERVISOR_DOCTOR_FINDINGS_H

#include "supervisor/doctor/facts.h"

enum { FINDINGS_MAX = 16, FINDINGS_TEXT_BYTES = 1600, FINDINGS_FIX_BYTES = 320 };

struct finding {
    const char *name; /* static: "clock" */
    bool is_ok;
    char text[FINDINGS_TEXT_BYTES]; /* a sentence without a full stop */
    char fix[FINDINGS_FIX_BYTES];   /* what to do, when it is not ok; "" else */
};

struct findings {
    struct finding items[FINDINGS_MAX];
    size_t count, n_warnings;
};

void findings_make(const struct facts *facts, struct findings *ret);

#endif
