/* cfitsio, loaded when FITS is asked for and not before: it brings two dozen libraries with it
 * (curl, GnuTLS, Kerberos, ...), which no other task shall start with, or have at hand.
 *
 * Functions have the names and types of fitsio.h: ffppr is fits_write_img, and so on.
 */
#ifndef WORKER_OUTPUT_FITS_LIBRARY_H
#define WORKER_OUTPUT_FITS_LIBRARY_H

#include "common/failure.h"

#include <fitsio.h>

#define FITS_LIBRARY_FUNCTIONS(each)                                                               \
    each(ffdkinit) each(ffcrimll) each(ffppr) each(ffflus) each(ffclos) each(ffgerr) each(ffcmsg)  \
        each(ffghadll) each(ffesum) each(ffmkys) each(ffpkys) each(ffpkls) each(ffplsw)            \
            each(ffpkyd) each(ffpkyj) each(ffphis) each(ffpcom)

struct fits_library {
#define FITS_LIBRARY_MEMBER(name) __typeof__(&(name)) name;
    FITS_LIBRARY_FUNCTIONS(FITS_LIBRARY_MEMBER)
#undef FITS_LIBRARY_MEMBER
};

/* Stays loaded to the end of the process. -ENOPKG: not installed. */
MUST_USE int fits_library_load(struct fits_library *ret, struct failure *failure);

#endif
