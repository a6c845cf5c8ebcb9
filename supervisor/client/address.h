/* Where the service's socket is.
 *
 * A client takes --socket, else REGISTRAR_SOCKET, else the system's socket if there is one, else
 * the user's below XDG_RUNTIME_DIR.
 */
#ifndef SUPERVISOR_CLIENT_ADDRESS_H
#define SUPERVISOR_CLIENT_ADDRESS_H

#include "common/failure.h"

#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS_VARIABLE "REGISTRAR_SOCKET"
#define ADDRESS_SYSTEM "/run/registrar/socket"

/* The path of the socket; given may be NULL. Caller owns; NULL when out of memory. */
char *address_choose(const char *given);
/* The user's own: $XDG_RUNTIME_DIR/registrar/socket, else /run/user/UID/registrar/socket. Caller
 * owns; NULL when out of memory. */
char *address_of_user(void);

/* A path too long for sun_path goes through its folder's descriptor, which must stay open while the
 * address is used: -1 where none is needed. Caller owns *ret_folder. */
MUST_USE int address_make(const char *path, struct sockaddr_un *ret, int *ret_folder,
                          struct failure *failure);

#endif
