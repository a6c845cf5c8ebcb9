/* A map and a table of points of any bytes: refused with a sentence, or moved, there and back. The
 * input is the map's text, a zero byte, and the table. */
#include "worker/apply/apply_map.h"
#include "worker/apply/apply_points.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_bytes(const char *name, const uint8_t *bytes, size_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    return fd;
}

/* Both ways; what is moved must be read again. */
static void move(const struct apply_map *map, int table, bool is_inverse) {
    struct apply_task task = {.transform = "t.json", .points = "p.csv", .is_inverse = is_inverse};
    struct apply_points_counts counts = {0}, again = {0};
    struct failure failure = {0};
    CLEANUP_CLOSE int moved = memfd_create("moved", MFD_CLOEXEC);
    CLEANUP_CLOSE int twice = memfd_create("twice", MFD_CLOEXEC);
    if (lseek(table, 0, SEEK_SET) < 0)
        abort();
    if (apply_points_run(&task, map, table, moved, NULL, &counts, &failure) < 0) {
        if (!failure.text[0])
            abort();
        return;
    }
    if (counts.unmapped > 0 || lseek(moved, 0, SEEK_SET) < 0)
        return; /* empty fields are no numbers */
    if (apply_points_run(&task, map, moved, twice, NULL, &again, &failure) < 0 ||
        again.points != counts.points)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = memchr(data, 0, size);
    const size_t length = zero ? (size_t)(zero - data) : size;
    const size_t rest = zero ? size - length - 1 : 0;
    char path[64];
    struct apply_map map;
    struct failure failure = {0};
    CLEANUP_CLOSE int text = open_bytes("map", data, length);
    CLEANUP_CLOSE int table = open_bytes("table", data + (zero ? length + 1 : length), rest);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", text);
    if (apply_map_read(path, &map, &failure) == 0) {
        move(&map, table, true);
        move(&map, table, false);
    } else if (!failure.text[0]) {
        abort();
    }
    return 0;
}
