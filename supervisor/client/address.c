/* See address.h. sun_path holds 107 bytes, and people's folders are deeper than that; a path
 * through /proc/self/fd is short whatever the folder is called. */
#include "supervisor/client/address.h"

#include "common/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

char *address_of_user(void) {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    return runtime && *runtime ? names_format("%s/registrar/socket", runtime)
                               : names_format("/run/user/%u/registrar/socket", (unsigned)getuid());
}

char *address_choose(const char *given) {
    if (!given || !*given)
        given = getenv(ADDRESS_VARIABLE);
    if (given && *given)
        return strdup(given);
    return access(ADDRESS_SYSTEM, F_OK) == 0 ? strdup(ADDRESS_SYSTEM) : address_of_user();
}

/* The folder that path lies in. Caller owns; NULL when out of memory. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int address_make(const char *path, struct sockaddr_un *ret, int *ret_folder,
                 struct failure *failure) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (*name == '\0')
        return failure_set(failure, -EINVAL, "the socket's path names no file: \"%s\"", path);
    if (strlen(path) < sizeof(address.sun_path)) {
        (void)strcpy(address.sun_path, path);
        *ret = address;
        *ret_folder = -1;
        return 0;
    }
    CLEANUP_FREE char *folder = folder_of(path);
    if (!folder)
        return failure_set(failure, -ENOMEM, "out of memory");
    CLEANUP_CLOSE int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "the socket's folder %.600s", folder);
    const int n =
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", fd, name);
    if (n < 0 || (size_t)n >= sizeof(address.sun_path))
        return failure_set(failure, -ENAMETOOLONG, "the socket's name is too long: %.200s", name);
    *ret = address;
    *ret_folder = STEAL_FD(fd);
    return 0;
}
