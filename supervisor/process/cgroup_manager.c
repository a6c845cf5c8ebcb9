/* See cgroup_manager.h. The manager's own socket is there without any message bus. Whatever goes
 * wrong on the way means that nothing was delegated. */
#include "supervisor/process/cgroup_manager.h"

#include "common/cleanup.h"
#include "common/names.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>
#include <unistd.h>

enum { ANSWER_US = 1000000 };

static void close_bus(sd_bus **bus) { sd_bus_flush_close_unref(*bus); }

/* The D-Bus interface that has the property; NULL: no unit of that type can be delegated. */
static const char *interface_of(const char *unit) {
    const char *dot = strrchr(unit, '.');
    if (dot && strcmp(dot, ".scope") == 0)
        return "org.freedesktop.systemd1.Scope";
    if (dot && strcmp(dot, ".service") == 0)
        return "org.freedesktop.systemd1.Service";
    return NULL;
}

static int connect_manager(sd_bus *bus) {
    CLEANUP_FREE char *address =
        names_format("unix:path=/run/user/%d/systemd/private", (int)geteuid());
    if (!address)
        return -1;
    int r = sd_bus_set_address(bus, address);
    if (r >= 0)
        r = sd_bus_set_method_call_timeout(bus, ANSWER_US);
    return r < 0 ? r : sd_bus_start(bus);
}

bool cgroup_manager_delegates(void) {
    CLEANUP_FREE char *unit = NULL;
    CLEANUP_FREE char *path = NULL;
    CLEANUP(close_bus) sd_bus *bus = NULL;
    int is_delegated = 0;
    if (sd_pid_get_user_unit(0, &unit) < 0)
        return false;
    const char *interface = interface_of(unit);
    return interface && sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) >= 0 &&
           sd_bus_new(&bus) >= 0 && connect_manager(bus) >= 0 &&
           sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1", path, interface, "Delegate",
                                       NULL, 'b', &is_delegated) >= 0 &&
           is_delegated;
}
