#!/usr/bin/env python3
# timeout: 180
"""Odd, hostile and large TIFFs: read right or refused by name, in bounded time and memory.

Each file goes through `registrar-worker probe` and through tools/read_image, which reads all of it
as a stream and parts of it by regions. What is read is compared with what libtiff's own tiffcp makes
of the file.
"""
import array
import os
import struct
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from tiff_file import TiffFile

READ_IMAGE = BUILD / "tools" / "read_image"
SANITIZED = "asan" in BUILD.name  # shadow memory counts as RSS, and everything is slower
MOST_KIB = 256 * 1024
FACTOR = float(os.environ.get("TIMEOUT_FACTOR", "1"))
MOST_S, WAIT_S = 5 * FACTOR, 30 * FACTOR


def read_image(t, path, pixels=None):
    """(exit status, what it said, peak RSS in KiB, seconds) of one reading."""
    command = [READ_IMAGE, path, t.folder / "scratch", *([pixels] if pixels else [])]
    begun = time.monotonic()
    ran = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=False)
    seconds = time.monotonic() - begun
    assert ran.returncode in (0, 1), f"{path}: exit status {ran.returncode}: {ran.stdout}"
    said = json.loads(ran.stdout)
    return ran.returncode, said, said["peak_rss_kib"], seconds


def ask(mode, paths):
    """The worker's answers, one per path, each after its "begin"."""
    request = json.dumps({"v": 1, "files": [str(path) for path in paths]})
    ran = subprocess.run([WORKER, mode], input=request, stdout=subprocess.PIPE, text=True,
                         check=True, timeout=60)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    expect(lines[0::2], [{"event": "begin", "index": i} for i in range(len(paths))], "begins")
    expect([line["index"] for line in lines[1::2]], list(range(len(paths))), "indices")
    return lines[1::2]


def corpus():
    files = [path for name in ("tiff-odd", "tiff-hostile")
             for path in shared_data(name).rglob("*") if path.is_file()]
    assert len(files) > 300, f"only {len(files)} files in the corpus"
    return sorted(files)


def check_bounds(path, kib, seconds):
    assert seconds < MOST_S, f"{path} took {seconds:.1f} s"
    assert SANITIZED or kib < MOST_KIB, f"{path} took {kib} KiB"


def expected_pixels(t, path, info):
    """The pixels as tiffcp sees them: interleaved, native order, without extra samples. None: tiffcp
    cannot read the file either."""
    plain = t.folder / "plain.tif"
    for page in range(8):
        ran = subprocess.run(["tiffcp", "-L", "-c", "none", "-p", "contig", "-m", "0", "-s",
                              f"{path},{page}", plain], capture_output=True, check=False)
        if ran.returncode != 0:
            return None
        file = TiffFile(plain)
        if (file.width, file.height) == (info["width"], info["height"]):
            break
    else:
        raise AssertionError(f"{path}: no page of {info['width']} x {info['height']} px")
    expect(file.bits, info["bits"], f"{path}: bits")
    data = b"".join(file.bytes[offset:offset + count]
                    for offset, count in zip(file.tags[273], file.tags[279]))
    samples = array.array("B" if file.bits == 8 else "H", data)
    kept = array.array(samples.typecode, bytes(len(samples) // file.samples * info["samples"] *
                                               samples.itemsize))
    for channel in range(info["samples"]):
        kept[channel::info["samples"]] = samples[channel::file.samples]
    if file.tag(262) == 0:  # MinIsWhite
        return bytes(255 - byte for byte in kept.tobytes())
    return kept.tobytes()


@test("the corpus is read or refused within 5 s and 256 MiB, never with a signal")
def _(t):
    n_read = 0
    for path in corpus():
        status, said, kib, seconds = read_image(t, path)
        check_bounds(path, kib, seconds)
        n_read += status == 0
        if status == 1:
            expect_in(str(path), said["error"], "the refusal names the file")
            assert not said["error"].endswith((".", ":", " ")), said["error"]
    assert n_read >= 70, f"only {n_read} files were read"


