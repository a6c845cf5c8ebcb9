#!/usr/bin/env python3
# timeout: 600
"""What verification sees: a part of the tissue that moved, a pattern of the camera in both images,
and how well a good map is known."""
import os
import random
import sys
from array import array
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile

WIDTH, HEIGHT = 1200, 900
DRAWN = ["--grey", "--bits", "8", "--size", f"{WIDTH}x{HEIGHT}", "--noise", "0.005"]
# the search is not what is looked at here
NARROW = {"angle_range": 15, "scale_min": 0.95, "scale_max": 1.1}


def draw(t, *options):
    subprocess.run([GENERATE, *DRAWN, *options, "--truth", t.folder / "truth.json", t.raw, "S",
                    "D"], check=True)
    return [t.raw / "S" / f"S_{which}_D.tif" for which in ("pre", "post")]


def change_pixels(path, change):
    """change: takes all pixels, row after row, and returns as many."""
    tiff = TiffFile(path)
    strips = list(zip(tiff.tags[273], tiff.tags[279]))
    pixels = array("B", b"".join(tiff.bytes[start:start + count] for start, count in strips))
    data = change(pixels).tobytes()
    with open(path, "r+b") as file:
        for start, count in strips:
            file.seek(start)
            file.write(data[:count])
            data = data[count:]


def align(t, params=NARROW):
    task = {"v": 1, "task": "S/D", "out": str(t.out / "S" / "D"), "threads": 2, "params": params,
            "pre": str(t.raw / "S" / "S_pre_D.tif"), "post": str(t.raw / "S" / "S_post_D.tif")}
    ran = subprocess.run([WORKER, "align"], input=json.dumps(task), text=True, capture_output=True,
                         check=False)
    expect(ran.returncode, 0, f"exit status ({ran.stderr})")
    return json.loads((t.out / "S" / "D" / "transform.json").read_text())


def expect_doubt(transform, words):
    expect(transform["status"], "doubtful", transform["reason"])
    assert words in transform["reason"], transform["reason"]


@test("a good map: planted shifts are measured back, and the error bar holds what is known")
def _(t):
    draw(t, "--rotation", "5", "--scale", "1.02", "--shift", "21.3,-8.6", "--objects", "0.05")
    transform = align(t)
    expect(transform["status"], "aligned", transform["reason"])
    planted, error = transform["planted_shift"], transform["error_px"]
    assert abs(planted["slope_x"] - 1) < 0.01 and abs(planted["slope_y"] - 1) < 0.01, planted
    assert planted["following"] > 0.9 * planted["tiles"] > 0, planted
    assert 0 < error["tissue"] < 0.3 and error["offset"] <= error["tissue"], error
    expect(len(error["corners"]), 4, "corners")
    # the bar is about what it claims to be about: the truth is inside of it, or nearly
    truth = json.loads((t.folder / "truth.json").read_text())["post_to_pre"]
    for (x, y), radius in zip([(0, 0), (WIDTH - 1, 0), (WIDTH - 1, HEIGHT - 1), (0, HEIGHT - 1)],
                              error["corners"]):
        off = [sum(a * b for a, b in zip(transform["post_to_pre"][row], (x, y, 1))) -
               sum(a * b for a, b in zip(truth[row], (x, y, 1))) for row in (0, 1)]
        assert abs(complex(*off)) < 2 * radius + 0.05, (off, radius)


@test("a part of the tissue that moved by 12 px is told, and where it is")
def _(t):
    _, post = draw(t, "--rotation", "3", "--shift", "10,5")
    first, down = 820, 12

    def move_right_side(pixels):
        moved = array("B", pixels)
        for y in range(down, HEIGHT):
            moved[y * WIDTH + first:(y + 1) * WIDTH] = \
                pixels[(y - down) * WIDTH + first:(y - down + 1) * WIDTH]
        return moved
    change_pixels(post, move_right_side)
    transform = align(t)
    expect_doubt(transform, "moved separately")
    assert "right" in transform["reason"], transform["reason"]
    assert 11 < transform["evidence"]["elsewhere_px"] < 13, transform["evidence"]


def add_pattern(t, paths, deviation):
    """The same hot and cold pixels in both."""
    rng = random.Random(4)
    pattern = [rng.gauss(0, deviation) for _ in range(WIDTH * HEIGHT)]
    for path in paths:
        change_pixels(path, lambda pixels: array("B", (
            min(255, max(0, int(value + more))) for value, more in zip(pixels, pattern))))


@test("other tissue of the same outline, behind the same pattern of the camera")
def _(t):
    add_pattern(t, draw(t, "--kind", "replaced", "--seed", "902"), 15)
    expect_doubt(align(t), "pattern of the camera")


@test("tissue that moved behind a strong pattern of the camera, which did not")
def _(t):
    add_pattern(t, draw(t, "--shift", "5,-3", "--seed", "904"), 25)
    transform = align(t)
    shift = [transform["post_to_pre"][row][2] for row in (0, 1)]
    if transform["status"] == "aligned": # then to the tissue
        assert abs(shift[0] - 5) < 1 and abs(shift[1] + 3) < 1, transform
    else:
        expect_doubt(transform, "pattern of the camera")


@test("islands of tissue with the same outlines and other content")
def _(t):
    for seed in ("7002", "7007"):  # the first has many agreeing tiles, the other corners like grains
        draw(t, "--kind", "replaced", "--scene", "islands", "--seed", seed, "--rotation", "6",
             "--objects", "0.02")
        transform = align(t)
        expect(transform["status"], "doubtful", transform["reason"])


@test("a lattice with a few holes, which fits a period on as well, is not aligned")
def _(t):
    draw(t, "--kind", "defects", "--seed", "920370204", "--size", "1600x1250", "--bits", "16",
         "--rotation", "176.93", "--scale", "1.22861", "--shear", "-0.0045", "--perspective",
         "-0.0049", "--shift", "13.77%,16.59%", "--gain", "0.3456", "--gamma", "1.135", "--offset",
         "0.01", "--noise", "0", "--photons", "4190", "--read-noise", "0.0077", "--objects", "0.092")
    expect_doubt(align(t, {}), "the same everywhere")


@test("a pair that is in place already, without a pattern, is aligned")
def _(t):
    draw(t, "--objects", "0.03")
    transform = align(t)
    expect(transform["status"], "aligned", transform["reason"])
    assert transform["evidence"]["still"], transform["evidence"]


run_tests()
