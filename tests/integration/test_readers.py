#!/usr/bin/env python3
# timeout: 600
"""Result files in other people's programs: tifffile, libvips, OpenSlide, xmllint, astropy,
fitsverify. What is not installed is left out, with a word (make check-readers installs all)."""
import os
import shutil
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile, add_tags
from worker_run import *

NAME, SIZE_PX, CM = "aligned.ome.tiff", (1300, 1030), 3
LEVELS = [(1300, 1030), (650, 515), (325, 258)]
PYTHON = "/usr/bin/python3"  # the one that the system's packages are for


def need(program):
    if not shutil.which(program):
        skip(f"{program} is not installed")
    return program


def need_module(name):
    if not os.path.exists(PYTHON) or subprocess.run(
            [PYTHON, "-c", f"import {name}"], capture_output=True).returncode:
        skip(f"{PYTHON} has no {name}")


def output(*words):
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert ran.returncode == 0, f"{words[0]}: exit {ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def ask(script, *words):
    """What a few lines of the system's Python print, as JSON."""
    return json.loads(output(PYTHON, "-W", "error", "-c", "import json, sys\n" + script, *words))


_made = {}


def made(kind):
    """A folder with all result files of a pair ("--grey" or "--rgb"), with 0.5 by 0.25 um a pixel.
    Made once."""
    if kind not in _made:
        images = pair(*PAIR, kind, size=SIZE_PX)
        add_tags(images.post, {282: 20000.0, 283: 40000.0, 296: CM})
        folder = Path(images.pre).parent
        align(folder / "both", images, format="both")
        shutil.copytree(folder / "both" / "checkpoints", folder / "ome" / "checkpoints")
        align(folder / "ome", images, format="ome-tiff", difference="yes")
        _made[kind] = folder
    return _made[kind]


@test("tifffile sees images, channels, levels and pixel sizes, and the right pixels")
def _(t):
    need_module("tifffile")
    for kind in ("--grey", "--rgb"):
        folder = made(kind)
        told = ask("""
import numpy, tifffile
file = tifffile.TiffFile(sys.argv[1])
pre, difference = (tifffile.imread(sys.argv[n]) for n in (2, 3))
series = file.series
print(json.dumps({
    "ome": file.is_ome, "big": file.is_bigtiff, "axes": [s.axes for s in series],
    "levels": [[level.shape for level in s.levels] for s in series],
    "pre": bool((series[0].asarray()[0] == pre).all()),
    "difference": bool((series[1].asarray() == difference).all()),
    "means": [float(level.asarray()[0].mean()) for level in series[0].levels]}))""",
                   folder / "ome" / NAME, folder / "both" / "aligned_pre.tiff",
                   folder / "both" / "difference.tiff")
        colour = [3] if kind == "--rgb" else []
        expect((told["ome"], told["big"]), (True, True), "an OME-TIFF in a BigTIFF")
        expect(told["axes"], ["CYXS" if colour else "CYX", "YX"], f"{kind}: axes")
        expect(told["levels"], [[[2, h, w] + colour for w, h in LEVELS],
                                [[h, w] for w, h in LEVELS]], f"{kind}: levels")
        expect((told["pre"], told["difference"]), (True, True), f"{kind}: same pixels")
        assert max(told["means"]) - min(told["means"]) < 0.25, f"{kind}: means {told['means']}"


@test("libvips sees pages, levels and pixel sizes, and the right pixels")
def _(t):
    need("vipsheader"), need("vips")
    folder = made("--grey")
    ome = folder / "ome" / NAME

    def field(what, name):
        return output("vipsheader", "-f", name, f"{ome}[{what}]").strip()
    expect(field("page=0", "n-pages"), "3", "pages")
    expect(field("page=0", "n-subifds"), str(len(LEVELS) - 1), "levels below")
    for page in (0, 1, 2):
        for number, size in enumerate(LEVELS):
            what = f"page={page}" + (f",subifd={number - 1}" if number else "")
            found = (int(field(what, "width")), int(field(what, "height")))
            expect(found, size, f"size of {what}")
            # px per mm
            expect((float(field(what, "xres")), float(field(what, "yres"))),
                   (2000 / 2 ** number, 4000 / 2 ** number), f"resolution of {what}")
    post = TiffFile(ome).images()[1]
    for x, y in ((700, 400), (3, 1029), (1299, 0)):
        said = output("vips", "getpoint", f"{ome}[page=1]", x, y).split()
        expect(float(said[0]), post.pixel(x, y), f"post at {x}, {y}")
    output("vips", "copy", f"{folder}/both/difference.tiff", t.folder / "copy.v")


@test("OpenSlide opens it, with its size")
def _(t):
    need("openslide-show-properties")
    told = output("openslide-show-properties", made("--rgb") / "ome" / NAME)
    expect_in("openslide.level[0].width: '1300'", told, "width")
    expect_in("openslide.level[0].height: '1030'", told, "height")
    expect_in("openslide.level[0].tile-width: '256'", told, "tiles")


@test("xmllint finds the XML well-formed, and as promised")
def _(t):
    need("xmllint")
    schema = Path(__file__).parents[1] / "lib" / "ome.rng"
    for kind in ("--grey", "--rgb"):
        xml = t.folder / f"{kind}.xml"
        xml.write_text(TiffFile(made(kind) / "ome" / NAME).text(270))
        output("xmllint", "--noout", "--nonet", "--relaxng", schema, xml)
    broken = t.folder / "broken.xml"
    broken.write_text(xml.read_text().replace(' SizeT="1"', ""))
    ran = subprocess.run(["xmllint", "--noout", "--nonet", "--relaxng", schema, broken],
                         capture_output=True)
    expect(ran.returncode, 3, "exit status for an image without SizeT")


@test("astropy reads the FITS files: checksums, pixels, lengths")
def _(t):
    need_module("astropy")
    for kind in ("--grey", "--rgb"):
        for name in ("aligned_pre", "difference"):
            path = made(kind) / "both" / f"{name}.fits"
            told = ask("""
from astropy.io import fits
from astropy.wcs import WCS
with fits.open(sys.argv[1], checksum=True) as file:
    file.verify("exception")
    data, wcs = file[0].data, WCS(file[0].header)
    print(json.dumps({"shape": data.shape, "kind": data.dtype.kind, "corner": float(
        data.flat[-1]), "scale": list(wcs.wcs.cdelt[:2]),
        "unit": [str(unit) for unit in list(wcs.wcs.cunit)[:2]]}))""", path)
            tiff = TiffFile(made(kind) / "both" / f"{name}.tiff")
            planes = [tiff.samples] if tiff.samples > 1 else []
            expect(told["shape"], planes + [tiff.height, tiff.width], f"{kind} {name}: shape")
            expect(told["kind"], "f" if name == "difference" else "u", f"{kind} {name}: numbers")
            expect(told["corner"], float(tiff.pixel(tiff.width - 1, tiff.height - 1, tiff.samples - 1)),
                   "last pixel")
            # astropy counts lengths in metres
            for found, wanted in zip(told["scale"], (0.5, 0.25)):
                factor = {"um": 1, "m": 1e-6}[told["unit"][0]]
                assert abs(found / factor - wanted) < 1e-9, f"{told['scale']} {told['unit']}"


@test("fitsverify has nothing to say against the FITS files")
def _(t):
    need("fitsverify")
    for kind in ("--grey", "--rgb"):
        for name in ("aligned_pre", "difference"):
            told = output("fitsverify", "-q", made(kind) / "both" / f"{name}.fits")
            expect_in("verification OK", told, name)


run_tests()
