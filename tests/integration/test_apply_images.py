#!/usr/bin/env python3
# timeout: 300
"""registrar apply --image: the pixels of aligned_pre again, places to a fiftieth of a pixel in both
directions, labels that stay labels, and what is refused."""
import array
import fcntl
import math
import os
import random
import shutil
import struct
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile
from worker_run import pair, PAIR, Run

FRAME = (300, 260)  # of pre; post's is larger
POST = (340, 290)
TURN = [[0.96, 0.25, -30.3], [-0.25, 0.96, 40.7], [0, 0, 1]]
LEAN = [[0.96, 0.25, -30.3], [-0.25, 0.96, 40.7], [1e-4, -2e-4, 1]]


def write_tiff(path, values, size, kind="B", samples=1, order="<", resolution=None):
    """One strip, uncompressed; values are interleaved. kind: as of struct."""
    bits = 8 * struct.calcsize(f"={kind}")
    sample_format = 3 if kind == "f" else 1 if kind.isupper() else 2
    pixels = struct.pack(f"{order}{len(values)}{kind}", *values)
    entries = [(256, "I", [size[0]]), (257, "I", [size[1]]), (258, "H", [bits] * samples),
               (259, "H", [1]), (262, "H", [1]), (273, "I", [8]), (277, "H", [samples]),
               (278, "I", [size[1]]), (279, "I", [len(pixels)]), (339, "H", [sample_format] * samples)]
    if samples > 1:
        entries.append((338, "H", [0] * (samples - 1)))
    for tag, value in zip((282, 283), resolution or ()):
        entries.append((tag, "R", [round(value * 1000), 1000]))
    if resolution:
        entries.append((296, "H", [3]))
    body, directory = pixels + bytes(-len(pixels) % 2), b""
    for tag, field, numbers in sorted(entries):
        text = struct.pack(f"{order}{len(numbers)}{'I' if field == 'R' else field}", *numbers)
        if len(text) > 4:
            place, body = 8 + len(body), body + text + bytes(-len(text) % 2)
            text = struct.pack(f"{order}I", place)
        count = len(numbers) // (2 if field == "R" else 1)
        directory += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4, "R": 5}[field],
                                 count) + text.ljust(4, b"\0")
    with open(path, "wb") as file:
        file.write((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(body)) +
                   body + struct.pack(f"{order}H", len(entries)) + directory + bytes(4))
    return path


def grid(most, cells=4):
    numbers = random.Random(11)
    step, columns = (max(POST) - 1) / cells, cells + 3
    rows = math.ceil((POST[1] - 1) / step) + 3
    some = lambda: [[numbers.uniform(-most, most) for _ in range(columns)] for _ in range(rows)]
    return {"origin": [-step, -step], "spacing": step, "columns": columns, "rows": rows,
            "dx": some(), "dy": some()}


def transform(t, **changes):
    path = t.folder / "transform.json"
    path.write_text(json.dumps({"version": 1, "status": "aligned", "reason": "", "model": "affine",
                                "post_to_pre": TURN, "pre_size": FRAME, "post_size": POST,
                                **changes}))
    return path


def place(map_, x, y):
    """Where the map takes a post pixel (registrar-worker(1))."""
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in map_["post_to_pre"])
    place_x, place_y = u / w, v / w
    if "grid" not in map_:
        return place_x, place_y
    g = map_["grid"]
    u = min(max((x - g["origin"][0]) / g["spacing"], 1), g["columns"] - 2)
    v = min(max((y - g["origin"][1]) / g["spacing"], 1), g["rows"] - 2)
    i, j = min(int(u), g["columns"] - 3), min(int(v), g["rows"] - 3)
    weights = lambda s: ((1 - s)**3 / 6, (3 * s**3 - 6 * s**2 + 4) / 6,
                         (-3 * s**3 + 3 * s**2 + 3 * s + 1) / 6, s**3 / 6)
    for m, q in enumerate(weights(v - j)):
        for l, p in enumerate(weights(u - i)):
            place_x += p * q * g["dx"][j - 1 + m][i - 1 + l]
            place_y += p * q * g["dy"][j - 1 + m][i - 1 + l]
    return place_x, place_y


