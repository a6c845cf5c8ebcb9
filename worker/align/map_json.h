/* A map in JSON: three rows of three numbers, the last one 1, as in transform.json. */
#ifndef WORKER_ALIGN_MAP_JSON_H
#define WORKER_ALIGN_MAP_JSON_H

#include "common/failure.h"
#include "worker/align/map.h"

/* Caller owns the value; NULL when out of memory. h[8] must not be 0. */
json_t *map_json_write(const struct map *map);
/* where: what the complaint starts with. */
MUST_USE int map_json_read(const json_t *rows, const char *where, struct map *ret,
                           struct failure *failure);

#endif
