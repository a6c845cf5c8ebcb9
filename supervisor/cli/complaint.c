/* See complaint.h. A sentence may quote a file name that is no UTF-8, which JSON cannot hold: it is
 * shown escaped there. */
#include "supervisor/cli/complaint.h"

#include "common/names.h"
#include "supervisor/cli/commands.h"

#include <string.h>

bool complaint_wants_json(int argc, char *const *argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

void complaint_print_json(int status, const char *sentence, const char *name, json_t *detail) {
    CLEANUP_FREE char *clean = names_is_clean(sentence) ? strdup(sentence) : names_escape(sentence);
    CLEANUP_JSON json_t *object = json_pack("{s:i, s:{s:i, s:s}}", "version", 1, "error", "exit",
                                            status, "sentence", clean ? clean : "out of memory");
    if (detail && json_object_set(object, name, detail) < 0)
        return;
    if (object && json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0)
        (void)putchar('\n'); /* main checks stdout at the end */
}

int complaint_tell(bool as_json, int status, const struct failure *failure) {
    (void)fprintf(stderr, "registrar: %s\n", failure->text);
    if (as_json)
        complaint_print_json(status, failure->text, NULL, NULL);
    return status;
}

int complaint_worker_status(void) {
    const char *given = getenv("REGISTRAR_WORKER");
    return given && *given ? EXIT_USAGE : EXIT_INTERNAL;
}
