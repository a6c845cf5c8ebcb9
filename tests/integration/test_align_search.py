#!/usr/bin/env python3
# timeout: 600
"""Where the post image is looked for: whatever the turn, however little is shared, in whichever
contrast, within the limits that were set; with the same bytes on one thread and on two."""
import math
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from worker_run import *

SIZE = (1500, 1200)
ALL_ROUND = {"angle_range": 180, "scale_min": 0.8, "scale_max": 1.25}


def checkpoint(out, stage):
    return json.loads((Path(out) / "checkpoints" / f"{stage}.json").read_text())["object"]


def miss_px(transform, truth):
    """The largest error over the truth's places in the tissue."""
    def place(m, x, y):
        w = m[2][0] * x + m[2][1] * y + m[2][2]
        return [(row[0] * x + row[1] * y + row[2]) / w for row in m[:2]]
    return max(math.dist(place(transform["post_to_pre"], x, y), place(truth["post_to_pre"], x, y))
               for x, y in truth["tissue_points"])


def invert(path):
    """Turns bright to dark in an uncompressed 8-bit TIFF, in place."""
    tags = TiffFile(path).tags
    pixels = bytearray(Path(path).read_bytes())
    for offset, count in zip(tags[273], tags[279]):
        strip = pixels[offset:offset + count]
        pixels[offset:offset + count] = bytes(255 - value for value in strip)
    Path(path).write_bytes(pixels)


@test("a sixth of the image is enough: key points find the place, whoever else does")
def _(t):
    images = pair("--seed", 218, "--rotation", -125.229, "--scale", 1.1693, "--shift",
                  "-55%,55%", "--gain", 0.438, "--noise", 0.0041, "--objects", 0.011, "--scene",
                  "islands", "--grey", size=SIZE)
    run = Run(t.folder / "out", images, **ALL_ROUND).end()
    transform = run.json("transform.json")
    assert "features" in transform["found_by"], (transform["found_by"], transform["reason"])
    assert transform["status"] != "failed", transform["reason"]
    error = miss_px(transform, images.truth)
    assert error < 0.5, f"off by {error:.2f} px"


@test("faint grains are found among holes of the one image and objects of the other")
def _(t):
    images = pair("--seed", 901880469, "--rotation", 324.207, "--scale", 1.05136, "--shear", 0.0115,
                  "--perspective", 0.0037, "--shift", "-14.5%,11.2%", "--gain", 0.4487, "--gamma",
                  1.398, "--offset", 0.049, "--noise", 0, "--photons", 4745, "--read-noise", 0.0073,
                  "--blur-pre", 0.75, "--objects", 0.169, "--missing-pre", 0.433, "--scene",
                  "nuclei", "--grey", "--bits", 16, size=(2956, 2239))
    run = align(t.folder / "out", images, **ALL_ROUND)
    transform = run.json("transform.json")
    expect(transform["found_by"], ["features"], "found by")
    error = miss_px(transform, images.truth)
    assert error < 0.5, f"off by {error:.2f} px"


@test("inverted contrast is found, as exactly as any, and said")
def _(t):
    options = ["--seed", 305, "--rotation", 100, "--scale", 1.05, "--shift", "5%,-4%", "--objects",
               0.03, "--missing", 0.1, "--noise", 0.01, "--scene", "rock", "--grey", "--bits", 8]
    images = pair(*options, size=SIZE)
    invert(images.post)
    run = align(t.folder / "out", images, **ALL_ROUND)
    transform = run.json("transform.json")
    expect(transform["contrast"], -1, "contrast")
    assert "bright in one image is dark in the other" in transform["reason"], transform["reason"]
    error = miss_px(transform, images.truth)
    assert error < 0.1, f"off by {error:.2f} px"


@test("no hypothesis lies beyond angle_range, scale_min and scale_max")
def _(t):
    images = pair("--rotation", 100, "--scale", 1.1, "--shift", "20,-30", size=SIZE)
    out = t.folder / "out"
    Run(out, images, angle_range=25, scale_min=0.95, scale_max=1.05).end()
    hypotheses = checkpoint(out, "search")["hypotheses"]
    assert hypotheses, "no hypotheses"
    for hypothesis in hypotheses:
        angle, scale = abs(hypothesis["angle_deg"]), hypothesis["scale"]
        if "features" in hypothesis["found_by"]:  # these may be a tenth larger or smaller
            assert angle <= 25.01 and 0.85 <= scale <= 1.16, hypothesis
        else:
            assert angle <= 25.01 and 0.949 <= scale <= 1.051, hypothesis
    expect(json.loads((out / "transform.json").read_text())["status"], "failed", "status")


@test("the search is the same on one thread and on two, and the pixel-size tags are used")
def _(t):
    images = pair("--rotation", -77, "--scale", 0.9, "--shift", "60,10", "--objects", 0.05,
                  "--missing", 0.4, size=SIZE)  # few enough in common: key points are asked too
    for path, density in ((images.pre, 9000), (images.post, 10000)):
        for tag, value in ((296, 3), (282, density), (283, density)):
            subprocess.run(["tiffset", "-s", str(tag), str(value), path], check=True)
    outs = [t.folder / str(threads) for threads in (1, 2)]
    for threads, out in zip((1, 2), outs):
        align(out, images, threads=threads, **ALL_ROUND)
    expect(checkpoint(outs[0], "search"), checkpoint(outs[1], "search"), "search on two threads")
    expect_same(outs[0], outs[1], "one thread and two")
    found_by = json.loads((outs[0] / "transform.json").read_text())["found_by"]
    for kind in ("correlation", "features", "pixel-size"):
        assert kind in found_by, f"{kind} is not in {found_by}"


@test("where the correlation stands out key points are not asked")
def _(t):
    images = pair("--rotation", 20, "--scale", 1.02, "--shift", "3%,-2%", size=SIZE)
    transform = align(t.folder / "out", images, **ALL_ROUND).json("transform.json")
    assert "features" not in transform["found_by"], transform["found_by"]
    error = miss_px(transform, images.truth)
    assert error < 0.1, f"off by {error:.2f} px"


run_tests()
