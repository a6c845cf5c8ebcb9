#!/usr/bin/env python3
# timeout: 600
"""registrar-worker align on generated pairs: what it writes, and what it does when it is stopped,
started again, lied to or out of disk."""
import math
import os
import shutil
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile
from worker_run import *


def mapped(rows, x, y):
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in rows)
    return u / w, v / w


def map_error(run, images):
    """Mean distance in pre pixels of the found map from the true one over the tissue."""
    found, true = run.json("transform.json")["post_to_pre"], images.truth["post_to_pre"]
    points = images.truth["tissue_points"]
    return sum(math.dist(mapped(found, x, y), mapped(true, x, y)) for x, y in points) / len(points)


def covered(images, margin=0):
    """Post pixels on a sparse lattice that the true map takes into pre, `margin` px inside."""
    width, height = images.truth["pre_size"]
    for y in range(3, images.truth["post_size"][1], 29):
        for x in range(3, images.truth["post_size"][0], 31):
            u, v = mapped(images.truth["post_to_pre"], x, y)
            if margin <= u < width - margin and margin <= v < height - margin:
                yield x, y


@test("the outputs have the post frame, the pre depth, the true map and the true scale")
def _(t):
    images = pair(*PAIR, "--rgb")
    run = align(t.out, images)
    aligned, difference = run.tiff("aligned_pre.tiff"), run.tiff("difference.tiff")
    expect((aligned.width, aligned.height), SIZE, "size of aligned_pre")
    expect((aligned.samples, aligned.bits, aligned.is_big, aligned.is_tiled), (3, 8, True, True),
           "samples, bits, BigTIFF, tiled")
    expect((difference.width, difference.height), SIZE, "size of difference")
    expect((difference.samples, difference.bits, difference.sample_format), (1, 32, 3),
           "samples, bits, format of difference")
    transform = run.json("transform.json")
    expect([transform["pre_size"], transform["post_size"]], [list(SIZE), list(SIZE)], "sizes")
    assert map_error(run, images) < 0.3, f"the map is {map_error(run, images):.3f} px off"
    result = run.json("result.json")
    assert abs(result["scale"] / 1.3 - 1) < 0.03, f"scale {result['scale']}, wanted 1.3"
    expect(result["scale_kind"], "moffat", "scale_kind")
    expect([entry["stage"] for entry in result["stages"]], STAGES, "stages")
    expect([len(entry["hash"]) for entry in result["inputs"]], [32, 32], "hashes of the inputs")


@test("aligned_pre is the specimen as the post frame sees it, to a count or two")
def _(t):
    # the same specimen through the identity: what aligned_pre would be without any resampling
    options = ["--gain", "1", "--noise", "0", "--objects", "0"]
    images = pair("--rotation", "8", "--scale", "1.04", "--shift", "25,-40", *options)
    straight = TiffFile(pair("--rotation", "0", "--scale", "1", "--shift", "0,0", *options).pre)
    run = align(t.out, images)
    aligned = run.tiff("aligned_pre.tiff")
    errors = [aligned.pixel(x, y) - straight.pixel(x, y) for x, y in covered(images, 4)]
    rms = math.sqrt(sum(error ** 2 for error in errors) / len(errors))
    assert len(errors) > 250 and rms < 1.5, f"rms {rms:.2f} counts over {len(errors)} pixels"
    # half a pixel off in either direction would be seen
    shifted = [aligned.pixel(x, y) - straight.pixel(x + 1, y) for x, y in covered(images, 4)]
    worse = math.sqrt(sum(error ** 2 for error in shifted) / len(shifted))
    assert worse > 2 * rms, f"a whole pixel's shift changes the error from {rms} to {worse} only"


@test("difference is post - scale x aligned pre of the chosen channels, and 0 off the overlap")
def _(t):
    images = pair(*PAIR, "--rgb", "--colour", "0.4,1,0.7")
    for channel, channels in ((1, [1]), ([0, 2], [0, 2])):
        run = align(t.out, images, channel=channel)
        expect(run.json("result.json")["channel"]["pre"]["channels"], channels, "channel")
        scale = run.json("result.json")["scale"]
        aligned, difference = run.tiff("aligned_pre.tiff"), run.tiff("difference.tiff")
        post = TiffFile(images.post)
        for x, y in covered(images, 2):
            pre_signal = sum(aligned.pixel(x, y, c) for c in channels)
            wanted = sum(post.pixel(x, y, c) for c in channels) - scale * pre_signal
            assert abs(difference.pixel(x, y) - wanted) < 1e-3, f"difference at {x},{y}"
        corners = [(0, 0), (SIZE[0] - 1, 0), (0, SIZE[1] - 1), (SIZE[0] - 1, SIZE[1] - 1)]
        found = run.json("transform.json")["post_to_pre"]
        outside = [corner for corner in corners if not (
            -0.5 <= mapped(found, *corner)[0] < SIZE[0] - 0.5 and
            -0.5 <= mapped(found, *corner)[1] < SIZE[1] - 0.5)]
        assert outside, "no corner lies outside pre: the test says nothing"
        for x, y in outside:
            expect([aligned.pixel(x, y, c) for c in range(3)] + [difference.pixel(x, y)],
                   [0, 0, 0, 0.0], f"corner {x},{y}")


