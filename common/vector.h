/* Vectors of the compiler's own kind, for what it does not make of a loop by itself: sums, whose
 * order it must keep. With them the order is ours, and the same on every machine. */
#ifndef COMMON_VECTOR_H
#define COMMON_VECTOR_H

#include <string.h>

/* A second body of a static function (clang gives an exported one another name) for machines with
 * AVX2, chosen at load time. No fused multiply-add is used: both bodies give the same bytes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VECTOR_CLONES /* the chooser would run before gcc's sanitizers are ready */
#else
#define VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#endif

#define VECTOR_INLINE static inline __attribute__((always_inline))

typedef float vec4f __attribute__((vector_size(16)));
typedef float vec8f __attribute__((vector_size(32)));
typedef double vec4d __attribute__((vector_size(32)));

/* Unaligned loads and stores go through memcpy, which compiles to one instruction. */
VECTOR_INLINE vec4f vec4f_load(const float *from) {
    vec4f value;
    memcpy(&value, from, sizeof(value));
    return value;
}

VECTOR_INLINE void vec4f_store(float *to, vec4f value) { memcpy(to, &value, sizeof(value)); }

VECTOR_INLINE vec4f vec4f_splat(float value) { return (vec4f){value, value, value, value}; }

/* Macros, since vectors of 32 bytes are no arguments on machines without AVX. */
#define VEC4D_LOAD(from) __builtin_convertvector(vec4f_load(from), vec4d)
#define VEC4D_SUM(v) (((v)[0] + (v)[1]) + ((v)[2] + (v)[3]))

#endif
