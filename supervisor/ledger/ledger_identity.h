/* Names for a ledger and for this boot of the machine. */
#ifndef SUPERVISOR_LEDGER_LEDGER_IDENTITY_H
#define SUPERVISOR_LEDGER_LEDGER_IDENTITY_H

#include "common/failure.h"

#include <stdbool.h>

#define LEDGER_IDENTITY_BOOT_FILE "/proc/sys/kernel/random/boot_id"

enum { LEDGER_IDENTITY_BOOT_BYTES = 37, LEDGER_IDENTITY_ID_BYTES = 33 };

/* The boot id (a UUID) from a file like LEDGER_IDENTITY_BOOT_FILE. */
MUST_USE int ledger_identity_boot(const char *file, char ret[LEDGER_IDENTITY_BOOT_BYTES],
                                  struct failure *failure);
/* A new random name: 32 hex digits. */
MUST_USE int ledger_identity_make(char ret[LEDGER_IDENTITY_ID_BYTES], struct failure *failure);
/* Whether text has that shape. NULL has not. */
bool ledger_identity_is_valid(const char *text);

#endif
