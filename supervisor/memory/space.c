/* See space.h. */
#include "supervisor/memory/space.h"

#include "common/checked.h"
#include "common/tmpfs.h"

#include <errno.h>

#include <string.h>
#include <sys/statfs.h>

int space_read(const char *folder, struct space *ret, struct failure *failure) {
    struct space space = {0};
    struct statfs status;
    if (strlen(folder) >= sizeof(space.existing))
        return failure_set(failure, -ENAMETOOLONG, "the path %.200s... is too long", folder);
    memcpy(space.existing, folder, strlen(folder) + 1);
    while (statfs(space.existing, &status) < 0) {
        char *slash = strrchr(space.existing, '/');
        if (errno == EINTR)
            continue;
        if ((errno != ENOENT && errno != ENOTDIR) || !slash || strcmp(space.existing, "/") == 0)
            return failure_set_errno(failure, -errno, "cannot tell the free space of %s", folder);
        slash[slash == space.existing ? 1 : 0] = '\0';
    }
    if (!checked_mul_u64(status.f_bavail,
                         (uint64_t)(status.f_frsize ? status.f_frsize : status.f_bsize),
                         &space.free_bytes))
        space.free_bytes = UINT64_MAX; /* some network drives answer so */
    space.is_ram = tmpfs_is(&status);
    if (tmpfs_is_unlimited(&status))
        space.free_bytes = UINT64_MAX; /* what memory allows is held against memory */
    *ret = space;
    return 0;
}
