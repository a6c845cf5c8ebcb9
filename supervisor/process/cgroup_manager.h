/* Whether a user's own systemd manager has delegated our control group to us.
 *
 * The system's manager marks the groups that it delegates (cgroup_level.h), a user's manager does
 * not: it has to be asked, by the way that systemctl --user takes. Blocks for a second at most.
 * Source: org.freedesktop.systemd1(5), sd_bus_get_property_trivial(3).
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_MANAGER_H
#define SUPERVISOR_PROCESS_CGROUP_MANAGER_H

#include <stdbool.h>

/* False also when we are in no unit of such a manager, or it does not answer. */
bool cgroup_manager_delegates(void);

#endif