def apply(t, *arguments):
    t.use_real_worker()
    return subprocess.run([REGISTRAR, "apply", *map(str, arguments)], env=t.env, cwd=t.folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def applied(t, *arguments, out="out.tiff"):
    """The picture; nothing else may be left."""
    ran = apply(t, *arguments, "-o", out)
    expect(ran.returncode, 0, f"exit status of {arguments}; {ran.stderr}")
    expect([p.name for p in t.folder.glob(f"{out}*")], [out], "files left")
    return TiffFile(t.folder / out)


def refused(t, status, sentence, *arguments):
    ran = apply(t, *arguments, "-o", "out.tiff")
    expect((ran.returncode, ran.stderr), (status, f"registrar: {sentence}\n"), f"{arguments}")
    expect(list(t.folder.glob("out.tiff*")), [], "files left")


def blocks(tiff):
    return [bytes(memoryview(tiff._block(i))) if tiff.bits == 8 else tiff._block(i)
            for i in range(len(tiff.tags[324]))]


@test("the pair's own pre image becomes aligned_pre again, pixel by pixel")
def _(t):
    images = pair(*PAIR, "--rgb", "--layout", "strips", "--compression", "deflate")
    run = Run(t.out, images, pad=40)
    run.end()
    expect(run.json("transform.json")["status"], "aligned", "the pair")
    wanted = TiffFile(t.out / "aligned_pre.tiff")
    for extra in ((), ("--threads", "3", "--worker-memory", "192M", "--compression", "deflate")):
        got = applied(t, t.out, "--image", images.pre, "--pad", 40, *extra)
        expect((got.width, got.height, got.samples, got.bits, got.is_big),
               (wanted.width, wanted.height, 3, 8, True), "size and kind")
        assert blocks(got) == blocks(wanted), f"pixels differ with {extra}"


@test("a ramp tells where each pixel came from: both directions, every kind of map")
def _(t):
    for what, changes in (("affine", {}), ("homography", {"post_to_pre": LEAN}),
                          ("a gentle grid", {"grid": grid(4)}), ("a strong grid", {"grid": grid(15)}),
                          ("a fine grid", {"grid": grid(3, cells=16)})):
        path = transform(t, **changes)
        map_ = json.loads(path.read_text())
        for options, size, frame in (((), FRAME, POST), (("--inverse",), POST, FRAME)):
            ramp = [value for y in range(size[1]) for x in range(size[0]) for value in (x, y)]
            image = write_tiff(t.folder / "ramp.tif", ramp, size, "f", samples=2)
            got = applied(t, path, "--image", image, "--interpolation", "linear", *options)
            expect((got.width, got.height, got.samples, got.sample_format), (*frame, 2, 3), what)
            worst, count = 0, 0
            for y in range(0, frame[1], 3):
                for x in range(0, frame[0], 3):
                    from_ = got.pixel(x, y, 0), got.pixel(x, y, 1)
                    inside = all(1 <= value <= most - 2 for value, most in zip(from_, size))
                    if inside and options:
                        worst, count = max(worst, math.dist(place(map_, *from_), (x, y))), count + 1
                    elif inside:
                        worst, count = max(worst, math.dist(place(map_, x, y), from_)), count + 1
            assert count > 3000, f"{what} {options}: only {count} pixels"
            assert worst < 0.02, f"{what} {options}: {worst} px"


@test("a label mask keeps its labels: 8 to 32 bit, signed, either byte order, where the map puts them")
def _(t):
    path = transform(t, grid=grid(6))
    map_ = json.loads(path.read_text())
    numbers = random.Random(2)
    for kind, order, labels in (("B", "<", [3, 255, 7]), ("H", ">", [65535, 1, 40000]),
                                ("I", "<", [4294967295, 16777217, 5, 2143289345]),
                                ("I", ">", [4286578689, 16777219, 9]),
                                ("i", "<", [-1, -2147483648, 12])):
        mask = array.array(kind, bytes(array.array(kind).itemsize * FRAME[0] * FRAME[1]))
        for _ in range(60):  # squares of one label each
            left, top, label = numbers.randrange(260), numbers.randrange(220), numbers.choice(labels)
            for y in range(top, top + 30):
                mask[y * FRAME[0] + left:y * FRAME[0] + left + 30] = array.array(kind, [label] * 30)
        image = write_tiff(t.folder / "mask.tif", mask, FRAME, kind, order=order)
        got = applied(t, path, "--image", image, "--labels", "--compression",
                      "deflate" if order == "<" else "none")
        expect((got.bits, got.sample_format), (8 * mask.itemsize, 2 if kind == "i" else 1), kind)
        pixels = set(value for block in blocks(got) for value in block)
        assert pixels <= set(mask) | {0} and len(pixels) > 2, f"{kind}{order}: {pixels}"
        for y in range(0, POST[1], 7):
            for x in range(0, POST[0], 7):
                u, v = place(map_, x, y)
                near = (u % 1, v % 1)
                if min(u, v) < 0 or u > FRAME[0] - 1 or v > FRAME[1] - 1 or any(
                        abs(part - 0.5) < 0.01 for part in near):
                    continue
                wanted = mask[round(v) * FRAME[0] + round(u)]
                expect(got.pixel(x, y), wanted, f"{kind}{order} at {x},{y}")


@test("threads and memory change no byte; channels, depth and pixel size are carried over")
def _(t):
    numbers = random.Random(4)
    half = [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]
    values = [numbers.randrange(65536) for _ in range(FRAME[0] * FRAME[1] * 5)]
    image = write_tiff(t.folder / "five.tif", values, FRAME, "H", 5, resolution=(4000, 5000))
    path = transform(t, post_to_pre=half, grid=grid(5))
    first = applied(t, path, "--image", image, "--threads", 1, out="a.tiff")
    applied(t, path, "--image", image, "--threads", 4, "--worker-memory", "192M", out="b.tiff")
    expect((t.folder / "a.tiff").read_bytes(), (t.folder / "b.tiff").read_bytes(), "bytes")
    expect((first.samples, first.bits, first.tag(296)), (5, 16, 3), "channels, bits, unit")
    if shutil.which("tiffinfo"):
        text = subprocess.run(["tiffinfo", t.folder / "a.tiff"], capture_output=True, text=True,
                              check=True).stdout
        expect_in("Resolution: 8000, 10000 pixels/cm", text, "half an image px per canvas px")


@test("an image of another size is told both sizes, and which way round it would fit")
def _(t):
    path = transform(t)
    small = write_tiff(t.folder / "small.tif", bytes(100 * 80), (100, 80))
    post = write_tiff(t.folder / "post.tif", bytes(POST[0] * POST[1]), POST)
    pre = write_tiff(t.folder / "pre.tif", bytes(FRAME[0] * FRAME[1]), FRAME)
    refused(t, 1, f"{small} has 100 x 80 px, and the pre image of {path} 300 x 260 px; give an image of "
            "the same field at full resolution, neither cropped nor reduced", path, "--image", small)
    refused(t, 1, f"{post} has 340 x 290 px, and the pre image of {path} 300 x 260 px; it has the post "
            "image's size, which --inverse takes", path, "--image", post)
    refused(t, 1, f"{pre} has 300 x 260 px, and the post image of {path} 340 x 290 px; it has the pre "
            "image's size, which apply without --inverse takes", path, "--image", pre, "--inverse")


@test("what cannot be resampled is refused by name")
def _(t):
    path = transform(t)
    n = FRAME[0] * FRAME[1]
    longs = write_tiff(t.folder / "longs.tif", [1] * n, FRAME, "I")
    signed = write_tiff(t.folder / "signed.tif", [-1] * n, FRAME, "h")
    double = write_tiff(t.folder / "double.tif", [1.0] * n, FRAME, "d")
    whole = write_tiff(t.folder / "whole.tif", bytes(n), FRAME).read_bytes()
    (t.folder / "cut.tif").write_bytes(whole[:20000])
    (t.folder / "text.tif").write_text("x,y\n1,2\n")
    refused(t, 1, f"{longs} has whole numbers of 32 bit, as label masks have; give --labels", path,
            "--image", longs)
    refused(t, 1, f"{signed} has signed numbers of 16 bit, as label masks have; give --labels", path,
            "--image", signed, "--interpolation", "linear")
    for name in ("double.tif", "cut.tif", "text.tif"):
        ran = apply(t, path, "--image", name, "-o", "out.tiff")
        expect((ran.returncode, ran.stdout, ran.stderr.count("\n")), (1, "", 1), ran.stderr)
        assert ran.stderr.startswith(f"registrar: {name}"), ran.stderr
    refused(t, 1, f"{path}: its map cannot be inverted (it folds, or is flat somewhere); it can be "
            "applied without --inverse alone", transform(t, grid=grid(300)), "--image",
            write_tiff(t.folder / "post.tif", bytes(POST[0] * POST[1]), POST), "--inverse")
    refused(t, 1, "the homography's horizon crosses the canvas; lower pad (0) or use model=affine",
            transform(t, post_to_pre=[[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]]), "--image", "whole.tif")


@test("the summary, --json, and a map that puts nothing there")
def _(t):
    image = write_tiff(t.folder / "image.tif", bytes(FRAME[0] * FRAME[1]), FRAME)
    path = transform(t, post_to_pre=[[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    ran = apply(t, path, "--image", image, "-o", "out.tiff")
    assert ran.stderr.startswith("out.tiff: 340 x 290 px, the post image's frame, cubic, 79 % covered, "
                                 "in "), ran.stderr
    ran = apply(t, path, "--image", image, "-o", "out.tiff", "-q", "--json")
    shown = json.loads(ran.stdout)
    expect((shown["width"], shown["height"], ran.stderr), (340, 290, ""), "JSON, and nothing else")
    assert abs(shown["covered"] - 300 * 260 / (340 * 290)) < 1e-9, shown
    path = transform(t, post_to_pre=[[1, 0, 5000], [0, 1, 0], [0, 0, 1]])
    ran = apply(t, path, "--image", image, "-o", "out.tiff", "-q")
    expect((ran.returncode, ran.stderr), (0, "registrar: nothing of the image lies in the post image's "
                                          "frame: out.tiff is empty\n"), "a map to elsewhere")


@test("one apply at a time per file; what a killed one left is taken away, what is somebody's stays")
def _(t):
    image = write_tiff(t.folder / "image.tif", bytes(FRAME[0] * FRAME[1]), FRAME)
    path, left = transform(t), t.folder / "out.tiff.tmp"
    left.mkdir()
    for name in ("image.tiff.tmp", "scratch.tiff"):
        (left / name).write_text("left by a kill")
    lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    ran = apply(t, path, "--image", image, "-o", "out.tiff")
    expect((ran.returncode, ran.stderr), (2, "registrar: another registrar apply is writing out.tiff: "
                                          "Device or resource busy\n"), "while one is at it")
    os.close(lock)
    applied(t, path, "--image", image)
    (t.folder / "out.tiff").unlink()
    left.mkdir()
    (left / "thesis.doc").write_text("somebody's own")
    ran = apply(t, path, "--image", image, "-o", "out.tiff")
    expect((ran.returncode, ran.stderr), (2, "registrar: out.tiff.tmp is in the way: it holds thesis.doc; "
                                          "move it, or write to another name\n"), "in the way")
    assert (left / "thesis.doc").exists()


def with_worker(t, script):
    """Another program in the worker's place."""
    worker = t.folder / "worker"
    worker.write_text(f"#!/bin/sh\n{script}\n")
    worker.chmod(0o755)
    t.env["REGISTRAR_WORKER"] = str(worker)
    return worker


@test("a worker that dies, or is none, is told in one sentence, and leaves nothing")
def _(t):
    image = write_tiff(t.folder / "image.tif", bytes(FRAME[0] * FRAME[1]), FRAME)
    path = transform(t)
    for script, status, sentence in (
            ("kill -SEGV $$", 1, "the worker died (SIGSEGV); the file may be damaged"),
            ("echo 'free(): invalid pointer' >&2; kill -ABRT $$", 1,
             "the worker died (SIGABRT): free(): invalid pointer; the file may be damaged"),
            ("kill -KILL $$", 1, "the worker was killed (SIGKILL), most likely for want of memory; lower "
             "--worker-memory, or free some"),
            ("echo '{\"event\":\"blocked\",\"call\":\"connect\",\"number\":42}' >&3; kill -SYS $$", 1,
             "the sandbox stopped the worker (system call connect); the file may be hostile: do not "
             "open it elsewhere"),
            ("exit 3", 2, "{worker} ended with exit status 3 and said nothing; is it the "
             "registrar-worker of this version?"),
            ("echo nonsense >&3", 2, "{worker} sent a line that is not a JSON object: 'nonsense'; is it "
             "the registrar-worker of this version?")):
        worker = with_worker(t, script)
        ran = t.run("apply", path, "--image", image, "-o", t.folder / "out.tiff")
        expect((ran.returncode, ran.stderr), (status, f"registrar: {sentence.format(worker=worker)}\n"),
               script)
        expect(list(t.folder.glob("out.tiff*")), [], "files left")


@test("Ctrl-C ends it, twice at once, and leaves nothing")
def _(t):
    image = write_tiff(t.folder / "image.tif", bytes(FRAME[0] * FRAME[1]), FRAME)
    path, out = transform(t), t.folder / "out.tiff"
    os.mkfifo(t.folder / "there")
    for script, signals in (("", [signal.SIGINT]), ("", [signal.SIGTERM]),
                            ("trap '' TERM;", [signal.SIGINT, signal.SIGINT])):
        with_worker(t, f"{script} echo there > {t.folder}/there; read line < {t.gate}")
        process = t.start("apply", path, "--image", image, "-o", out)
        (t.folder / "there").read_text()  # it runs
        for number in signals:
            process.send_signal(number)
        expect(process.wait(), 4, "exit status")
        expect(list(t.folder.glob("out.tiff*")), [], "files left")
    expect((t.folder / "stderr").read_text(), 3 * "registrar: interrupted; nothing was kept\n", "stderr")


run_tests()
