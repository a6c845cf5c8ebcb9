/* The path of a file or folder as it is given on the command line. */
#ifndef SUPERVISOR_CLI_OPTION_PATH_H
#define SUPERVISOR_CLI_OPTION_PATH_H

#include "common/failure.h"

/* Puts it into *slot as an absolute path, for so it travels, in JSON too; what stood there is
 * freed. name: of the option, for the sentence. */
MUST_USE int option_path_set(char **slot, const char *name, const char *text,
                             struct failure *failure);

#endif
