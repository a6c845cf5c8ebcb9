/* What the fake worker says, and the result that it makes up. */
#include "tests/tools/fake/fake.h"

#include "common/atomic_file.h"
#include "common/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

void fake_say(const struct fake *fake, const void *bytes, size_t length) {
    for (const char *at = bytes; length > 0;) {
        ssize_t n = write(fake->report_fd, at, length);
        if (n < 0 && errno != EINTR)
            return; /* nobody listens; misbehaving goes on without */
        at += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
    }
}

void fake_say_text(const struct fake *fake, const char *text) {
    fake_say(fake, text, strlen(text));
}

void fake_say_json(const struct fake *fake, json_t *event) {
    CLEANUP_FREE char *text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (text) {
        fake_say_text(fake, text);
        fake_say_text(fake, "\n");
    }
}

void fake_say_progress(const struct fake *fake, double fraction) {
    fake_say_json(fake,
                  json_pack("{s:s, s:s, s:f, s:I}", "event", "progress", "stage", fake->behaviour,
                            "fraction", fraction, "memory_bytes", (json_int_t)1 << 20));
}

/* Tells the test that the state asked for is reached. */
void fake_announce(const struct fake *fake, const char *what) {
    const char *path = getenv("FAKE_WORKER_EVENTS");
    /* a test that does not listen lets the FIFO fill: nobody may wait for it */
    int fd = path ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    (void)dprintf(fd, "%d %s %s\n", (int)getpid(), fake->task, what);
    (void)close(fd);
}

/* A hash that is stable, and nothing more: the supervisor only ever compares it. */
static void fake_hash(const char *path, char ret[33]) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    CLEANUP_FCLOSE FILE *file = fopen(path, "re");
    for (int c = file ? fgetc(file) : EOF; c != EOF; c = fgetc(file))
        hash = (hash ^ (uint64_t)c) * UINT64_C(0x100000001b3);
    (void)snprintf(ret, 33, "%016" PRIx64 "%016" PRIx64, hash, ~hash);
}

static json_int_t mtime_ns(const struct stat *status) {
    return (json_int_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

json_t *fake_describe_input(const char *path) {
    struct stat status = {0};
    (void)stat(path, &status); /* a missing file has size 0 */
    char hash[33];
    fake_hash(path, hash);
    return json_pack("{s:s, s:I, s:I, s:s}", "path", path, "size", (json_int_t)status.st_size,
                     "mtime_ns", mtime_ns(&status), "hash", hash);
}

static json_t *write_output(const char *folder, const char *name) {
    CLEANUP_FREE char *path = NULL;
    struct failure failure;
    struct stat status = {0};
    if (asprintf(&path, "%s/%s", folder, name) < 0 ||
        atomic_file_write(path, "{}\n", 3, &failure) < 0 || stat(path, &status) < 0)
        return NULL;
    return json_pack("{s:s, s:I, s:I}", "name", name, "size", (json_int_t)status.st_size,
                     "mtime_ns", mtime_ns(&status));
}

void fake_say_result(const struct fake *fake, const char *status, const char *reason) {
    if (!fake->request)
        return;
    static const char *const names[] = {"transform.json", "aligned_pre.tiff", "difference.tiff",
                                        "result.json"};
    const char *out = json_string_value(json_object_get(fake->request, "out"));
    struct failure failure;
    if (!out || atomic_file_make_folders(out, &failure) < 0)
        exit(PROTOCOL_EXIT_ERROR);
    /* a failed alignment leaves nothing behind that could be mistaken for a good one */
    size_t count = strcmp(status, "failed") == 0 ? 1 : ARRAY_LEN(names);
    json_t *outputs = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(outputs, write_output(out, names[i]));
    fake_say_json(
        fake,
        json_pack("{s:s, s:s, s:s, s:[o,o], s:o, s:{s:i, s:s, s:[]}}", "event", "result", "status",
                  status, "reason", reason, "inputs",
                  fake_describe_input(json_string_value(json_object_get(fake->request, "pre"))),
                  fake_describe_input(json_string_value(json_object_get(fake->request, "post"))),
                  "outputs", outputs, "peak", "bytes", 1 << 20, "stage", "warp", "buffers"));
}
