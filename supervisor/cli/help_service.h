/* The pages of the service and of the commands that talk to it; see help.h. */
#ifndef SUPERVISOR_CLI_HELP_SERVICE_H
#define SUPERVISOR_CLI_HELP_SERVICE_H

#include "supervisor/cli/help.h"

/* NULL past the end. */
const struct help_page *help_service_page(size_t n);

#endif