@test("the probe says of each file what reading it says")
def _(t):
    files = corpus()
    for path, probed in zip(files, ask("probe", files)):
        status, said, _, _ = read_image(t, path)
        if "error" in probed:
            expect(said.get("error"), probed["error"], f"{path}: refusal")
        elif status == 0:
            for key in ("width", "height", "samples", "bits", "scratch"):
                expect(probed[key], said[key], f"{path}: {key}")
            expect(probed["size"], path.stat().st_size, f"{path}: size")


@test("refusals name what the file holds")
def _(t):
    folder = shared_data("tiff-odd") / "images"
    cases = {"gradient-1c-32b-float.tiff": "float pixels (32-bit)", "int8.tif": "signed pixels",
             "palette-1c-8b.tiff": "palette", "cmyk-4c-8b.tiff": "CMYK",
             "logluv-3c-16b.tiff": "LogLuv", "miniswhite-1c-1b.tiff": "1-bit pixels",
             "12bit.cropped.tiff": "12-bit pixels", "gradient-1c-64b.tiff": "64-bit pixels",
             "fax4.tiff": "CCITT fax 4", "../../tiff-hostile/libtiff/"
             "ojpeg_chewey_subsamp21_multi_strip.tiff": "old-style JPEG"}
    answers = ask("probe", [folder / name for name in cases])
    for (name, words), answer in zip(cases.items(), answers):
        expect_in(words, answer["error"], name)
        expect_in("; save it ", answer["error"], f"{name}: the fix")


@test("pixels are those that tiffcp sees")
def _(t):
    pixels, n_compared = t.folder / "pixels", 0
    for path in corpus() + sorted(shared_data("pairs").glob("*/*.tif")):
        status, info, _, _ = read_image(t, path, pixels)
        if status != 0 or info["orientation"] != 1:
            continue
        wanted = expected_pixels(t, path, info)
        if wanted is not None:
            assert pixels.read_bytes() == wanted, f"{path}: the pixels differ"
            n_compared += 1
    assert n_compared >= 75, f"only {n_compared} files were compared"


@test("pixels are those of the portable maps beside the files")
def _(t):
    folder, pixels = shared_data("tiff-odd") / "images", t.folder / "pixels"
    for name, suffix in (("rgb-3c-8b", "ppm"), ("minisblack-1c-8b", "pgm")):
        read_image(t, folder / f"{name}.tiff", pixels)
        wanted = (folder / f"{name}.{suffix}").read_bytes()
        assert wanted.endswith(pixels.read_bytes()), f"{name} differs from its {suffix}"
        assert len(wanted) - pixels.stat().st_size < 80, f"{name} is too small"


@test("a batch of them goes on to the last pair, which aligns")
def _(t):
    files, good = corpus(), sorted(shared_data("pairs/cycif-a").glob("*.tif"))
    refused = [path for path, said in zip(files, ask("probe", files)) if "error" in said]
    for i, path in enumerate(refused):
        folder = t.raw / f"bad-{i:03}"
        folder.mkdir(parents=True)
        (folder / "a_pre_X.tif").symlink_to(path)
        (folder / "a_post_X.tif").symlink_to(good[1])
    (t.raw / "good").symlink_to(good[0].parent)
    t.use_real_worker()
    ran = t.run("run", t.raw, "-o", t.out, "--quiet", timeout_s=WAIT_S * 4)
    expect(ran.returncode, 1, f"exit status: {ran.stderr}")
    expect(t.summary()["counts"], {"ok": 1, "failed": len(refused)}, "counts")
    for i in range(len(refused)):
        row = t.task(f"bad-{i:03}/X")
        expect(row["attempts"], 1, f"{row['id']}: attempts")  # a refusal is final
        expect_in("a_pre_X.tif", row["reason"], f"{row['id']}: the file's name")


