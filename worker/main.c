/* registrar-worker: finds the mode and hands over. */
#include "common/protocol.h"

#include <stdio.h>

int main(void) {
    (void)fputs("usage: registrar-worker align|probe|hash < TASK.json\n", stderr);
    return PROTOCOL_EXIT_USAGE;
}
