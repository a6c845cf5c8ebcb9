/* See checkpoint.h. Real numbers survive: jansson prints 17 significant digits. */
#include "worker/stage/checkpoint.h"

#include "common/atomic_file.h"
#include "common/json_read.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#include <zlib.h>

enum { VERSION = 1, MAX_BYTES = 64 << 20, CRC_BYTES = 9 };

void checkpoint_clear(struct checkpoint *checkpoint) {
    json_decref(checkpoint->object);
    json_decref(checkpoint->files);
    json_decref(checkpoint->measured);
    *checkpoint = (struct checkpoint){0};
}

const char *checkpoint_key(const json_t *value, char key[CHECKPOINT_KEY_BYTES]) {
    CLEANUP_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    key[0] = '\0';
    if (text) {
        XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
        (void)snprintf(key, CHECKPOINT_KEY_BYTES, "%016llx%016llx", (unsigned long long)hash.high64,
                       (unsigned long long)hash.low64);
    }
    return key;
}

/* Of everything but the member "crc" itself. */
static bool crc_of(const json_t *envelope, char crc[CRC_BYTES]) {
    CLEANUP_JSON json_t *rest =
        json_copy((json_t *)envelope); /* shallow; the source is unchanged */
    if (rest)
        (void)json_object_del(rest, "crc"); /* absent while it is being made */
    CLEANUP_FREE char *text = rest ? json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text)
        return false;
    uLong value = crc32_z(0, (const Bytef *)text, strlen(text));
    (void)snprintf(crc, CRC_BYTES, "%08lx", value & 0xffffffffUL);
    return true;
}

int checkpoint_save(const char *path, const char *stage, const char *key,
                    const struct checkpoint *checkpoint, struct failure *failure) {
    CLEANUP_JSON json_t *envelope = json_pack(
        "{s:i,s:s,s:s,s:O,s:O,s:O}", "version", VERSION, "stage", stage, "key", key, "object",
        checkpoint->object, "files", checkpoint->files, "measured", checkpoint->measured);
    char crc[CRC_BYTES];
    if (!envelope || !*key || !crc_of(envelope, crc) ||
        json_object_set_new(envelope, "crc", json_string(crc)) < 0)
        return failure_set(failure, -ENOMEM, "no memory to write %s", path);
    return atomic_file_write_json(path, envelope, failure);
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int checkpoint_load(const char *path, const char *stage, const char *key, struct checkpoint *ret,
                    struct failure *failure) {
    CLEANUP_JSON json_t *envelope = NULL;
    struct failure unreadable = {0};
    int r = json_read_file(path, MAX_BYTES, &envelope, &unreadable);
    if (r == -ENOENT)
        return failure_set(failure, -ENOENT, "%s does not exist", path);
    if (r < 0)
        return failure_set(failure, -EBADMSG, "%s", unreadable.text);
    char crc[CRC_BYTES];
    if (!crc_of(envelope, crc))
        return failure_set(failure, -ENOMEM, "no memory to check %s", path);
    struct checkpoint loaded = {.object = json_object_get(envelope, "object"),
                                .files = json_object_get(envelope, "files"),
                                .measured = json_object_get(envelope, "measured")};
    if (strcmp(crc, text_of(envelope, "crc")) != 0 || !json_is_object(loaded.object) ||
        !json_is_array(loaded.files) || !json_is_object(loaded.measured))
        return failure_set(failure, -EBADMSG, "%s is damaged", path);
    if (json_integer_value(json_object_get(envelope, "version")) != VERSION || !*key ||
        strcmp(text_of(envelope, "stage"), stage) != 0 ||
        strcmp(text_of(envelope, "key"), key) != 0)
        return failure_set(failure, -ESTALE, "%s belongs to other inputs or parameters", path);
    *ret = (struct checkpoint){json_incref(loaded.object), json_incref(loaded.files),
                               json_incref(loaded.measured)};
    return 0;
}

/* In one call: a file that is replaced in between is seen before or after, never mixed. */
static int look(const char *folder, const char *name, json_int_t *ret_size,
                json_int_t *ret_mtime_ns) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return -ENOMEM;
    struct stat status;
    if (stat(path, &status) < 0)
        return -errno;
    *ret_size = status.st_size;
    *ret_mtime_ns = (json_int_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return 0;
}

int checkpoint_add_file(json_t *files, const char *folder, const char *name,
                        struct failure *failure) {
    json_int_t size, mtime_ns;
    int r = look(folder, name, &size, &mtime_ns);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot look at %s/%s", folder, name);
    if (json_array_append_new(files, json_pack("{s:s,s:I,s:I}", "name", name, "size", size,
                                               "mtime_ns", mtime_ns)) < 0)
        return failure_set(failure, -ENOMEM, "no memory to list %s", name);
    return 0;
}

bool checkpoint_files_intact(const json_t *files, const char *folder, const char *name) {
    bool found = !name;
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        if (name && strcmp(text_of(file, "name"), name) != 0)
            continue;
        json_int_t size, mtime_ns;
        if (look(folder, text_of(file, "name"), &size, &mtime_ns) < 0 ||
            size != json_integer_value(json_object_get(file, "size")) ||
            mtime_ns != json_integer_value(json_object_get(file, "mtime_ns")))
            return false;
        found = true;
    }
    return found;
}
