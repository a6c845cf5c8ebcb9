/* Do the images show the same things, or only the same outline?
 *
 * A map that the outline alone holds leaves what is inside apart: another section of the same
 * block, other tissue in the same frame. And a right map may have most of its tiles against it,
 * when tissue is missing in one image, or objects or noise hide it. So the tiles that agree are
 * asked what made them agree: their parts that are rich in structure of two directions in both
 * images (tile_parts.h), which an outline does not have: nuclei, grains, corners. With the right
 * map these coincide. A tile that agrees along an outline holds as many of them, but where content
 * was replaced half of these are strangers to one another, however many tiles agree.
 *
 * Some specimens have little but outlines: smooth bodies on smooth ground. There every part of
 * these tiles is asked that is clearly above the noise in both images, and how much of what one
 * shows the other does not explain: with the right map that is noise, where objects of one image
 * are few; behind shared outlines, what was replaced stays unexplained. They are blurred for that,
 * so that the noise is low and a body's edge wider than what the map leaves open.
 *
 * The tiles are taken where the map puts them, give or take REACH_PX, not where they are found: no
 * search among many places, so chance has no say in it.
 */
#ifndef WORKER_ALIGN_VERIFY_CONTENT_H
#define WORKER_ALIGN_VERIFY_CONTENT_H

#include "worker/align/verify_sample.h"

struct verify_content {
    int parts;          /* of agreeing tiles, rich in two directions; 0: nothing to see */
    double correlation; /* median over them */
    int clear;          /* of agreeing tiles, clearly above the noise; 200 at most */
    double
        unexplained; /* deviation of what is left there, of the noise; three quarters have less */
};

/* What the tiles of the sample show where the map puts them; measured into ret_shifts too, one for
 * each of the sample's cells. */
MUST_USE int verify_content_measure(const struct verify_scene *scene,
                                    const struct verify_sample *sample, struct tiles_span progress,
                                    struct tile_shift *ret_shifts, struct verify_content *ret,
                                    struct failure *failure);
/* The same from shifts that were measured: of sharp tiles, where grains coincide, and of blurred
 * ones, where noise hides little of what does not. answers: count of them, as the tiles. */
MUST_USE int verify_content_judge(const struct tile_shift *sharp, const struct tile_shift *blurred,
                                  const enum verify_answer *answers, size_t count,
                                  struct verify_content *ret, struct failure *failure);

#endif
