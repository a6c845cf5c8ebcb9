/* The version of both programs. */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define REGISTRAR_VERSION "0.1.0"

#endif
