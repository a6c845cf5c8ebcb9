/* See ledger_identity.h. A boot id that cannot be read is an error and no default: processes are
 * told apart over a restart by it. */
#include "supervisor/ledger/ledger_identity.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

static bool is_uuid(const char *text) {
    for (size_t i = 0; i < LEDGER_IDENTITY_BOOT_BYTES - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i]))
            return false;
    }
    return true;
}

int ledger_identity_boot(const char *file, char ret[LEDGER_IDENTITY_BOOT_BYTES],
                         struct failure *failure) {
    char text[64] = "";
    CLEANUP_FCLOSE FILE *stream = fopen(file, "re");
    if (!stream)
        return failure_set_errno(failure, -errno, "cannot read the machine's boot id from %s",
                                 file);
    size_t n = fread(text, 1, sizeof(text) - 1, stream);
    if (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
    if (n != LEDGER_IDENTITY_BOOT_BYTES - 1 || !is_uuid(text))
        return failure_set(failure, -EINVAL, "%s does not hold a boot id; is /proc mounted?", file);
    memcpy(ret, text, LEDGER_IDENTITY_BOOT_BYTES);
    return 0;
}

int ledger_identity_make(char ret[LEDGER_IDENTITY_ID_BYTES], struct failure *failure) {
    unsigned char bytes[(LEDGER_IDENTITY_ID_BYTES - 1) / 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return failure_set_errno(failure, -EIO, "the kernel gives no random bytes");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

bool ledger_identity_is_valid(const char *text) {
    if (!text || strlen(text) != LEDGER_IDENTITY_ID_BYTES - 1)
        return false;
    for (; *text; text++)
        if (!is_hex(*text))
            return false;
    return true;
}