@test("16 bit stays 16 bit, and the other kernels agree with cubic")
def _(t):
    images = pair(*PAIR, "--bits", "16", "--grey")
    run = align(t.out, images)
    cubic = run.tiff("aligned_pre.tiff")
    expect((cubic.bits, cubic.samples), (16, 1), "bits, samples")
    assert map_error(run, images) < 0.3, "the map is off"
    for kernel in ("linear", "lanczos", "nearest"):
        out = begin(t.folder / kernel, images, t.out)
        other = align(out, images, interpolation=kernel).tiff("aligned_pre.tiff")
        errors = [abs(other.pixel(x, y) - cubic.pixel(x, y)) for x, y in covered(images, 4)]
        mean = sum(errors) / len(errors)
        assert 0 < mean < 65535 * 0.02, f"{kernel} differs from cubic by {mean} on average"


@test("the pad moves the frame and nothing else, and only warp and qc are done again")
def _(t):
    images = pair(*PAIR)
    plain = align(begin(t.out, images), images)
    before = pictures(t.out)
    run = Run(t.out, images, pad=37).end()
    expect(run.resumed(), STAGES[:-2], "resumed stages")
    for name in ("aligned_pre.tiff", "difference.tiff"):
        padded = run.tiff(name)
        expect((padded.width, padded.height), (SIZE[0] + 74, SIZE[1] + 74), f"size of {name}")
        (t.folder / "plain").mkdir(exist_ok=True)
        (t.folder / "plain" / name).write_bytes(before[name])
        straight = TiffFile(t.folder / "plain" / name)
        for x, y in covered(images, 1):
            expect(padded.pixel(x + 37, y + 37), straight.pixel(x, y), f"{name} at {x},{y}")
    expect(plain.json("transform.json")["post_to_pre"], run.json("transform.json")["post_to_pre"],
           "map")


@test("an Orientation tag changes nothing but the frame")
def _(t):
    images = pair(*PAIR, "--orientation", "6")
    run = align(t.out, images)
    assert map_error(run, images) < 0.3, f"the map is {map_error(run, images):.3f} px off"
    aligned = run.tiff("aligned_pre.tiff")
    expect((aligned.width, aligned.height, aligned.orientation),
           (*images.truth["post_size"], 1), "size and orientation")


@test("one thread, two threads and a small memory cap give the same bytes")
def _(t):
    images = pair(*PAIR, "--rgb")
    align(t.out, images, threads=2)
    align(t.folder / "one", images, threads=1)
    expect_same(t.out, t.folder / "one", "one thread")
    align(t.folder / "small", images, threads=3, memory=192 << 20)
    expect_same(t.out, t.folder / "small", "192 MiB")


@test("a deleted picture repeats warp and qc only; a finished task repeats nothing")
def _(t):
    images = pair(*PAIR)
    align(begin(t.out, images), images)
    before = pictures(t.out)
    expect(align(t.out, images).resumed(), STAGES, "resumed stages of a finished task")
    (t.out / "difference.tiff").unlink()
    expect(align(t.out, images).resumed(), STAGES[:-2], "resumed stages")
    assert pictures(t.out) == before, "the pictures differ"
    left = sorted(os.listdir(t.out / "checkpoints"))
    expect(left, sorted([*(f"{stage}.json" for stage in STAGES), "post.reduced", "pre.reduced"]),
           "what stays of the checkpoints")


@test("damaged checkpoints are not believed")
def _(t):
    images = pair(*PAIR)
    align(begin(t.out, images), images)
    before = pictures(t.out)
    for stage in STAGES:
        path = t.out / "checkpoints" / f"{stage}.json"
        text = path.read_bytes()
        for damaged in (b"", text[:-30], text.replace(b'"object"', b'"objekt"'),
                        text.replace(b": 1", b": 2", 1), b"\0" * len(text), b"[1,2]"):
            path.write_bytes(damaged)
            run = Run(t.out, images).end()
            assert stage not in run.resumed(), f"{stage} took {damaged[:60]!r}"
            expect_in(f"{stage} is done anew", run.stderr, "log")
            if stage != "scale":
                break  # one kind of damage is enough for the others
    assert pictures(t.out) == before, "the pictures differ"


