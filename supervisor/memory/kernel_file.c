/* See kernel_file.h. A line without its line break may have been cut inside the number, so the last
 * line of a "name number" file counts only when it is whole. */
#include "supervisor/memory/kernel_file.h"

#include "common/names.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

bool kernel_file_read(const char *folder, const char *name, char *text, size_t size) {
    CLEANUP_FREE char *path = names_format("%s/%s", folder, name);
    CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    size_t used = 0;
    while (fd >= 0 && used < size - 1) {
        const ssize_t n = read(fd, text + used, size - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    return used > 0;
}

bool kernel_file_parse_u64(const char *text, uint64_t *ret) {
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false; /* strtoull would take "-1" */
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || (*end && !isspace((unsigned char)*end)))
        return false;
    *ret = value;
    return true;
}

bool kernel_file_read_u64(const char *folder, const char *name, uint64_t *ret) {
    char text[64];
    return kernel_file_read(folder, name, text, sizeof(text)) && kernel_file_parse_u64(text, ret);
}

bool kernel_file_find_u64(const char *text, const char *key, uint64_t *ret) {
    const size_t length = strlen(key);
    const char *end;
    for (const char *line = text; (end = strchr(line, '\n')); line = end + 1) {
        if (strncmp(line, key, length) != 0 || (line[length] != ' ' && line[length] != '\t'))
            continue;
        return kernel_file_parse_u64(line + length + strspn(line + length, " \t"), ret);
    }
    return false;
}
