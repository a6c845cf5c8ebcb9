#!/usr/bin/env python3
"""The generator is what the aligner is judged by, so first of all it is judged itself."""
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile


def load_pair(t, sample, dye):
    folder = t.raw / sample
    return [TiffFile(folder / f"{sample}_{which}_{dye}.tif") for which in ("pre", "post")]


def apply(m, x, y):
    w = m[2][0] * x + m[2][1] * y + m[2][2]
    return ((m[0][0] * x + m[0][1] * y + m[0][2]) / w,
            (m[1][0] * x + m[1][1] * y + m[1][2]) / w)


def relative_difference(pre, post, truth, shift=0.0):
    """Mean of |post - gain pre(map)| over the mean of post, at the places in the tissue."""
    total = off = 0.0
    for x, y in truth["tissue_points"]:
        px, py = apply(truth["post_to_pre"], x, y)
        value = pre.linear(px + shift, py)
        if value is not None:
            there = post.pixel(int(x), int(y))
            total += there
            off += abs(there - truth["gain"] * value)
    return off / total


@test("the truth's map takes post to pre, to a fraction of a pixel")
def _(t):
    truth = t.generate("S", "D", "--grey", "--bits", 16, "--size", "900x700", "--rotation", 14,
                       "--scale", 1.07, "--shift", "4%,-12.25", "--shear", 0.02, "--perspective",
                       0.01, "--gain", 0.6, "--noise", 0, "--seed", 3)
    pre, post = load_pair(t, "S", "D")
    right = relative_difference(pre, post, truth)
    wrong = relative_difference(pre, post, truth, shift=1.0)
    assert right < 0.006, f"differs by {right}"
    assert wrong > 5 * right, f"one pixel aside it differs by only {wrong}, here by {right}"


@test("post-only objects and missing tissue change the share asked for")
def _(t):
    def changed(*options):
        truth = t.generate("S", "D", "--grey", "--bits", 16, "--size", "1000x800", "--noise", 0,
                           *options)
        pre, post = load_pair(t, "S", "D")
        points = truth["tissue_points"]
        return sum(abs(post.pixel(int(x), int(y)) / pre.pixel(int(x), int(y)) - 1) > 0.1
                   for x, y in points) / len(points)
    expect(changed(), 0, "nothing asked for")
    assert 0.02 < changed("--objects", 0.05) < 0.2
    assert 0.1 < changed("--missing", 0.3) < 0.5
    assert 0.1 < changed("--missing-pre", 0.3) < 0.5
    assert 0.2 < changed("--missing", 0.3, "--torn") < 0.4


@test("every kind of scene is exact under a map, and unlike the others")
def _(t):
    means = set()
    for scene in ("tissue", "nuclei", "islands", "fibres", "blobs", "rock"):
        truth = t.generate("S", scene, "--grey", "--bits", 16, "--size", "600x450", "--rotation",
                           141, "--scale", 0.9, "--shift", "8%,5%", "--noise", 0, "--scene", scene)
        pre, post = load_pair(t, "S", scene)
        right = relative_difference(pre, post, truth)
        assert right < 0.01, f"{scene} differs by {right}"
        means.add(sum(post.pixel(x, 225) for x in range(600)))
    expect(len(means), 6, "scenes")


@test("shot noise has the variance of counted photons")
def _(t):
    t.generate("S", "D", "--grey", "--bits", 16, "--size", "300x300", "--kind", "blank", "--gain",
               0.5, "--noise", 0, "--photons", 400)
    post = load_pair(t, "S", "D")[1]
    values = [post.pixel(x, y) / 65535 for y in range(300) for x in range(300)]
    mean = sum(values) / len(values)
    differences = [a - b for a, b in zip(values, values[1:])]
    # dust and the slide's glow change slowly; half the spread of neighbours is the noise
    differences.sort()
    half = len(differences) // 4
    spread = (differences[-half] - differences[half]) / 1.349 / math.sqrt(2)
    assert 0.75 < spread ** 2 / (mean / 400) < 1.3, f"{spread ** 2} at mean {mean}"


@test("every layout holds the same pixels")
def _(t):
    common = ["--rgb", "--colour", "0,1,0.5", "--size", "333x270", "--rotation", 5]
    layouts = {"strips": [], "onestrip": ["--layout", "onestrip"], "tiles": ["--layout", "tiles"],
               "planar": ["--planar"], "planartiles": ["--planar", "--layout", "tiles"],
               "big": ["--bigtiff", "--big-endian"], "deflate": ["--compression", "deflate"],
               "rows": ["--rows-per-strip", 7]}
    for name, options in layouts.items():
        t.generate("S", name, *common, *options)
    for which in (0, 1):
        first = load_pair(t, "S", "strips")[which]
        for name in layouts:
            other = load_pair(t, "S", name)[which]
            for i in range(0, 333 * 270, 17):
                x, y = i % 333, i // 333
                for sample in range(3):
                    expect(other.pixel(x, y, sample), first.pixel(x, y, sample), f"{name} {x},{y}")
    expect(load_pair(t, "S", "big")[0].order, ">", "byte order")
    assert load_pair(t, "S", "big")[0].is_big


@test("every orientation shows the same upright image")
def _(t):
    width, height = 200, 150
    stored = {1: lambda x, y: (x, y), 2: lambda x, y: (width - 1 - x, y),
              3: lambda x, y: (width - 1 - x, height - 1 - y), 4: lambda x, y: (x, height - 1 - y),
              5: lambda x, y: (y, x), 6: lambda x, y: (y, width - 1 - x),
              7: lambda x, y: (height - 1 - y, width - 1 - x),
              8: lambda x, y: (height - 1 - y, x)}
    for orientation in stored:
        t.generate("S", f"o{orientation}", "--grey", "--size", f"{width}x{height}", "--noise", 0,
                   "--orientation", orientation)
    upright = load_pair(t, "S", "o1")[1]
    for orientation, place in stored.items():
        image = load_pair(t, "S", f"o{orientation}")[1]
        expect(image.orientation, orientation, "the tag")
        for i in range(0, width * height, 7):
            x, y = i % width, i // width
            difference = abs(image.pixel(*place(x, y)) - upright.pixel(x, y))
            assert difference <= 1, f"orientation {orientation} at {x},{y}: off by {difference}"


@test("pairs that cannot align say so in the truth")
def _(t):
    for kind in ("unrelated", "replaced", "mirrored", "periodic", "blank", "noise", "defects",
                 "empty", "static"):
        truth = t.generate("S", kind, "--grey", "--size", "400x300", "--kind", kind)
        expect((truth["kind"], truth["alignable"]), (kind, False), "truth")


@test("a wrong option is named")
def _(t):
    for arguments, said in ((["--bits", "12"], "--bits 12: 8 or 16"),
                            (["--kind", "odd"], "--kind odd: unknown"),
                            (["--planar", "--grey"], "--planar: takes --rgb"),
                            (["--size"], "--size: unknown, or its value is missing")):
        ran = subprocess.run([GENERATE, t.raw, "S", "D", *arguments], capture_output=True,
                             text=True, check=False)
        expect(ran.returncode, 2, "exit status")
        expect_in(said, ran.stderr)


run_tests()
