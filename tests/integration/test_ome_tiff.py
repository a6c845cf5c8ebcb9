#!/usr/bin/env python3
# timeout: 600
"""format=ome-tiff: channels, levels, XML and pixel sizes, against the TIFFs of the same pair; and
pixel sizes in these."""
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile, add_tags
from worker_run import *

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
NAME, PAD, SMALL, LARGE = "aligned.ome.tiff", 10, (1300, 1030), (1600, 1300)
INCH, CM = 2, 3


def copy_of(images, folder):
    """The same pair in files that may be changed."""
    folder.mkdir()
    copied = Pair.__new__(Pair)
    copied.truth = images.truth
    copied.pre = shutil.copy(images.pre, folder / "pre.tif")
    copied.post = shutil.copy(images.post, folder / "post.tif")
    return copied


def xml_of(path):
    return ElementTree.fromstring(TiffFile(path).text(270))


def lattice(image, step=37):
    return [(x, y) for y in range(0, image.height, step) for x in range(0, image.width, step)]


def expect_pixels(found, wanted, what, shift=0):
    """Both images agree on a lattice; `found` lies `shift` px further in each direction."""
    for x, y in lattice(wanted):
        for sample in range(wanted.samples):
            here = found.pixel(x + shift, y + shift, sample)
            assert here == wanted.pixel(x, y, sample), \
                f"{what}: pixel {x}, {y}: {here} for {wanted.pixel(x, y, sample)}"


