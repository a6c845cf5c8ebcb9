/* See nearest.h. The words are short, so three rows of the distance table on the stack do. */
#include "supervisor/cli/nearest.h"

#include <stdint.h>
#include <string.h>

enum { MAX_WORD = 32, FAR = MAX_WORD };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Optimal string alignment distance. */
static size_t distance(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    size_t rows[3][MAX_WORD + 1];
    if (n > MAX_WORD || m > MAX_WORD)
        return FAR;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

const char *nearest_word(const char *typed, const char *const *known) {
    const char *best = NULL, *word = NULL;
    size_t best_distance = FAR;
    for (; (word = *known); known++) {
        const size_t d = strlen(typed) >= 2 && strncmp(word, typed, strlen(typed)) == 0
                             ? 1
                             : distance(typed, word);
        if (d >= best_distance || d > (strlen(word) + 2) / 3)
            continue;
        best = word;
        best_distance = d;
    }
    return best;
}
