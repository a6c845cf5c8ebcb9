/* Users that need not exist: the kernel knows numbers alone. Taking their rights needs
 * privilege, and a user namespace that has their numbers; tests without it skip. */
#ifndef TESTS_UNIT_USER_FIXTURE_H
#define TESTS_UNIT_USER_FIXTURE_H

#include "supervisor/service/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/fsuid.h>
/* cmocka wants the standard ones first */
#include <cmocka.h>

enum { USER_FIXTURE_UID = 54321, USER_FIXTURE_GID = 54322, USER_FIXTURE_EXTRA_GID = 54323 };

static inline const struct credentials *user_fixture(void) {
    static gid_t groups[] = {USER_FIXTURE_GID, USER_FIXTURE_EXTRA_GID};
    static char name[] = "somebody", home[] = "/", shell[] = "/bin/sh";
    static char path[] = "PATH=/usr/bin:/bin", user[] = "USER=somebody";
    static char *environment[] = {path, user, NULL};
    static const struct credentials credentials = {
        .uid = USER_FIXTURE_UID,
        .gid = USER_FIXTURE_GID,
        .groups = groups,
        .n_groups = ARRAY_LEN(groups),
        .umask = 027,
        .name = name,
        .home = home,
        .shell = shell,
        .environment = environment,
    };
    return &credentials;
}

/* Ends the test where nobody's rights can be taken. */
static inline void user_fixture_need(void) {
    const uid_t before = (uid_t)setfsuid(USER_FIXTURE_UID);
    const bool took = setfsuid(before) == USER_FIXTURE_UID;
    if (geteuid() != 0 || !took)
        skip();
}

#endif
