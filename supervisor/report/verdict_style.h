/* How a verdict is shown: the same colour wherever people meet it. */
#ifndef SUPERVISOR_REPORT_VERDICT_STYLE_H
#define SUPERVISOR_REPORT_VERDICT_STYLE_H

#include "supervisor/engine/verdict.h"
#include "supervisor/report/text.h"

enum text_style verdict_style(enum verdict verdict);
/* TEXT_PLAIN for what is no verdict's name. */
enum text_style verdict_style_named(const char *name);

#endif
