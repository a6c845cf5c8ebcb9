#!/usr/bin/env python3
# timeout: 600
"""Tissue that was deformed between the scans: the grid follows it, says so, and is only taken where
it is needed."""
import math
import os
import re
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile
from worker_run import *

# WAVES slow enough for the tiles of images this small
BENT = ["--rotation", "8", "--scale", "1.04", "--bend", "6", "--bend-waves", "1", "--noise", "0.004",
        "--grey"]
LARGE = (1500, 1200)


def man_page_function():
    """The Python function that the manual page gives to users, as it stands there."""
    text = (ROOT / "man" / "registrar-worker.1").read_text()
    names = {}
    exec(re.search(r"^def pre_place.*?(?=^\.Ed)", text, re.M | re.S).group(), names)
    return names["pre_place"]


pre_place = man_page_function()


def errors(transform, truth):
    return sorted(math.dist(pre_place(transform, *point), place)
                  for point, place in zip(truth["tissue_points"], truth["pre_points"]))


def mean(values):
    return sum(values) / len(values)


@test("a smooth deformation is followed to a fraction of a pixel, where an affine map is pixels off")
def _(t):
    images = pair(*BENT, size=LARGE)
    transform = align(t.out, images).json("transform.json")
    expect(transform["model"], "grid", "model")
    off = errors(transform, images.truth)
    assert mean(off) < 0.1, f"mean {mean(off):.3f} px"
    assert off[int(0.95 * len(off))] < 0.5, f"95 % {off[int(0.95 * len(off))]:.3f} px"
    residual = transform["residual_px"]
    assert residual["median"] < 0.2 and residual["tiles"] >= 24, residual
    affine = Run(t.folder / "affine", images, model="affine").end().json("transform.json")
    assert "grid" not in affine, affine
    assert mean(errors(affine, images.truth)) > 2, "an affine map does as well: the test says nothing"


@test("post_to_pre is the grid's best affine part over the tissue")
def _(t):
    images = pair(*BENT, size=LARGE)
    transform = align(t.out, images).json("transform.json")
    displaced = [(x, y, *(q - p for p, q in zip(pre_place({"post_to_pre": transform["post_to_pre"]},
                                                          x, y), pre_place(transform, x, y))))
                 for x, y in images.truth["tissue_points"]]
    for component in (2, 3):
        size = math.sqrt(mean([d[component] ** 2 for d in displaced]))
        shift = mean([d[component] for d in displaced])
        assert size > 1.5 and abs(shift) < 0.35 * size, f"mean {shift:.2f} of {size:.2f} px"


@test("the picture is what the transform says: pixel by pixel through the grid")
def _(t):
    images = pair(*BENT, size=LARGE)
    run = align(t.out, images, interpolation="nearest", pad=20)
    transform, aligned = run.json("transform.json"), run.tiff("aligned_pre.tiff")
    pre = TiffFile(images.pre)
    expect((aligned.width, aligned.height), (LARGE[0] + 40, LARGE[1] + 40), "size")
    seen = 0
    for y in range(-20, LARGE[1] + 20, 23):
        for x in range(-20, LARGE[0] + 20, 19):
            u, v = pre_place(transform, x, y)
            if min(abs(u % 1 - 0.5), abs(v % 1 - 0.5)) < 1e-6:
                continue  # the last bit decides
            inside = -0.5 <= u < pre.width - 0.5 and -0.5 <= v < pre.height - 0.5
            wanted = pre.pixel(math.floor(u + 0.5), math.floor(v + 0.5)) if inside else 0
            expect(aligned.pixel(x + 20, y + 20), wanted, f"pixel {x},{y}")
            seen += inside
    assert seen > 2000, f"only {seen} pixels compared"


@test("the same bytes from one thread and from three, and after a kill in mid-warp")
def _(t):
    images = pair(*BENT, size=LARGE)
    align(t.folder / "one", images, threads=1)
    align(t.folder / "three", images, threads=3)
    expect_same(t.folder / "one", t.folder / "three", "three threads")
    run = Run(t.out, images)
    run.until("warp")
    run.process.kill()
    run.end(-signal.SIGKILL)
    again = align(t.out, images)
    expect(again.resumed()[:5], STAGES[:5], "resumed stages")
    expect_same(t.out, t.folder / "one", "after a kill")


@test("an undeformed pair stays what it is, and a grid that is asked for does it no harm")
def _(t):
    images = pair(*PAIR, size=LARGE)
    plain = align(t.folder / "auto", images).json("transform.json")
    expect((plain["model"], "grid" in plain), ("similarity", False), "model")
    forced = align(t.folder / "grid", images, model="grid").json("transform.json")
    expect((forced["model"], "grid" in forced), ("grid", True), "model when asked for")
    for name, transform in (("auto", plain), ("grid", forced)):
        off = errors(transform, images.truth)
        assert mean(off) < 0.03 and off[-1] < 0.15, f"{name}: {mean(off):.3f}, at most {off[-1]:.3f}"


run_tests()
