/* What specimens are made of: for each kind of scene, layers of splats from the back to the front.
 */
#ifndef TESTS_TOOLS_SCENE_SCENE_RECIPE_H
#define TESTS_TOOLS_SCENE_SCENE_RECIPE_H

#include "tests/tools/scene/scene.h"

struct scene_recipe {
    enum splat_kind kind;
    bool relative;                  /* sizes are in shares of the image's shorter side */
    bool beyond_tissue;             /* lies anywhere */
    double spacing;                 /* of the lattice */
    int per_cell;                   /* candidates in each lattice cell */
    double presence;                /* chance of each */
    double clustering;              /* 0: everywhere alike; 1: in clusters only */
    double axis_low, axis_high;     /* long half axis */
    double aspect_low, aspect_high; /* short over long */
    double amplitude_low, amplitude_high;
    double wavelength_low, wavelength_high; /* SPLAT_GABOR, px */
    double scatter; /* of the direction about the scene's own, radians; 0: any direction */
};

struct scene_recipes {
    const struct scene_recipe *items;
    size_t count;
};

struct scene_recipes scene_recipe_layers(enum scene_kind kind);
/* Post-only objects, and holes in the tissue. */
extern const struct scene_recipe scene_recipe_object, scene_recipe_hole;
/* Identical cells at regular places; spacing_px is the lattice's. */
struct scene_recipe scene_recipe_lattice(double spacing_px);

#endif
