/* The page of registrar apply --help. */
#ifndef SUPERVISOR_CLI_HELP_APPLY_H
#define SUPERVISOR_CLI_HELP_APPLY_H

#include "supervisor/cli/help.h"

const struct help_page *help_apply_page(void);

#endif
