/* The probe and hash modes; see probe.h. Every report is one write, done before the next file. */
#include "worker/tiff/probe.h"

#include "common/json_read.h"
#include "common/protocol.h"
#include "worker/sandbox/sandbox.h"
#include "worker/stage/report.h"
#include "worker/tiff/image.h"

#include <errno.h>

/* What a mode says of one file; NULL: out of memory. */
typedef json_t *(*describe_cb)(json_int_t index, const char *path);

static json_t *describe_failure(json_int_t index, const struct failure *failure) {
    json_t *line =
        json_pack("{s:s,s:I,s:s}", "event", "file", "index", index, "error", failure->text);
    if (line)
        return line;
    /* a very long path was cut within a character: no longer UTF-8 */
    return json_pack("{s:s,s:I,s:s}", "event", "file", "index", index, "error",
                     "the file cannot be used, and its path is too long to say why; shorten it");
}

static json_t *describe_header(json_int_t index, const char *path) {
    struct failure failure = {0};
    struct image *image = NULL;
    if (image_open(path, &image, &failure) < 0)
        return describe_failure(index, &failure);
    const struct image_info *info = image_get_info(image);
    json_t *line =
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:I,s:I}", "event", "file", "index", index,
                  "width", (json_int_t)info->width, "height", (json_int_t)info->height, "samples",
                  (json_int_t)info->samples, "bits", (json_int_t)info->bits, "size",
                  (json_int_t)info->file_bytes, "scratch", info->needs_scratch, "block",
                  (json_int_t)info->block_bytes, "stream", (json_int_t)info->stream_bytes);
    image_close(image);
    return line;
}

static json_t *describe_hash(json_int_t index, const char *path) {
    struct failure failure = {0};
    struct image_identity identity;
    if (image_identify(path, &identity, &failure) < 0)
        return describe_failure(index, &failure);
    return json_pack("{s:s,s:I,s:I,s:I,s:s}", "event", "file", "index", index, "size",
                     (json_int_t)identity.size, "mtime_ns", (json_int_t)identity.mtime_ns, "hash",
                     identity.hash);
}

/* Checks the whole request before the first file is touched. Borrows *ret_files from request. */
static int read_request(const json_t *request, const json_t **ret_files, struct failure *failure) {
    static const char *const keys[] = {"v", "files", NULL};
    static const char where[] = "the request on stdin";
    int64_t version = 0;
    if (!json_is_object(request))
        return failure_set(failure, -1, "%s is not a JSON object", where);
    int r = json_read_known_keys(request, keys, where, failure);
    if (r == 0)
        r = json_read_int(request, "v", where, PROTOCOL_VERSION, PROTOCOL_VERSION, &version,
                          failure);
    if (r < 0)
        return r;
    const json_t *files = json_object_get(request, "files");
    if (!json_is_array(files))
        return failure_set(failure, -1, "%s has no array \"files\"", where);
    for (size_t i = 0; i < json_array_size(files); i++) {
        if (!json_is_string(json_array_get(files, i)))
            return failure_set(failure, -1, "%s: entry %zu of \"files\" is not a string", where, i);
    }
    *ret_files = files;
    return 0;
}

static int enter_sandbox(const struct report *report, const json_t *files) {
    const size_t count = json_array_size(files);
    CLEANUP_FREE const char **inputs = calloc(count ? count : 1, sizeof(*inputs));
    if (!inputs)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        inputs[i] = json_string_value(json_array_get(files, i));
    const struct landlock_paths paths = {.inputs = inputs, .n_inputs = count};
    return sandbox_enter(&paths, report_descriptor(report), NULL);
}

static int report_files(struct report *report, const json_t *files, describe_cb describe) {
    for (size_t i = 0; i < json_array_size(files); i++) {
        json_int_t index = (json_int_t)i;
        int r = report_send(report, json_pack("{s:s,s:I}", "event", "begin", "index", index));
        /* All files are looked up for the sandbox, which takes for ever on a drive that is gone:
         * by then the first one is begun, and is the one to blame. */
        if (r == 0 && i == 0)
            r = enter_sandbox(report, files);
        if (r == 0)
            r = report_send(report, describe(index, json_string_value(json_array_get(files, i))));
        if (r < 0)
            return r;
    }
    return 0;
}

static int run(describe_cb describe) {
    struct report *report = report_open();
    if (!report) {
        (void)fputs("registrar-worker: out of memory\n", stderr);
        return PROTOCOL_EXIT_ERROR;
    }
    struct failure failure = {0};
    json_error_t error;
    CLEANUP_JSON json_t *request = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    const json_t *files = NULL;
    int status = 0;
    if (!request) {
        (void)fprintf(stderr, "registrar-worker: the request on stdin is not JSON: %s\n",
                      error.text);
        status = PROTOCOL_EXIT_USAGE;
    } else if (read_request(request, &files, &failure) < 0) {
        (void)fprintf(stderr, "registrar-worker: %s\n", failure.text);
        status = PROTOCOL_EXIT_USAGE;
    } else if (report_files(report, files, describe) < 0) {
        (void)fputs("registrar-worker: the reports cannot be delivered\n", stderr);
        status = PROTOCOL_EXIT_ERROR;
    }
    report_close(report);
    return status;
}

int probe_main(void) { return run(describe_header); }

int probe_hash_main(void) { return run(describe_hash); }
