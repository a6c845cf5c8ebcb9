/* write(2) and pwrite(2) that go on until every byte is written: both may stop short, and a signal
 * may interrupt them. 0 or a negative errno; what was written before an error stays. For blocking
 * descriptors. */
#ifndef COMMON_WHOLE_WRITE_H
#define COMMON_WHOLE_WRITE_H

#include "common/cleanup.h"

#include <stdint.h>

MUST_USE int whole_write(int fd, const void *bytes, size_t length);
MUST_USE int whole_write_at(int fd, const void *bytes, size_t length, uint64_t offset);

#endif
