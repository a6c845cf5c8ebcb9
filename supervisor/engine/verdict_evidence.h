/* The raw facts behind a verdict, as the ledger keeps them: registrar-ledger(5) lists the members.
 */
#ifndef SUPERVISOR_ENGINE_VERDICT_EVIDENCE_H
#define SUPERVISOR_ENGINE_VERDICT_EVIDENCE_H

#include "supervisor/engine/verdict.h"

/* Caller owns; NULL when out of memory. */
json_t *verdict_evidence_make(const struct verdict_facts *facts, enum verdict verdict);

enum { VERDICT_EVIDENCE_SIGNAL_BYTES = 24 };
/* "SIGKILL", or "signal 40". Returns text. */
const char *verdict_evidence_signal(int number, char text[VERDICT_EVIDENCE_SIGNAL_BYTES]);

#endif
