/* See places.h. A variable of the XDG specification that is not absolute is to be ignored. */
#include "supervisor/service/places.h"

#include "common/names.h"
#include "supervisor/service/conf.h"

#include <errno.h>
#include <string.h>

/* $variable/tail, or $HOME/home_tail. */
static int find(const char *variable, const char *home_tail, const char *tail, const char *option,
                char **ret, struct failure *failure) {
    const char *base = getenv(variable);
    const char *home = getenv("HOME");
    char *path = NULL;
    if (base && *base == '/')
        path = names_format("%s/%s", base, tail);
    else if (home_tail && home && *home == '/')
        path = names_format("%s/%s/%s", home, home_tail, tail);
    else
        return failure_set(failure, -ENOENT, "$%s%s not set, so say it: %s", variable,
                           home_tail ? " and $HOME are" : " is", option);
    if (!path)
        return failure_set(failure, -ENOMEM, "out of memory");
    *ret = path;
    return 0;
}

static int copy(const char *path, char **ret, struct failure *failure) {
    char *text = strdup(path);
    if (!text)
        return failure_set(failure, -ENOMEM, "out of memory");
    *ret = text;
    return 0;
}

int places_state_dir(bool is_system, char **ret, struct failure *failure) {
    if (is_system)
        return copy("/var/lib/registrar", ret, failure);
    return find("XDG_STATE_HOME", ".local/state", "registrar", "--state-dir DIR", ret, failure);
}

int places_socket(bool is_system, char **ret, struct failure *failure) {
    if (is_system)
        return copy(PLACES_SYSTEM_SOCKET, ret, failure);
    return find("XDG_RUNTIME_DIR", NULL, "registrar/socket", "--socket PATH", ret, failure);
}

int places_config(bool is_system, char **ret, struct failure *failure) {
    if (is_system)
        return copy(CONF_SYSTEM_PATH, ret, failure);
    return find("XDG_CONFIG_HOME", ".config", "registrar.conf", "--config FILE", ret, failure);
}