@test("headers of 400 files take well under a second")
def _(t):
    files = (corpus() * 2)[:400]
    begun = time.monotonic()
    ask("probe", files)
    seconds = time.monotonic() - begun
    assert seconds < MOST_S / 5, f"{seconds:.2f} s"


@test("the hash is XXH3-128 and the same in every mode")
def _(t):
    empty, other = t.folder / "empty", t.folder / "other.tif"
    empty.write_bytes(b"")
    write_tiff(other, strips(8, 8, [bytes(64)]))
    hashes = ask("hash", [empty, other, t.folder / "none"])
    expect(hashes[0]["hash"], "99aa06d3014798d86001c324468d497f", "hash of nothing")  # published
    expect(hashes[0]["size"], 0, "size")
    expect(hashes[1]["mtime_ns"], other.stat().st_mtime_ns, "mtime")
    expect(hashes[1]["hash"], read_image(t, other)[1]["file_hash"], "hash while streaming")
    expect_in("No such file", hashes[2]["error"])


@test("a request that makes no sense is refused before any file is touched")
def _(t):
    for request, words in (("", "is not JSON"), ("[]", "is not a JSON object"),
                           ('{"v":2,"files":[]}', "\"v\""), ('{"v":1}', "no array \"files\""),
                           ('{"v":1,"files":[1]}', "entry 0"), ('{"v":1,"files":[],"x":1}', "x")):
        ran = subprocess.run([WORKER, "probe"], input=request, capture_output=True, text=True,
                             check=False)
        expect((ran.returncode, ran.stdout), (2, ""), request)
        expect_in(words, ran.stderr, request)


# ------------------------------------------------------------- files that no library would write

LONG, SHORT = 4, 3


