/* See tiff_map.h. A signal handler has no argument of ours, so the maps stand in a table of the
 * process, which is the one thing here that is global: slots are taken and given back by atomic
 * operations, and the handler only reads. It calls mmap and fstat, plain system calls on Linux.
 */
#include "worker/tiff/tiff_map.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_MAPS = 256 /* at once; a planar image has one per plane. Those above are not guarded */
};

struct tiff_map {
    char *bytes;
    size_t length;
    int fd;
    atomic_bool was_cut;
};

static _Atomic(struct tiff_map *) guarded[MAX_MAPS];

/* Puts zeros from the page on. False when the file still reaches there: then it is the disk. */
static bool replace_from(struct tiff_map *map, uintptr_t address) {
    struct stat status;
    const uintptr_t page_bytes = (uintptr_t)getpagesize();
    const uintptr_t offset = (address & ~(page_bytes - 1)) - (uintptr_t)map->bytes;
    if (fstat(map->fd, &status) < 0 || (uintptr_t)status.st_size > offset)
        return false;
    void *zeros = mmap(map->bytes + offset, map->length - offset, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    atomic_store(&map->was_cut, true);
    return zeros != MAP_FAILED;
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)context;
    const int saved = errno;
    const uintptr_t address = (uintptr_t)info->si_addr;
    bool mended = false;
    for (size_t i = 0; i < MAX_MAPS && !mended; i++) {
        struct tiff_map *map = atomic_load(&guarded[i]);
        if (map && address - (uintptr_t)map->bytes < map->length)
            mended = info->si_code == BUS_ADRERR && replace_from(map, address);
    }
    errno = saved;
    if (!mended)
        (void)signal(number, SIG_DFL); /* the same instruction faults again, and that ends us */
}

static void install_handler(void) {
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL); /* fails for no signal that exists */
}

struct tiff_map *tiff_map_open(int fd, size_t length) {
    install_handler(); /* again each time: a library may have put its own in place */
    struct tiff_map *map = calloc(1, sizeof(*map));
    if (!map)
        return NULL;
    void *bytes = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        free(map);
        return NULL;
    }
    map->bytes = bytes;
    map->length = length;
    map->fd = fd;
    for (size_t i = 0; i < MAX_MAPS; i++) {
        struct tiff_map *expected = NULL;
        if (atomic_compare_exchange_strong(&guarded[i], &expected, map))
            break;
    }
    return map;
}

void tiff_map_close(struct tiff_map *map) {
    if (!map)
        return;
    for (size_t i = 0; i < MAX_MAPS; i++) {
        struct tiff_map *expected = map;
        if (atomic_compare_exchange_strong(&guarded[i], &expected, NULL))
            break;
    }
    (void)munmap(map->bytes, map->length); /* fails only for a range that is not ours */
    free(map);
}

void *tiff_map_bytes(const struct tiff_map *map) { return map->bytes; }

bool tiff_map_was_cut(const struct tiff_map *map) { return atomic_load(&map->was_cut); }

void tiff_map_release(const struct tiff_map *map) {
    (void)madvise(map->bytes, map->length, MADV_DONTNEED);
}
