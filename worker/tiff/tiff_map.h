/* A file mapped for reading that somebody else may cut short meanwhile.
 *
 * The kernel then answers the touch of a page that is gone with SIGBUS (mmap(2)). Here such a page
 * reads as zeros, as does all behind it, and the map remembers: whoever decodes from it fails with
 * a sentence in place of a crash. A SIGBUS anywhere else, or from a broken disk while the file has
 * its length, is as fatal as ever.
 */
#ifndef WORKER_TIFF_TIFF_MAP_H
#define WORKER_TIFF_TIFF_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct tiff_map;

/* Maps the first `length` bytes of fd, which it borrows until tiff_map_close. NULL: it cannot be
 * mapped. */
struct tiff_map *tiff_map_open(int fd, size_t length);
void tiff_map_close(struct tiff_map *map); /* NULL is fine */

void *tiff_map_bytes(const struct tiff_map *map);
bool tiff_map_was_cut(const struct tiff_map *map);
/* Gives the pages that were read back to the kernel: a hint. */
void tiff_map_release(const struct tiff_map *map);

#endif