@test("another input is not taken for the one that was surveyed")
def _(t):
    images = pair(*PAIR)
    changed = Pair(t.folder, images.truth)
    changed.pre, changed.post = t.folder / "pre.tif", t.folder / "post.tif"
    shutil.copy(images.pre, changed.pre)
    shutil.copy(images.post, changed.post)
    align(t.out, changed)
    os.utime(changed.post, (1, 1))
    run = align(t.out, changed)
    for stage in ("survey-post", "search", "warp"):
        assert stage not in run.resumed(), f"{stage} was taken over from another image"


@test("an input that changes while it is read is an error, and no picture appears")
def _(t):
    images = pair(*PAIR)
    changed = Pair(t.folder, images.truth)
    changed.pre, changed.post = t.folder / "pre.tif", t.folder / "post.tif"
    shutil.copy(images.pre, changed.pre)
    shutil.copy(images.post, changed.post)
    run = Run(t.out, changed)
    run.until("scale")
    os.utime(changed.pre, (1, 1))
    run.end(1)
    expect(run.last("error")["cause"], "environment", "cause")
    expect_in("changed while", run.last("error")["reason"], "reason")
    expect(pictures(t.out), {}, "pictures")


@test("a pair that does not belong together never says aligned, and takes old pictures away")
def _(t):
    images = pair("--kind", "blank", size=(800, 600))
    t.out.mkdir()
    for name in ("aligned_pre.tiff", "difference.tiff", "difference_manual.tiff", "result.json"):
        (t.out / name).write_bytes(b"old")
    run = Run(t.out, images).end()
    expect(run.last("result")["status"], "failed", "status")
    expect(sorted(os.listdir(t.out)), ["checkpoints", "qc", "result.json", "transform.json"], "files")
    transform = run.json("transform.json")
    expect(transform["status"], "failed", "status")
    assert len(transform["reason"]) > 20, f"reason {transform['reason']!r}"
    expect(run.json("result.json")["status"], "failed", "status in result.json")
    again = Run(t.out, images).end()
    assert "verify" in again.resumed(), "a failed pair was done again"


@test("a doubtful pair gets its pictures, and is marked")
def _(t):
    images = pair(*PAIR)
    run = Run(t.out, images, min_tiles=100000).end()
    expect(run.last("result")["status"], "doubtful", "status")
    transform = run.json("transform.json")
    expect((transform["status"], transform["reason"]),
           ("doubtful", run.last("result")["reason"]), "transform.json")
    expect(sorted(pictures(t.out)), ["aligned_pre.tiff", "difference.tiff"], "pictures")
    again = align(t.out, images)
    # the surveys only to have their reduced images again, which were removed at the end; the map is
    # the same, and so are its pictures
    expect(again.resumed(), ["search", "refine", "scale", "warp"], "resumed stages")


@test("scales by hand and by percentile give their own pictures")
def _(t):
    images = pair(*PAIR)
    run = align(begin(t.out, images), images, manual_scale=1.1, scale_percentile=30)
    result = run.json("result.json")
    expect((result["scale"], result["scale_kind"]), (1.1, "manual"), "scale")
    expect(sorted(pictures(t.out)), ["aligned_pre.tiff", "difference.tiff",
                                     "difference_moffat.tiff", "difference_percentile.tiff"],
           "pictures")
    aligned, post = run.tiff("aligned_pre.tiff"), TiffFile(images.post)
    kinds = {"difference.tiff": "manual", "difference_moffat.tiff": "moffat",
             "difference_percentile.tiff": "percentile"}
    for name, kind in kinds.items():
        difference = run.tiff(name)
        for x, y in covered(images, 2):
            wanted = post.pixel(x, y) - result["scales"][kind] * aligned.pixel(x, y)
            assert abs(difference.pixel(x, y) - wanted) < 1e-3, f"{name} at {x},{y}"
    again = align(t.out, images, scale_percentile=30)
    expect(again.resumed(), STAGES[:5], "resumed stages")
    expect(again.json("result.json")["scale_kind"], "percentile", "scale_kind")
    expect(sorted(pictures(t.out)),
           ["aligned_pre.tiff", "difference.tiff", "difference_moffat.tiff"], "pictures")


