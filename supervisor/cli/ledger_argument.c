/* See ledger_argument.h. A folder is taken as the file too: it is what people have at hand. */
#include "supervisor/cli/ledger_argument.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

int ledger_argument_path(const char *out, const char *file, const char *missing,
                         char path[LEDGER_ARGUMENT_BYTES], struct failure *failure) {
    const char *given = out ? out : file;
    struct stat status;
    if (out && file)
        return failure_set(failure, -EINVAL, "give -o OUT or a ledger file, not both: %.200s",
                           file);
    if (!given)
        return failure_set(failure, -EINVAL, "%s", missing);
    const bool is_folder = out || (stat(file, &status) == 0 && S_ISDIR(status.st_mode));
    const int n =
        snprintf(path, LEDGER_ARGUMENT_BYTES, "%s%s", given, is_folder ? "/ledger.jsonl" : "");
    if (n < 0 || n >= LEDGER_ARGUMENT_BYTES)
        return failure_set(failure, -ENAMETOOLONG, "the path is too long: %.200s...", given);
    return 0;
}
