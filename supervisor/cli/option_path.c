/* See option_path.h. The path need not lead anywhere yet: only where it begins is made plain. */
#include "supervisor/cli/option_path.h"

#include "common/names.h"

#include <errno.h>
#include <string.h>

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "out of memory while reading the command line");
}

/* Takes an absolute path and gives back the same place without "..", so that one place has one name
 * in the ledger, whatever folder the command was typed in. The last part need not exist. */
static char *resolve_dots(char *path) {
    CLEANUP_FREE char *owned = path;
    if (!path || !strstr(path, "/.."))
        return STEAL_PTR(owned);
    char *whole = realpath(path, NULL);
    char *slash = strrchr(path, '/');
    if (whole || slash == path || strcmp(slash, "/..") == 0)
        return whole ? whole : STEAL_PTR(owned);
    *slash = '\0';
    CLEANUP_FREE char *parent = realpath(path, NULL);
    *slash = '/';
    return parent ? names_format("%s%s", strcmp(parent, "/") == 0 ? "" : parent, slash)
                  : STEAL_PTR(owned);
}

int option_path_set(char **slot, const char *name, const char *text, struct failure *failure) {
    if (*text == '\0')
        return failure_set(failure, -EINVAL, "%s: the path is empty", name);
    CLEANUP_FREE char *here = *text == '/' ? strdup("") : getcwd(NULL, 0);
    if (!here)
        return failure_set_errno(failure, -errno, "the current folder cannot be read");
    while (strncmp(text, "./", 2) == 0)
        text += 2 + strspn(text + 2, "/");
    const bool is_here = strcmp(text, ".") == 0 || *text == '\0';
    free(*slot);
    *slot = is_here ? strdup(here) : names_format("%s%s%s", here, *text == '/' ? "" : "/", text);
    if (!*slot)
        return out_of_memory(failure);
    for (size_t end = strlen(*slot); end > 1 && (*slot)[end - 1] == '/'; end--)
        (*slot)[end - 1] = '\0';
    *slot = resolve_dots(*slot);
    if (!*slot)
        return out_of_memory(failure);
    if (!names_is_clean(*slot)) {
        CLEANUP_FREE char *shown = names_escape(*slot);
        return failure_set(failure, -EINVAL,
                           "%s: the path \"%.500s\" holds a control character or bytes that are "
                           "no UTF-8; rename it or go there by a link with a plain name",
                           name, shown ? shown : "?");
    }
    return 0;
}
