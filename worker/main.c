/* registrar-worker: finds the mode and hands over. */
#include "common/protocol.h"
#include "worker/tiff/probe.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "probe") == 0)
        return probe_main();
    if (argc == 2 && strcmp(argv[1], "hash") == 0)
        return probe_hash_main();
    (void)fputs("usage: registrar-worker align|probe|hash < TASK.json\n", stderr);
    return PROTOCOL_EXIT_USAGE;
}
