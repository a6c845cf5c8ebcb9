/* See report_service.h. A connection answers one question after the other: first which batch it is,
 * then its records. */
#include "supervisor/cli/report_service.h"

#include "supervisor/client/ledger_feed.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void report_service_close(struct report_service *service) {
    connection_close(service->connection);
    free(service->batch);
}

/* By whatever path. */
static bool is_same(const char *out, const struct stat *folder) {
    struct stat status;
    return stat(out, &status) == 0 && status.st_dev == folder->st_dev &&
           status.st_ino == folder->st_ino;
}

/* The last line that fits is the newest batch. */
static int find_batch(struct report_service *service, const char *out, const struct stat *folder,
                      struct failure *failure) {
    CLEANUP_JSON json_t *answer = NULL;
    int r = connection_ask(service->connection, "status", json_pack("{s:b}", "all", 1), &answer,
                           failure);
    while (r == 0) {
        CLEANUP_JSON json_t *line = NULL;
        const char *name = NULL, *its_out = NULL;
        r = connection_receive(service->connection, &line, failure);
        if (r < 0)
            return r;
        if (json_is_true(json_object_get(line, "end")))
            break;
        if (json_unpack(line, "{s:{s:s, s:s}}", "batch", "name", &name, "out", &its_out) < 0 ||
            !is_same(its_out, folder))
            continue;
        free(service->batch);
        service->batch = strdup(name);
    }
    if (r == 0 && !service->batch)
        return failure_set(failure, -ENOENT, "the service has no batch of yours in %s", out);
    return r;
}

int report_service_find(const char *socket, const char *out, struct report_service *ret,
                        struct failure *failure) {
    CLEANUP(report_service_close) struct report_service service = {0};
    struct stat folder;
    if (stat(out, &folder) < 0)
        return failure_set_errno(failure, -errno, "cannot look at %s", out);
    int r = connection_open(socket, &service.connection, failure);
    if (r == 0)
        r = find_batch(&service, out, &folder, failure);
    if (r < 0)
        return r;
    *ret = service;
    service = (struct report_service){0};
    return 0;
}

int report_service_read(void *context, ledger_store_replay_cb replay, void *replay_context,
                        struct failure *failure) {
    const struct report_service *service = context;
    return ledger_feed_read(service->connection, service->batch, NULL, replay, replay_context, NULL,
                            failure);
}