@test("a full disk is named, with what is missing, and leaves nothing half done")
def _(t):
    images = pair(*PAIR, "--rgb")
    with small_tmpfs(t, "3m") as small:
        run = Run(small / "out", images).end(1)
        error = run.last("error")
        expect(error["cause"], "environment", "cause")
        expect_in(f"no space on {small}", error["reason"], "reason")
        expect_in("which is RAM and no disk (tmpfs)", error["reason"], "reason")
        expect_in("are missing", error["reason"], "reason")
        expect_in("mount -o remount,size=", error["reason"], "what to do")
        left = [name for _, _, names in os.walk(small) for name in names if ".tmp" in name]
        expect(left, [], "temporary files")
        expect(pictures(small / "out"), {}, "pictures")
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        align(small / "out", images)


@test("a task that makes no sense is refused in one sentence, with exit status 2")
def _(t):
    good = {"pre": "a", "post": "b", "out": "c"}
    cases = [
        ("", "is no JSON object"),
        ("[1, 2]", "must be an object"),
        ("{\"pre\": \"a\"", "is no JSON object"),
        ('{"pre":"a","pre":"b"}', "duplicate object key"),
        (json.dumps({"post": "b", "out": "c"}), '"pre" is missing'),
        (json.dumps({**good, "pre": 7}), '"pre" must be a string'),
        (json.dumps({**good, "threads": 0}), '"threads" is 0'),
        (json.dumps({**good, "colour": 1}), 'unknown key "colour"'),
        (json.dumps({**good, "v": 2}), '"v" is 2'),
        (json.dumps({**good, "params": {"pad": -1}}), "pad is -1"),
        (json.dumps({**good, "params": {"padd": 1}}), 'unknown parameter "padd"'),
        (json.dumps({**good, "params": 3}), '"params" must be an object'),
        (json.dumps({**good, "variants": {"pad": 1}}), '"variants" of the task on stdin is no list'),
        (json.dumps({**good, "variants": [{}] * 9}), "no list of at most 8"),
        (json.dumps({**good, "variants": [{"padd": 1}]}), 'unknown parameter "padd"'),
        ("x" * (2 << 20), "bytes or more"),
    ]
    for text, message in cases:
        ran = subprocess.run([WORKER, "align"], input=text, text=True, capture_output=True)
        expect(ran.returncode, 2, f"exit status for {text[:60]}")
        expect_in(message, ran.stderr, "stderr")
        expect_in(message, json.loads(ran.stdout)["reason"], "reason")
    for arguments in ([], ["paint"], ["align", "x"]):
        ran = subprocess.run([WORKER, *arguments], input="", text=True, capture_output=True)
        expect(ran.returncode, 2, f"exit status for {arguments}")
        expect_in("usage: registrar-worker", ran.stderr, "stderr")


@test("too small a memory cap and missing files are errors of the environment")
def _(t):
    images = pair(*PAIR)
    run = Run(t.out, images, memory=64 << 20).end(1)
    expect(run.last("error")["cause"], "environment", "cause")
    expect_in("at least --worker-memory 192 MiB", run.last("error")["reason"], "reason")
    missing = Pair(t.folder, images.truth)
    missing.pre, missing.post = t.folder / "nowhere.tif", images.post
    run = Run(t.out, missing).end(1)
    expect(run.last("error")["cause"], "environment", "cause")
    expect_in("nowhere.tif", run.last("error")["reason"], "reason")
    missing.pre = t.folder / "text.tif"
    missing.pre.write_text("this is no TIFF file")
    run = Run(t.out, missing).end(1)
    expect(run.last("error")["cause"], "input", "cause")
    expect_in("text.tif", run.last("error")["reason"], "reason")


@test("reports go to descriptor 3 where there is one, and fractions never fall")
def _(t):
    images = pair(*PAIR)
    task = {"pre": str(images.pre), "post": str(images.post), "out": str(t.out)}
    with open(t.folder / "reports", "wb") as reports:
        ran = subprocess.run(["sh", "-c", f"exec {WORKER} align 3>&1 >/dev/null"],
                             input=json.dumps(task).encode(), stdout=reports, check=False)
    expect(ran.returncode, 0, "exit status")
    lines = [json.loads(line) for line in (t.folder / "reports").read_text().splitlines()]
    fractions = [line["fraction"] for line in lines if line["event"] == "progress"]
    expect(fractions, sorted(fractions), "fractions")
    expect(lines[-1]["event"], "result", "last report")
    peak = lines[-1]["peak"]
    assert peak["bytes"] > 0 and peak["stage"] in STAGES and peak["buffers"], f"peak {peak}"
    names = [entry["name"] for entry in lines[-1]["outputs"]]
    expect(names, ["aligned_pre.tiff", "difference.tiff", "transform.json", "result.json"],
           "outputs")
    for entry in lines[-1]["outputs"]:
        status = (t.out / entry["name"]).stat()
        expect((entry["size"], entry["mtime_ns"]), (status.st_size, status.st_mtime_ns),
               entry["name"])


run_tests()
