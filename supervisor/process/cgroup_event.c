/* See cgroup_event.h. What is written into cgroup.event_control are the numbers of two descriptors;
 * that of memory.oom_control is not needed any longer then. */
#include "supervisor/process/cgroup_event.h"

#include "common/names.h"
#include "supervisor/process/cgroup_group.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>

int cgroup_event_open(const char *folder) {
    CLEANUP_FREE char *path = names_format("%s/memory.oom_control", folder);
    CLEANUP_CLOSE int control = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (control < 0)
        return path ? -errno : -ENOMEM;
    CLEANUP_CLOSE int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return -errno;
    char text[32];
    (void)snprintf(text, sizeof(text), "%d %d", event, control);
    int r = cgroup_group_write(folder, "cgroup.event_control", text);
    return r < 0 ? r : STEAL_FD(event);
}

uint64_t cgroup_event_take(int fd) {
    uint64_t count;
    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}
