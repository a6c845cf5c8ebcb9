/* Formats a failure; see failure.h. Text that does not fit is cut, never overrun: a cut sentence
 * with a long path still names the problem. */
#include "common/failure.h"

#include "common/names.h"

#include <stdarg.h>
#include <string.h>

static void format_text(struct failure *failure, int code, const char *format, va_list args) {
    failure->code = code;
    /* a result that does not fit is cut, which is all we can do with it */
    (void)vsnprintf(failure->text, sizeof(failure->text), format, args);
    names_drop_half(failure->text);
}

void failure_fill(struct failure *failure, int code, const char *format, ...) {
    if (!failure)
        return;
    va_list args;
    va_start(args, format);
    format_text(failure, code, format, args);
    va_end(args);
}

void failure_fill_errno(struct failure *failure, int code, const char *format, ...) {
    if (!failure)
        return;
    va_list args;
    va_start(args, format);
    format_text(failure, code, format, args);
    va_end(args);
    size_t used = strlen(failure->text);
    (void)snprintf(failure->text + used, sizeof(failure->text) - used, ": %s", strerror(-code));
}
