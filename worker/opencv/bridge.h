/* What the worker takes from OpenCV, as plain C.
 *
 * Buffers are the caller's (from tracked_alloc where they are large): OpenCV sees them through
 * headers, and what images it needs for itself come from there too. No exception leaves: every
 * function catches and returns a negative errno with a failure. OpenCV's own threads are switched
 * off, so results do not depend on the machine's cores; all functions may be called from several
 * threads at once.
 */
#ifndef WORKER_OPENCV_BRIDGE_H
#define WORKER_OPENCV_BRIDGE_H

#include "common/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The least size >= at_least that the Fourier transform is fast for (2^a 3^b 5^c, even). */
int bridge_dft_size(int at_least);

/* Two-dimensional Fourier transform of height x width complex numbers (interleaved), in place.
 * inverse: divided by width * height, so that forward then inverse is the identity. */
MUST_USE int bridge_dft(float *pixels, int width, int height, bool inverse,
                        struct failure *failure);

/* Gaussian blur, sigma in px, the edge repeated. source and ret may be the same. */
MUST_USE int bridge_blur(const float *source, int width, int height, double sigma, float *ret,
                         struct failure *failure);

enum { BRIDGE_DESCRIPTOR_BYTES = 128 };

/* A key point and what its surroundings look like, turned upright: a histogram of gradients. */
struct bridge_keypoint {
    double x, y; /* px; integers are pixel centres */
    double angle_rad;
    unsigned char descriptor[BRIDGE_DESCRIPTOR_BYTES];
};

/* SIFT key points (Lowe 2004) of an 8-bit image: the `most` strongest ones, strongest first. Needs
 * some 240 bytes a pixel. */
MUST_USE int bridge_keypoints(const unsigned char *pixels, int width, int height, size_t most,
                              struct bridge_keypoint *ret, size_t *ret_count,
                              struct failure *failure);

#ifdef __cplusplus
}
#endif

#endif
