/* A task's memory.csv in few enough points to be drawn.
 *
 * Of each attempt: [number, [seconds, bytes, seconds, bytes, ...]], where a point is the sample
 * with the most memory of its stretch of time, so that no peak is lost; the first and the last
 * sample are kept. The seconds count from the attempt's start.
 */
#ifndef SUPERVISOR_PAGE_PAGE_SERIES_H
#define SUPERVISOR_PAGE_PAGE_SERIES_H

#include "common/cleanup.h"

#include <stddef.h>

enum { PAGE_SERIES_ATTEMPTS = 64 /* of a task, the last ones */ };

/* text is a memory.csv; lines that are none are passed over. An array, of at most max_points for
 * each attempt; caller owns. NULL: out of memory. */
json_t *page_series_parse(const char *text, size_t max_points);

#endif
