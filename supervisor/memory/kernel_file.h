/* The small text files of /proc and /sys: a number, or "name number" lines. What is missing, cut
 * short, negative or too large is no value. */
#ifndef SUPERVISOR_MEMORY_KERNEL_FILE_H
#define SUPERVISOR_MEMORY_KERNEL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KERNEL_FILE_BYTES = 16 * 1024 };

/* Reads at most size - 1 bytes of folder/name as a terminated text. False when it cannot be read or
 * is empty. */
bool kernel_file_read(const char *folder, const char *name, char *text, size_t size);
/* The file's first word as a number; "max" is none. */
bool kernel_file_read_u64(const char *folder, const char *name, uint64_t *ret);
/* The number behind a key that begins a line: "MemAvailable:   123 kB", "inactive_file 4096". */
bool kernel_file_find_u64(const char *text, const char *key, uint64_t *ret);
/* A decimal number at the start of text, followed by white space or the end. */
bool kernel_file_parse_u64(const char *text, uint64_t *ret);

#endif
