/* The pages of the commands that talk to the service; see help.h. */
#ifndef SUPERVISOR_CLI_HELP_CLIENT_H
#define SUPERVISOR_CLI_HELP_CLIENT_H

#include "supervisor/cli/help.h"

/* NULL past the end. */
const struct help_page *help_client_page(size_t n);

#endif
