/* Where the service has its files when nobody says otherwise: the system's, or a user's own
 * (XDG Base Directory Specification).
 *
 *                system                      user
 *     state      /var/lib/registrar          $XDG_STATE_HOME/registrar     (~/.local/state)
 *     socket     /run/registrar/socket       $XDG_RUNTIME_DIR/registrar/socket
 *     config     /etc/registrar.conf         $XDG_CONFIG_HOME/registrar.conf   (~/.config)
 */
#ifndef SUPERVISOR_SERVICE_PLACES_H
#define SUPERVISOR_SERVICE_PLACES_H

#include "common/failure.h"

#include <stdbool.h>

/* The system's one. */
#define PLACES_SYSTEM_SOCKET "/run/registrar/socket"

/* Absolute; caller owns. -ENOENT with a sentence where the environment does not tell; -ENOMEM. */
MUST_USE int places_state_dir(bool is_system, char **ret, struct failure *failure);
MUST_USE int places_socket(bool is_system, char **ret, struct failure *failure);
MUST_USE int places_config(bool is_system, char **ret, struct failure *failure);

#endif
