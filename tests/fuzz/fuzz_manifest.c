/* A manifest of any bytes: refused with a sentence, or tasks that can be told the service and read
 * there. */
#include "supervisor/batch/manifest.h"
#include "supervisor/batch/task_json.h"

#include "common/params.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pass_on(const struct task *task) {
    struct forecast_task need;
    struct failure failure;
    struct task back = {0};
    json_t *object = task_json_make(task, NULL);
    if (!object || task_json_read(object, "the task", &back, &need, &failure) < 0)
        abort(); /* what a manifest may say, the service must take */
    task_free(&back);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    struct task_list tasks = {0};
    struct failure failure;
    struct options options = {.out = (char *)"/out", .manifest = path, .params = params_defaults()};
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    if (fd < 0 || !options.params || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (manifest_read(&options, &tasks, &failure) == 0) {
        for (size_t i = 0; i < tasks.count; i++)
            pass_on(&tasks.items[i]);
        task_list_free(&tasks);
    }
    json_decref(options.params);
    (void)close(fd);
    return 0;
}
