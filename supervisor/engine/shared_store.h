/* The folder of what the variants of a pair share while they run, OUT/<sample>/<dye>@shared. The
 * workers fill it (worker/stage/shared_stage.h); it is removed when nobody needs it any more. */
#ifndef SUPERVISOR_ENGINE_SHARED_STORE_H
#define SUPERVISOR_ENGINE_SHARED_STORE_H

#include "common/failure.h"
#include "supervisor/service/credentials.h"

/* With the rights of credentials (NULL: ours). That there is none is fine. Links are not followed,
 * and what no worker has put there stays. */
MUST_USE int shared_store_remove(const char *out, const char *shared,
                                 const struct credentials *credentials, struct failure *failure);

#endif
