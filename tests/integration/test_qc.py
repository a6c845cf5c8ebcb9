#!/usr/bin/env python3
"""The quality pictures: that each shows what its title says, by the colours of pixels."""
# timeout: 600
import atexit
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from png_file import PngFile
from worker_run import *

ALL = ["overlay.png", "residuals.png", "tiles.png", "difference.png", "density.png", "excess.png",
       "log_ratio.png", "histograms.png", "difference_histogram.png", "blink_post.png",
       "blink_pre.png"]
ALIKE = ["--rotation", "6", "--shift", "30,-20", "--gain", "1.4"]
# of overlay.png at this size: worker/qc/qc_overlay.c
PANEL = (560, 448)
LEFT, GAP, TOP = 76, 76, 98


_aligned = {}


def aligned(t, *options):
    """t.out with a finished task of this pair, which is aligned once."""
    if options not in _aligned:
        _aligned[options] = Path(tempfile.mkdtemp(prefix="registrar-qc-")) / "out"
        atexit.register(shutil.rmtree, _aligned[options].parent, ignore_errors=True)
        align(_aligned[options], pair(*options))
    shutil.copytree(_aligned[options], t.out)  # with the times that checkpoints know
    return t.out


def listed(out):
    qc = json.loads((Path(out) / "qc" / "qc.json").read_text())
    expect(qc["version"], 1, "version")
    for picture in qc["pictures"]:
        png = PngFile(Path(out) / "qc" / picture["name"])
        expect((png.width, png.height), (picture["width"], picture["height"]),
               f"size of {picture['name']}")
        assert picture["title"] and picture["says"].endswith("."), f"{picture}"
    names = [picture["name"] for picture in qc["pictures"]]
    expect(sorted([*names, "qc.json"]), sorted(os.listdir(Path(out) / "qc")), "files")
    return names


def fringes(png, left):
    """Mean distance of red and green over the bright pixels of one half of the overlay."""
    total = n = 0
    for y in range(TOP + 4, TOP + PANEL[1] - 4, 3):
        for x in range(left + 4, left + PANEL[0] - 4, 3):
            red, green, _ = png.pixel(x, y)
            if max(red, green) > 100:
                total += abs(red - green)
                n += 1
    assert n > 1000, f"only {n} bright pixels"
    return total / n


@test("all pictures of a good pair are there, listed, and of the size that is told")
def _(t):
    expect(listed(aligned(t, *PAIR)), ALL, "pictures")


@test("the overlay has fringes before and none after; magenta is post, green is pre")
def _(t):
    out = aligned(t, *ALIKE)
    png = PngFile(out / "qc" / "overlay.png")
    before, after = fringes(png, LEFT), fringes(png, LEFT + PANEL[0] + GAP)
    assert after < 10 < 30 < before, f"fringes of {before:.0f} before and {after:.0f} after"
    for y in range(TOP, TOP + PANEL[1], 7):
        for x in range(LEFT, LEFT + PANEL[0], 7):
            red, _, blue = png.pixel(x, y)
            assert abs(red - blue) <= 1, f"neither magenta, green nor grey at {x},{y}"


@test("the two images to be flickered are grey, of one size, and alike where both show something")
def _(t):
    out = aligned(t, *ALIKE)
    post, pre = (PngFile(out / "qc" / f"blink_{which}.png") for which in ("post", "pre"))
    expect((post.width, post.height), (SIZE[0], SIZE[1]), "size of blink_post.png")
    expect((pre.width, pre.height), (post.width, post.height), "size of blink_pre.png")
    expect((post.channels, pre.channels), (1, 1), "channels")
    both = [(post.pixel(x, y)[0], pre.pixel(x, y)[0])
            for y in range(SIZE[1] // 4, SIZE[1] * 3 // 4, 5)
            for x in range(SIZE[0] // 4, SIZE[0] * 3 // 4, 5)]
    mean = sum(abs(a - b) for a, b in both) / len(both)
    assert mean < 8, f"they differ by {mean:.1f} of 255 on average"


@test("the difference of images that are alike is the colour of zero, and grey outside pre")
def _(t):
    out = aligned(t, *ALIKE, "--objects", "0.03")
    png = PngFile(out / "qc" / "difference.png")
    pixels = [png.pixel(x, y) for y in range(100, 700, 4) for x in range(100, 900, 4)]
    middle = sum(min(p) > 225 for p in pixels) / len(pixels)
    red = sum(p[0] > p[2] + 60 for p in pixels) / len(pixels)
    blue = sum(p[2] > p[0] + 60 for p in pixels) / len(pixels)
    assert middle > 0.7, f"only {middle:.0%} are near zero"
    assert red > 0.005 > blue, f"post's own objects: {red:.2%} red, {blue:.2%} blue"
    assert (0xb4, 0xb4, 0xb4) in pixels, "no pixel is marked as outside of pre"


@test("a doubtful pair has those that reasons and advice name, whatever its format")
def _(t):
    for form in ("ome-tiff", "fits"):
        run = Run(t.out, pair(*PAIR), min_tiles=100000, format=form).end()
        expect(run.last("result")["status"], "doubtful", "status")
        expect(listed(t.out), ALL, f"pictures beside {form}")
        assert not (t.out / "aligned_pre.tiff").exists(), "not the format that was asked for"


@test("a failed pair has the pictures that need no map, and none of what stood there before")
def _(t):
    out = aligned(t, *PAIR)
    run = Run(out, pair("--kind", "unrelated", size=(800, 600))).end()
    expect(run.last("result")["status"], "failed", "status")
    names = listed(out)
    for name in ("overlay.png", "histograms.png"):
        expect_in(name, names, "pictures")
    for name in ("difference.png", "density.png", "blink_pre.png"):
        assert name not in names, f"{name} of a failed pair"


@test("a picture that is gone is drawn again, with the same bytes, and nothing else is done")
def _(t):
    images, out = pair(*PAIR), aligned(t, *PAIR)
    before = quality_pictures(out)
    for name in ("density.png", "qc.json"):
        (out / "qc" / name).unlink()
        expect(align(out, images).resumed(), STAGES[:-1], f"resumed without {name}")
        assert quality_pictures(out) == before, f"other pictures after {name} was gone"


@test("pictures that cannot be drawn take nothing away from the alignment, and the log says why")
def _(t):
    out = aligned(t, *PAIR)
    shutil.rmtree(out / "qc")
    (out / "qc").write_text("no folder")
    run = align(out, pair(*PAIR))
    expect_in("no pictures: ", run.stderr, "log")
    expect_in(str(out / "qc"), run.stderr, "log")
    expect(run.json("result.json")["status"], "aligned", "status")
    assert (out / "aligned_pre.tiff").exists(), "no image"


@test("SIGTERM while pictures are drawn: the next run draws them and nothing else")
def _(t):
    images, out = pair(*PAIR), aligned(t, *PAIR)
    before = quality_pictures(out)
    for _ in range(20):  # it may be over before the signal comes
        (out / "checkpoints" / "qc.json").unlink()
        run = Run(out, images)
        run.until("qc")
        run.process.send_signal(signal.SIGTERM)
        while run.read():
            pass
        if run.process.wait() != 0:
            break
    expect(run.process.returncode, 75, "exit status")
    expect(align(out, images).resumed(), STAGES[:-1], "resumed")
    assert quality_pictures(out) == before, "the pictures differ"


run_tests()
