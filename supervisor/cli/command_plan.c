/* registrar plan: what a run would do and need. Reads; never writes, not even OUT. */
#include "supervisor/batch/discover.h"
#include "supervisor/batch/manifest.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/options.h"

#include <stdio.h>

static int fail(const struct failure *failure, int status) {
    (void)fprintf(stderr, "registrar: %s\n", failure->text);
    return status;
}

int command_plan(int argc, char **argv) {
    struct failure failure = {0};
    CLEANUP(options_free) struct options options = {0};
    CLEANUP(task_list_free) struct task_list tasks = {0};
    if (options_parse(argc, argv, &options, &failure) < 0)
        return fail(&failure, EXIT_USAGE);
    int r = options.manifest ? manifest_read(&options, &tasks, &failure)
                             : discover_tasks(&options, &tasks, &failure);
    if (r < 0)
        return fail(&failure, EXIT_USAGE);
    for (size_t i = 0; i < tasks.count; i++)
        (void)printf("%s%s%s\n", tasks.items[i].id, tasks.items[i].broken ? "  broken: " : "",
                     tasks.items[i].broken ? tasks.items[i].broken : "");
    return EXIT_ALL_OK;
}
