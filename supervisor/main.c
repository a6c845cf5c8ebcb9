/* registrar: finds the command and hands over. */
#include "common/cleanup.h"
#include "supervisor/cli/commands.h"

#include <string.h>

#define REGISTRAR_VERSION "0.1.0"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *meaning;
};

static const struct command commands[] = {
    {NULL, NULL, NULL},
};

int main(int argc, char **argv) {
    for (size_t i = 0; i < ARRAY_LEN(commands) && argc > 1; i++)
        if (commands[i].name && strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    (void)fputs("usage: registrar COMMAND ...\n", stderr);
    return EXIT_USAGE;
}