def write_tiff(path, *images, loop=False):
    """Each image: ({tag: (type, values)}, [blocks]), where the tag 273 or 324 is filled in."""
    body, directories = bytearray(struct.pack("<2sHI", b"II", 42, 0)), []
    for tags, blocks in images:
        tags, offsets = dict(tags), []
        for block in blocks:
            offsets.append(len(body))
            body += block + bytes(len(block) % 2)
        where = 324 if 322 in tags else 273
        tags.setdefault(where, (LONG, offsets))
        tags.setdefault(where + (1 if where == 324 else 6), (LONG, [len(b) for b in blocks]))
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            value = struct.pack(f"<{len(values)}{'I' if kind == LONG else 'H'}", *values)
            if len(value) > 4:
                place = len(body)
                body += value + bytes(len(value) % 2)
                value = struct.pack("<I", place)
            entries += struct.pack("<HHI4s", tag, kind, len(values), value.ljust(4, b"\0"))
        directories.append((len(body), len(entries) // 12))
        body += struct.pack("<H", len(tags)) + entries + bytes(4)
    for i, (place, n) in enumerate(directories):
        after = directories[(i + 1) % len(directories)][0] if loop or i + 1 < len(directories) else 0
        struct.pack_into("<I", body, place + 2 + 12 * n, after)
    struct.pack_into("<I", body, 4, directories[0][0])
    path.write_bytes(body)


def strips(width, height, blocks, rows=None, compression=1, **more):
    tags = {256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [8]),
            259: (SHORT, [compression]), 262: (SHORT, [1]), 277: (SHORT, [1]),
            278: (LONG, [height if rows is None else rows])}
    tags.update({int(tag[1:]): (LONG, values) for tag, values in more.items()})
    return tags, blocks


def tiles(width, height, side, blocks, compression=1):
    tags, _ = strips(width, height, blocks, compression=compression)
    del tags[278]
    return {**tags, 322: (LONG, [side]), 323: (LONG, [side])}, blocks


@test("headers that claim the world are refused at once")
def _(t):
    path, bomb = t.folder / "hostile.tif", zlib.compress(bytes(1 << 20))
    cases = [
        (strips(1000000, 1000000, [bytes(9)]), "pixels"),
        (strips(4294967295, 4294967295, [bytes(9)]), "strip size"),
        (strips(2000000, 10, [bytes(9)]), "2000000 x 10 px is above the 1000000 px"),
        (strips(0, 10, [bytes(9)]), "damaged"),
        (strips(900000, 900000, [bomb], compression=8), "it claims 810000000000 bytes of pixels"),
        (strips(10, 10, [bytes(50), bytes(49)], rows=5),
         "strip 2 of 2 has 49 bytes where 50 are needed"),
        (strips(10, 10, [bytes(9)], rows=0), "RowsPerStrip"),
        (strips(10, 10, [bytes(10)] * 2, rows=1), "strip 3 of 10"),
        (strips(10, 10, [bytes(100)], t273=[4000000000]), "ends at byte 4000000100"),
        (strips(10, 10, [bytes(100)], t273=[4294967295], t279=[4294967295]), "ends at byte"),
        (tiles(100, 100, 65536, [bomb], compression=8), "above the 48 MiB"),
        (tiles(100, 100, 4294967280, [bomb], compression=8), "tile"),
        (tiles(100, 100, 0, [bomb], compression=8), "tile"),
    ]
    for image, words in cases:
        write_tiff(path, image)
        status, said, kib, seconds = read_image(t, path)
        expect(status, 1, f"exit status ({words})")
        expect_in(words, said["error"], "refusal")
        assert SANITIZED or kib < 64 * 1024, f"{words}: {kib} KiB"
        assert seconds < MOST_S / 5, f"{words}: {seconds:.1f} s"


@test("chains of images that loop or never end")
def _(t):
    path, image = t.folder / "chain.tif", strips(8, 8, [bytes(64)])
    write_tiff(path, image, strips(16, 16, [bytes(256)]), loop=True)
    status, said, _, _ = read_image(t, path)
    expect((status, said.get("width")), (0, 16), "a loop has been seen as a whole")
    write_tiff(path, *[image] * 4200)
    status, said, _, seconds = read_image(t, path)
    expect(status, 1, "exit status")
    expect_in("more than 4096 images", said["error"])
    assert seconds < MOST_S, f"{seconds:.1f} s"


@test("a strip that ends too early is an error that names the row")
def _(t):
    path, rows = t.folder / "short.tif", bytes(range(100)) * 50
    write_tiff(path, strips(100, 100, [zlib.compress(rows)], compression=8))
    status, said, _, _ = read_image(t, path)
    expect(status, 1, "exit status")
    expect_in(f"{path}: row 50 cannot be decoded", said["error"])
    expect_in("copy or export it again", said["error"])
    expect((t.folder / "scratch").exists(), False, "a scratch file was left")
    expect((t.folder / "scratch.tmp").exists(), False, "a temporary file was left")


@test("one compressed strip of 144 MB is read in 64 MiB")
def _(t):
    path, row = t.folder / "strip.tif", os.urandom(12000)
    squeeze = zlib.compressobj(0)  # stored: as large as what it holds
    packed = b"".join(squeeze.compress(row[i % 9000:] + row[:i % 9000]) for i in range(12000))
    write_tiff(path, strips(12000, 12000, [packed + squeeze.flush()], compression=8))
    status, said, kib, _ = read_image(t, path)
    expect(status, 0, f"exit status: {said}")
    assert SANITIZED or kib < 64 * 1024, f"{kib} KiB"


@test("one uncompressed strip of 144 MB is read in 48 MiB, without a copy")
def _(t):
    path, row = t.folder / "strip.tif", os.urandom(12000)
    rows = b"".join(row[i % 9000:] + row[:i % 9000] for i in range(12000))
    write_tiff(path, strips(12000, 12000, [rows]))
    pixels = t.folder / "pixels"
    status, said, kib, _ = read_image(t, path, pixels)
    expect((status, said.get("scratch")), (0, False), f"{said}")
    assert pixels.read_bytes() == rows, "the pixels differ"
    assert SANITIZED or kib < 48 * 1024, f"{kib} KiB"


run_tests()
