/* See verdict_style.h. Good, to be looked at, bad: what the next run does again by itself, or what
 * only a person can judge, is no failure yet. */
#include "supervisor/report/verdict_style.h"

enum text_style verdict_style(enum verdict verdict) {
    switch (verdict) {
    case VERDICT_OK:
        return TEXT_GOOD;
    case VERDICT_DOUBTFUL:
    case VERDICT_CANCELLED:
    case VERDICT_LOST:
        return TEXT_WARN;
    default:
        return TEXT_BAD;
    }
}

enum text_style verdict_style_named(const char *name) {
    enum verdict verdict;
    return verdict_parse(name, &verdict) < 0 ? TEXT_PLAIN : verdict_style(verdict);
}
