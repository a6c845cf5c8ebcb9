/* "Did you mean --stall-timeout?": the known word that is nearest to what was typed. */
#ifndef SUPERVISOR_CLI_NEAREST_H
#define SUPERVISOR_CLI_NEAREST_H

/* The nearest of the known words (NULL-terminated), or NULL when none is near enough to be meant.
 * Distance: insertions, deletions, replacements and swaps of neighbours (Damerau 1964), at most a
 * third of the word. A word that begins with what was typed counts as near. */
const char *nearest_word(const char *typed, const char *const *known);

#endif
