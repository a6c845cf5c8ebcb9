/* What clients may ask of the service, and how it is answered (registrar-protocol(5)).
 *
 * Opens the control socket. Each request becomes calls of the queue and the service, in the name of
 * the caller as the kernel tells it; what changes the queue is answered when its record is on disk.
 */
#ifndef SUPERVISOR_SERVICE_REQUESTS_H
#define SUPERVISOR_SERVICE_REQUESTS_H

#include "supervisor/service/service.h"

struct requests;

/* All borrowed. */
struct requests_settings {
    uv_loop_t *loop;
    struct service *service;
    int listen_fd;           /* listen_socket.h; stays open until requests_free */
    const char *ledger_path; /* of the service's ledger, for explain and ledger */
};

MUST_USE int requests_open(const struct requests_settings *settings, struct requests **ret,
                           struct failure *failure);
/* Whose members may touch all; NULL: none, as at first. False: there is no such group. */
bool requests_set_admin_group(struct requests *requests, const char *group);
/* No new clients; those that are there are heard on. */
void requests_stop(struct requests *requests);
/* Ends every connection; before service_close. NULL is fine, here and below. */
void requests_close(struct requests *requests);
void requests_free(struct requests *requests); /* after the loop's last turn */

#endif