def expect_reduced(upper, lower, what):
    """Each pixel of a level is the mean of those below it, rounded half to even."""
    expect((upper.width, upper.height), ((lower.width + 1) // 2, (lower.height + 1) // 2),
           f"{what}: size")
    points = lattice(upper) + [(upper.width - 1, y) for y in range(0, upper.height, 29)]
    points += [(x, upper.height - 1) for x in range(0, upper.width, 29)]
    for x, y in points:
        for sample in range(lower.samples):
            below = [lower.pixel(min(2 * x + i, lower.width - 1), min(2 * y + k, lower.height - 1),
                                 sample) for k in (0, 1) for i in (0, 1)]
            mean, found = sum(below) / 4, upper.pixel(x, y, sample)
            if lower.sample_format == 3:
                assert abs(found - mean) <= 1e-5 * max(1, max(map(abs, below))), \
                    f"{what}: {x}, {y}: {found} for {mean}"
            else:
                assert found == round(mean), f"{what}: {x}, {y}: {found} for {mean}"


def expect_levels(image, what):
    levels = image.levels()
    assert len(levels) > 1, f"{what}: no reduced levels"
    assert max(levels[-1].width, levels[-1].height) <= 512, f"{what}: smallest {levels[-1].width}"
    for number, (lower, upper) in enumerate(zip(levels, levels[1:]), 1):
        expect((upper.tag(254), lower.tag(254, 0)), (1, min(number - 1, 1)), f"{what}: NewSubfileType")
        expect((upper.tag(322), upper.tag(323)), (256, 256), f"{what}: tiles")
        expect_reduced(upper, lower, f"{what}, level {number}")


@test("pre, post and difference are those of the TIFFs and the input; levels are their means")
def _(t):
    images = pair(*PAIR, size=SMALL)
    plain = align(begin(t.folder / "tiff", images), images, pad=PAD)
    run = align(begin(t.out, images), images, pad=PAD, format="ome-tiff", difference="yes")
    expect(sorted(pictures(t.out)), [NAME], "pictures")
    listed = [entry["name"] for entry in run.last("result")["outputs"]]
    expect(listed, [NAME, "transform.json", "result.json"], "outputs")
    pre, post, difference = run.tiff(NAME).images()
    assert pre.is_big and pre.is_tiled, "a tiled BigTIFF"
    expect_pixels(pre, plain.tiff("aligned_pre.tiff"), "pre")
    expect_pixels(difference, plain.tiff("difference.tiff"), "difference")
    expect((post.width, post.height), (SMALL[0] + 2 * PAD, SMALL[1] + 2 * PAD), "size of post")
    expect_pixels(post, TiffFile(images.post), "post", shift=PAD)
    for x, y in ((0, 0), (post.width - 1, 5), (PAD - 1, 500), (700, post.height - PAD)):
        expect(post.pixel(x, y), 0, f"post beyond its edge at {x}, {y}")
    for image, what in ((pre, "pre"), (post, "post"), (difference, "difference")):
        expect_levels(image, what)


@test("the XML names images, channels, sizes and types, and where their planes stand")
def _(t):
    images = pair(*PAIR, size=SMALL)
    run = align(begin(t.out, images), images, format="ome-tiff", difference="yes",
                manual_scale=1.25)
    root = xml_of(t.out / NAME)
    expect(root.tag, OME + "OME", "root")
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", root.get("UUID"))
    planes = 0
    found = []
    for image in root.iter(OME + "Image"):
        pixels = image.find(OME + "Pixels")
        for name in ("ID", "DimensionOrder", "Type", "SizeX", "SizeY", "SizeZ", "SizeC", "SizeT"):
            assert pixels.get(name), f"Pixels without {name}"
        expect((int(pixels.get("SizeX")), int(pixels.get("SizeY"))), SMALL, "size")
        assert pixels.get("PhysicalSizeX") is None, "a pixel size out of thin air"
        channels = [channel.get("Name") for channel in pixels.iter(OME + "Channel")]
        data = pixels.find(OME + "TiffData")
        expect((int(data.get("IFD")), int(data.get("PlaneCount"))), (planes, len(channels)),
               "planes")
        planes += len(channels)
        found.append((image.get("Name"), pixels.get("Type"), channels))
    # with a scale given by hand, the fitted one's difference is there too
    expect(found, [("S/D", "uint8", ["pre", "post"])] + 2 * [("S/D difference", "float",
                                                               ["difference"])], "images")
    expect(len(run.tiff(NAME).images()), planes, "images in the file")
    said = [element.text for element in root.iter(OME + "Description")]
    expect_in("1.25 x aligned pre (manual)", said[1], "the difference's scale")
    expect_in("(moffat)", said[2], "the other difference's scale")


@test("images of different depth or samples are images of their own; without difference by itself")
def _(t):
    deep = pair(*PAIR, "--rgb", "--bits", "16", size=SMALL)
    grey = pair(*PAIR, size=SMALL)
    mixed = Pair.__new__(Pair)
    mixed.pre, mixed.post, mixed.truth = deep.pre, grey.post, grey.truth
    run = align(t.out, mixed, format="ome-tiff", compression="deflate")
    root = xml_of(t.out / NAME)
    found = [(pixels.get("Type"), pixels.get("SizeC"), channel.get("Name"),
              channel.get("SamplesPerPixel"))
             for pixels in root.iter(OME + "Pixels") for channel in pixels.iter(OME + "Channel")]
    expect(found, [("uint16", "3", "pre", "3"), ("uint8", "1", "post", "1")], "images")
    pre, post = run.tiff(NAME).images()
    expect((pre.samples, pre.bits, post.samples, post.bits), (3, 16, 1, 8), "samples and bits")
    expect_pixels(post, TiffFile(grey.post), "post")
    expect_levels(pre, "pre")
    expect_levels(post, "post")


@test("pixel sizes: the post image's tags, turned with the image, in every TIFF and its levels")
def _(t):
    images = copy_of(pair(*PAIR, "--orientation", "6", size=SMALL), t.folder / "turned")
    add_tags(images.pre, {282: 999.0, 283: 999.0, 296: CM})
    add_tags(images.post, {282: 20000.0, 283: 40000.0, 296: CM})  # 0.5 and 0.25 um as stored
    plain = align(t.folder / "tiff", images)
    for name in ("aligned_pre.tiff", "difference.tiff"):
        image = plain.tiff(name)
        expect((image.rational(282), image.rational(283), image.tag(296)), (40000, 20000, CM), name)
    run = align(t.folder / "tiff", images, format="ome-tiff")
    pixels = xml_of(t.folder / "tiff" / NAME).find(f".//{OME}Pixels")
    size = [(float(pixels.get("PhysicalSize" + axis)), pixels.get(f"PhysicalSize{axis}Unit"))
            for axis in "XY"]
    expect(size, [(0.25, "µm"), (0.5, "µm")], "PhysicalSize")
    resolutions = [image.rational(282) for image in run.tiff(NAME).levels()]
    expect(resolutions, [40000 / 2 ** n for n in range(len(resolutions))], "of the levels")


@test("a pixel size in the input's OME-XML counts before its tags")
def _(t):
    images = copy_of(pair(*PAIR, size=SMALL), t.folder / "named")
    ome = ('<?xml version="1.0"?><OME xmlns="x"><Image><Pixels SizeX="1300" SizeY="1030" '
           'PhysicalSizeX="325" PhysicalSizeXUnit="nm" PhysicalSizeY="0.65"/></Image></OME>')
    add_tags(images.post, {270: ome, 282: 72.0, 283: 72.0, 296: INCH})
    run = align(t.out, images, format="ome-tiff")
    pixels = xml_of(t.out / NAME).find(f".//{OME}Pixels")
    found = [float(pixels.get("PhysicalSize" + axis)) for axis in "XY"]
    assert all(abs(a - b) < 1e-6 for a, b in zip(found, (0.325, 0.65))), f"PhysicalSize {found}"
    tagged = [10000 / run.tiff(NAME).rational(number) for number in (282, 283)]
    assert all(abs(a - b) < 1e-6 for a, b in zip(tagged, (0.325, 0.65))), f"tags: {tagged}"
    expect(run.tiff(NAME).tag(296), CM, "unit")


@test("the same bytes with one thread, three, and little memory, in every compression")
def _(t):
    images = pair(*PAIR, "--rgb", size=LARGE)
    for compression in ("none", "deflate", "zstd"):
        options = {"format": "ome-tiff", "difference": "yes", "compression": compression}
        one = begin(t.folder / f"{compression}1", images)
        align(one, images, threads=1, **options)
        for other in ({"threads": 3}, {"threads": 8, "memory": 192 << 20}):
            out = begin(t.folder / (compression + str(other["threads"])), images)
            align(out, images, **other, **options)
            expect_same(out, one, f"{compression}, {other}")
    expect_levels(TiffFile(t.folder / "deflate3" / NAME), "deflate")


@test("killed anywhere in the warp, levels included, the next run makes the same bytes")
def _(t):
    images = pair(*PAIR, "--rgb", size=LARGE)
    for compression in ("none", "zstd"):
        options = {"format": "ome-tiff", "difference": "yes", "compression": compression}
        whole = begin(t.folder / compression, images)
        align(whole, images, **options)
        begins = 0.0
        for wanted in (0.3, 0.7, 0.9, 0.97):  # of the warp; its last part are the levels
            out = begin(t.folder / f"{compression}{wanted}", images)
            run = Run(out, images, threads=1, **options)
            while report := run.read():
                if report["event"] == "progress" and report["stage"] == "warp":
                    begins = begins or report["fraction"]
                    if report["fraction"] >= begins + wanted * (1 - begins):
                        run.process.kill()
                        break
            while run.read():
                pass
            run.process.wait()
            again = align(out, images, **options)
            expect(again.resumed()[:5], STAGES[:5], "stages taken over")
            expect_same(out, whole, f"{compression}, killed at {wanted}")


@test("another format makes the pictures anew, takes the map over, and removes the old files")
def _(t):
    images = pair(*PAIR, size=SMALL)
    align(begin(t.out, images), images)
    before = pictures(t.out)
    run = align(t.out, images, format="ome-tiff")
    expect(run.resumed(), STAGES[:6], "stages taken over")
    expect(sorted(pictures(t.out)), [NAME], "pictures")
    run = align(t.out, images, format="ome-tiff")
    expect(run.resumed()[:7], STAGES[:7], "stages taken over")
    align(t.out, images)
    expect(sorted(pictures(t.out)), sorted(before), "pictures")
    expect(pictures(t.out), before, "and the same as before")
    align(t.out, images, difference="no")
    expect(sorted(pictures(t.out)), ["aligned_pre.tiff"], "pictures without difference")


run_tests()
