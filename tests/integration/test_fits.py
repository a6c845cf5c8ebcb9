#!/usr/bin/env python3
# timeout: 600
"""format=fits and both: pixels against the TIFFs', header, checksums, and what happens when the
worker is killed or the disk is full."""
import os
import shutil
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from fits_file import BLOCK, FitsFile
from registrar_test import *
from tiff_file import TiffFile, add_tags
from worker_run import *

PAD, SMALL = 7, (900, 703)  # rows that are no whole words
CM = 3


def expect_whole(fits, what):
    """Complete blocks, right sums, zeros behind the data."""
    expect(len(fits.bytes) % BLOCK, 0, f"{what}: bytes in the last block")
    expect(len(fits.bytes) - fits.data, -(-fits.data_bytes() // BLOCK) * BLOCK, f"{what}: data")
    assert not any(fits.bytes[fits.data + fits.data_bytes():]), f"{what}: what fills the last block"
    expect(fits.sum(), 0xffffffff, f"{what}: CHECKSUM")
    expect(int(fits.cards["DATASUM"]), fits.sum(fits.data), f"{what}: DATASUM")


def expect_same_pixels(fits, tiff, what):
    expect((fits.width, fits.height, fits.samples, fits.bits),
           (tiff.width, tiff.height, tiff.samples, tiff.bits), f"{what}: shape")
    places = [(x, y) for y in range(0, tiff.height, 13) for x in range(0, tiff.width, 61)]
    places += [(tiff.width - 1, y) for y in range(tiff.height)]
    for x, y in places:
        for sample in range(tiff.samples):
            assert fits.pixel(x, y, sample) == tiff.pixel(x, y, sample), \
                f"{what}: pixel {x}, {y}, {sample}"


@test("both: each FITS has its TIFF's pixels, in every depth and number of channels")
def _(t):
    kinds = {"grey8": ["--grey"], "rgb8": ["--rgb"], "rgb16": ["--rgb", "--bits", "16"],
             "grey16": ["--grey", "--bits", "16"]}
    for kind, options in kinds.items():
        images = pair(*PAIR, *options, size=SMALL)
        out = begin(t.folder / kind, images)
        compression = "zstd" if kind == "grey16" else "deflate" if kind == "rgb8" else "none"
        plain = "none" if compression == "zstd" else compression  # the tests' reader knows no zstd
        run = align(out, images, format="both", pad=PAD, compression=compression)
        expect(sorted(pictures(out)), ["aligned_pre.fits", "aligned_pre.tiff", "difference.fits",
                                       "difference.tiff"], f"{kind}: pictures")
        listed = [entry["name"] for entry in run.last("result")["outputs"]]
        expect(sorted(listed)[:4], sorted(pictures(out)), f"{kind}: outputs")
        if plain != compression:
            again = begin(t.folder / "plain", images)
            align(again, images, format="both", pad=PAD, compression=plain)
            for name in ("aligned_pre", "difference"):
                expect_same_pixels(FitsFile(out / f"{name}.fits"), TiffFile(again / f"{name}.tiff"),
                                   f"{kind}, {name}")
        for name in ("aligned_pre", "difference"):
            expect_whole(FitsFile(out / f"{name}.fits"), f"{kind}, {name}")
            if plain == compression:
                expect_same_pixels(FitsFile(out / f"{name}.fits"), TiffFile(out / f"{name}.tiff"),
                                   f"{kind}, {name}")


@test("fits: only FITS files are left, and their headers say where they come from")
def _(t):
    made = pair(*PAIR, size=SMALL)
    images = Pair.__new__(Pair)
    (t.folder / "named").mkdir()
    images.pre = shutil.copy(made.pre, t.folder / "named" / "it's pre.tif")
    images.post = shutil.copy(made.post, t.folder / "named" / ("post-" + 90 * "x" + "ä.tif"))
    add_tags(images.post, {282: 20000.0, 283: 40000.0, 296: CM})
    run = align(t.out, images, format="fits", pad=PAD, manual_scale=1.25, model="affine")
    expect(sorted(pictures(t.out)), ["aligned_pre.fits", "difference.fits",
                                     "difference_moffat.fits"], "pictures")
    expect([name for name in os.listdir(t.out) if name.endswith(".tmp")], [], "leftovers")
    result, transform = run.json("result.json"), run.json("transform.json")
    aligned, difference, other = (FitsFile(t.out / name) for name in sorted(pictures(t.out)))
    for fits in (aligned, difference, other):
        expect_whole(fits, "sums")
        cards = fits.cards
        expect((cards["TASK"], cards["SAMPLE"], cards["DYE"]), ("S/D", "S", "D"), "names")
        expect(cards["PREFILE"], "it's pre.tif", "PREFILE")
        expect(cards["POSTFILE"], "post-" + 90 * "x" + "??.tif", "POSTFILE")
        expect((cards["STATUS"], cards["MODEL"], cards["PAD"]), ("aligned", "affine", PAD), "map")
        found = [[cards[f"MAP{row}_{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)]
        for a, b in zip(sum(found, []), sum(transform["post_to_pre"], [])):
            assert abs(a - b) <= 1e-9 * max(1, abs(b)), f"map: {found}"
        expect([(cards[f"CDELT{i}"], cards[f"CUNIT{i}"], cards[f"CRPIX{i}"]) for i in (1, 2)],
               [(0.5, "um", 1 + PAD), (0.25, "um", 1 + PAD)], "size of a pixel")
        said = " ".join(fits.history)
        for words in ("pad = 7", "manual_scale = 1.25", 'model = "affine"', 'format = "fits"'):
            expect_in(f"parameter {words}", said, "HISTORY")
        assert "interpolation" not in said, "a parameter at its default"
    expect((aligned.cards["BGSCALE"], aligned.cards["BGKIND"]), (1.25, "manual"), "scale in use")
    expect((difference.cards["BGSCALE"], difference.cards["BGKIND"]), (1.25, "manual"), "scale")
    expect(other.cards["BGKIND"], "moffat", "kind of the other scale")
    assert abs(other.cards["BGSCALE"] - result["scales"]["moffat"]) < 1e-9, "the other scale"


@test("without a pixel size there is none in the header; the same bytes whatever the threads")
def _(t):
    images = pair(*PAIR, "--rgb", size=SMALL)
    align(begin(t.folder / "one", images), images, format="fits", threads=1)
    align(begin(t.folder / "three", images), images, format="fits", threads=3, memory=192 << 20)
    expect_same(t.folder / "one", t.folder / "three", "threads")
    cards = FitsFile(t.folder / "one" / "aligned_pre.fits").cards
    expect([name for name in cards if name.startswith(("CDELT", "CUNIT"))], [], "pixel size")


@test("killed anywhere in the warp, the next run makes the same bytes")
def _(t):
    images = pair(*PAIR, "--rgb", size=(1600, 1300))
    whole = begin(t.folder / "whole", images)
    align(whole, images, format="fits")
    begins = 0.0
    for wanted in (0.5, 0.88, 0.95):  # of the warp; its last part are the FITS files
        out = begin(t.folder / f"killed{wanted}", images)
        run = Run(out, images, threads=1, format="fits")
        while report := run.read():
            if report["event"] == "progress" and report["stage"] == "warp":
                begins = begins or report["fraction"]
                if report["fraction"] >= begins + wanted * 0.28:
                    run.process.kill()
                    break
        while run.read():
            pass
        run.process.wait()
        align(out, images, format="fits")
        expect_same(out, whole, f"killed at {wanted}")
        expect([name for name in os.listdir(out) if name.endswith(".tmp")], [], "leftovers")


@test("a disk that is full when the FITS files' turn comes is named; with room the task goes on")
def _(t):
    images = pair(*PAIR, size=SMALL)
    begin(t.folder / "measured", images)
    used = sum(path.stat().st_size for path in (t.folder / "measured").rglob("*"))
    tiles = -(-SMALL[0] // 256) * -(-SMALL[1] // 256) * 256 * 256
    room = used + 5 * tiles + (3 << 20)  # the TIFFs, and more, but no float image
    with small_tmpfs(t, room) as small:
        out = begin(small / "out", images)
        error = Run(out, images, format="fits").end(1).last("error")
        expect(error["cause"], "environment", "cause")
        expect_in(f"no space on {small}", error["reason"], "reason")
        expect_in(".fits.tmp cannot be", error["reason"], "reason")
        left = [name for _, _, names in os.walk(small) for name in names if ".tmp" in name]
        expect((left, pictures(out)), ([], {}), "files")
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        align(out, images, format="fits")
        expect(sorted(pictures(out)), ["aligned_pre.fits", "difference.fits"], "pictures")


run_tests()
