/* The library's file is the one whose header this was compiled with; see fits_library.h. */
#include "worker/output/fits_library.h"

#include <dlfcn.h>
#include <errno.h>

#define TEXT(number) #number
#define TEXT_OF(macro) TEXT(macro)
#define LIBRARY "libcfitsio.so." TEXT_OF(CFITSIO_SONAME)

/* POSIX has it that a pointer to data may hold one to a function. */
static int find(void *library, const char *name, void *slot, struct failure *failure) {
    void *found = dlsym(library, name);
    if (!found)
        return failure_set(failure, -ENOPKG, "%s has no function %s; use format=tiff", LIBRARY,
                           name);
    *(void **)slot = found;
    return 0;
}

int fits_library_load(struct fits_library *ret, struct failure *failure) {
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return failure_set(failure, -ENOPKG,
                           "FITS files are written by cfitsio, which cannot be loaded (%.300s); "
                           "install it, or use format=tiff",
                           why ? why : LIBRARY);
    }
    int r = 0;
#define FIND(name)                                                                                 \
    if (r == 0)                                                                                    \
        r = find(library, #name, &ret->name, failure);
    FITS_LIBRARY_FUNCTIONS(FIND)
#undef FIND
    return r;
}
