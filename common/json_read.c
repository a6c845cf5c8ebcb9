/* See json_read.h. jansson does the parsing; here stand the types, ranges and sentences. */
#include "common/json_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int json_read_open(const char *path, size_t max_bytes, FILE **ret, struct failure *failure) {
    CLEANUP_FCLOSE FILE *file = fopen(path, "re");
    if (!file)
        return failure_set_errno(failure, -errno, "cannot read %s", path);
    struct stat status;
    if (fstat(fileno(file), &status) < 0)
        return failure_set_errno(failure, -errno, "cannot read %s", path);
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, -EINVAL, "%s is not a file", path);
    if ((uint64_t)status.st_size > max_bytes)
        return failure_set(failure, -EFBIG, "%s has %lld bytes; at most %zu are read", path,
                           (long long)status.st_size, max_bytes);
    *ret = STEAL_PTR(file);
    return 0;
}

int json_read_file(const char *path, size_t max_bytes, json_t **ret, struct failure *failure) {
    CLEANUP_FCLOSE FILE *file = NULL;
    json_error_t error;
    int r = json_read_open(path, max_bytes, &file, failure);
    if (r < 0)
        return r;
    json_t *value = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        return failure_set(failure, -EINVAL, "%s, line %d, column %d: %s", path, error.line,
                           error.column, error.text);
    *ret = value;
    return 0;
}

static int missing(const char *key, const char *where, struct failure *failure) {
    return failure_set(failure, -EINVAL, "%s: \"%s\" is missing", where, key);
}

int json_read_optional_string(const json_t *object, const char *key, const char *where,
                              const char **ret, struct failure *failure) {
    const json_t *value = json_object_get(object, key);
    if (!value)
        return 0;
    if (!json_is_string(value))
        return failure_set(failure, -EINVAL, "%s: \"%s\" must be a string", where, key);
    *ret = json_string_value(value);
    return 0;
}

int json_read_string(const json_t *object, const char *key, const char *where, const char **ret,
                     struct failure *failure) {
    if (!json_object_get(object, key))
        return missing(key, where, failure);
    return json_read_optional_string(object, key, where, ret, failure);
}

int json_read_optional_int(const json_t *object, const char *key, const char *where, int64_t low,
                           int64_t high, int64_t *ret, struct failure *failure) {
    const json_t *value = json_object_get(object, key);
    if (!value)
        return 0;
    if (!json_is_integer(value))
        return failure_set(failure, -EINVAL, "%s: \"%s\" must be a whole number", where, key);
    json_int_t number = json_integer_value(value);
    if (number < low || number > high)
        return failure_set(failure, -ERANGE,
                           "%s: \"%s\" is %" JSON_INTEGER_FORMAT "; it must lie in %lld to %lld",
                           where, key, number, (long long)low, (long long)high);
    *ret = number;
    return 0;
}

int json_read_int(const json_t *object, const char *key, const char *where, int64_t low,
                  int64_t high, int64_t *ret, struct failure *failure) {
    if (!json_object_get(object, key))
        return missing(key, where, failure);
    return json_read_optional_int(object, key, where, low, high, ret, failure);
}

int json_read_number(const json_t *object, const char *key, const char *where, double *ret,
                     struct failure *failure) {
    const json_t *value = json_object_get(object, key);
    if (!value)
        return missing(key, where, failure);
    if (!json_is_number(value))
        return failure_set(failure, -EINVAL, "%s: \"%s\" must be a number", where, key);
    *ret = json_number_value(value);
    return 0;
}

static void list_keys(const char *const *keys, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; keys[i] && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", keys[i]);
}

int json_read_known_keys(const json_t *object, const char *const *keys, const char *where,
                         struct failure *failure) {
    if (!json_is_object(object))
        return failure_set(failure, -EINVAL, "%s: must be an object", where);
    /* jansson iterates without changing the object, but its signature does not say so */
    for (void *at = json_object_iter((json_t *)object); at;
         at = json_object_iter_next((json_t *)object, at)) {
        const char *key = json_object_iter_key(at);
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (keys[i])
            continue;
        char allowed[512];
        list_keys(keys, allowed, sizeof(allowed));
        return failure_set(failure, -EINVAL, "%s: unknown key \"%s\"; known are %s", where, key,
                           allowed);
    }
    return 0;
}
