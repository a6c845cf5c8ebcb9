/* An exposure of the specimen: the brightness of any pixel of an image of it, block by block. */
#ifndef TESTS_TOOLS_SCENE_RENDER_H
#define TESTS_TOOLS_SCENE_RENDER_H

#include "tests/tools/scene/bend.h"
#include "tests/tools/scene/matrix.h"
#include "tests/tools/scene/scene.h"

enum { RENDER_BLOCK_PX = 64 };

/* How one image sees the scene. Borrows scene. Safe from several threads. */
struct view {
    const struct scene *scene;
    struct matrix to_scene; /* pixels in the order on disk to the scene's frame */
    struct bend bend;       /* applied after that */
    double exposure;        /* brightness is multiplied by it */
    double gamma, offset;   /* then raised to gamma, and offset added */
    double blur;            /* px: standard deviation of the optics' blur */
    bool pure_noise;        /* no specimen at all */
};

/* Brightness (0 to 1, without noise) of the block of w x h pixels, at most RENDER_BLOCK_PX each
 * way, whose corner is (x0, y0); row i begins at ret + i * stride. */
void render_block(const struct view *view, int x0, int y0, int w, int h, float *ret, size_t stride);

#endif
