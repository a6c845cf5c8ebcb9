#!/usr/bin/env python3
# timeout: 600
"""registrar-worker align, stopped or killed anywhere: the next run goes on from there, makes the
same bytes and does nothing twice."""
import os
import random
import shutil
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from warp_journal import HEAD_BYTES, RECORD_BYTES, journal
from worker_run import *
from tiff_file import TiffFile

LARGE = (4000, 3000)
TILES = 16 * 12
TILE_BYTES = 256 * 256 * 3  # of aligned_pre
WARP_BEGINS = 0.68          # fraction of the task
WARP_SHARE = 0.28


class Warp:
    """A pair whose stages up to the warp are done, to be copied as often as needed. Made once for
    each compression."""

    def __init__(self, compression="none"):
        self.compression = compression
        self.images = pair(*PAIR, "--rgb", size=LARGE)
        folder = self.images.pre.parents[2]
        self.whole = folder / f"whole-{compression}"
        if self.whole.exists():
            return
        if (folder / "whole-none").exists():
            shutil.copytree(folder / "whole-none" / "checkpoints", self.whole / "checkpoints")
        align(self.whole, self.images, compression=compression)

    def begin(self, out, **options):
        """A run in `out`; what is there already is kept."""
        if not out.exists():
            shutil.copytree(self.whole / "checkpoints", out / "checkpoints")
            (out / "checkpoints" / "warp.json").unlink()
        return Run(out, self.images, interpolation="cubic", compression=self.compression,
                   **options)

    def finish(self, out, taken, what):
        """Runs to the end; `taken` tiles must be taken over and the pictures be right."""
        run = self.begin(out).end()
        end = run.stage("warp")
        expect((end["tiles"], end["tiles_resumed"]), (TILES, taken), f"{what}: tiles")
        listed = next(entry for entry in run.json("result.json")["stages"]
                      if entry["stage"] == "warp")
        expect(listed["tiles_resumed"], taken, f"{what}: tiles_resumed in result.json")
        left = [name for name in os.listdir(out) + os.listdir(out / "checkpoints")
                if name.endswith((".tmp", ".journal"))]
        expect(left, [], f"{what}: leftovers")


def stop_at(run, fraction, number):
    """Sends the signal when the warp is that far. False: it was over before."""
    while report := run.read():
        if report["event"] == "progress" and report["fraction"] >= fraction:
            run.process.send_signal(number)
            break
    while run.read():
        pass
    return run.process.wait() != 0 and not (run.out / "checkpoints" / "warp.json").exists()


def interrupted(warp, out, fraction=0.85):
    """A folder whose warp was stopped with some tiles in the journal, but not all: later or sooner,
    as the machine goes."""
    for at, number in ((fraction, signal.SIGKILL), (fraction, signal.SIGTERM),
                       (WARP_BEGINS, signal.SIGTERM)):
        stopped = stop_at(warp.begin(out, threads=1), at, number)
        if stopped and 0 < len(journal(out)) < TILES:
            return journal(out)
        if not stopped:
            shutil.rmtree(out)
    raise AssertionError("the warp was never seen half done")


def go_through(t, number, end):
    """One task that gets the signal in each stage once; end(stage, run) looks at what is left."""
    images = pair(*PAIR)
    for stage in STAGES[:-1]:  # in qc the pictures stand: test_qc
        run = Run(t.out, images)
        run.until(stage)
        run.process.send_signal(number)
        end(stage, run)
        # the stage that got the last signal may have been at its end
        finished = STAGES[:STAGES.index(stage)]
        assert run.resumed() in (finished, finished[:-1]), f"resumed before {stage}: {run.resumed()}"
    expect(align(t.out, images).resumed(), STAGES[:-2], "resumed in the end")
    align(t.folder / "whole", images)
    expect_same(t.out, t.folder / "whole", "after all")


@test("SIGTERM in each stage: exit 75, no picture, and the next run goes on from there")
def _(t):
    def end(stage, run):
        run.end(75)
        expect(pictures(t.out), {}, f"pictures after SIGTERM in {stage}")
        begun = [name for name in os.listdir(t.out) if name != "checkpoints"]
        expect([name for name in begun if stage != "warp" or not name.endswith(".tiff.tmp")], [],
               f"after SIGTERM in {stage}")
        leftovers = [name for name in os.listdir(t.out / "checkpoints") if name.endswith(".tmp")]
        expect(leftovers, [], f"temporary files after SIGTERM in {stage}")

    go_through(t, signal.SIGTERM, end)


@test("SIGKILL in each stage: the next run goes on, with the same bytes")
def _(t):
    def end(stage, run):
        run.end(-signal.SIGKILL)
        assert not (t.out / "result.json").exists(), f"a result of a killed worker, in {stage}"

    go_through(t, signal.SIGKILL, end)
    expect([name for name in os.listdir(t.out) if name.endswith(".tmp")], [], "temporary files")


@test("SIGTERM in mid-warp: every tile that was painted is kept, none is painted again")
def _(t):
    warp = Warp()
    dice = random.Random(1)
    seen = 0
    for i in range(3):
        out = t.folder / f"term{i}"
        run = warp.begin(out)
        fraction = dice.uniform(WARP_BEGINS + 0.05, 0.92)
        if not stop_at(run, fraction, signal.SIGTERM):
            continue
        expect(run.process.returncode, 75, "exit status")
        kept = journal(out)
        expect(len(set(kept)), len(kept), "no tile twice")
        told = max(report["fraction"] for report in run.reports if report["event"] == "progress")
        painted = min((told - WARP_BEGINS) / WARP_SHARE, 1) * TILES
        assert len(kept) >= painted - 0.01, f"{len(kept)} tiles kept of {painted} painted"
        warp.finish(out, len(kept), f"SIGTERM at {fraction:.2f}")
        expect_same(out, warp.whole, f"SIGTERM at {fraction:.2f}")
        seen += 1
    assert seen > 0, "the warp was never stopped in time"


@test("SIGKILL again and again in mid-warp: tiles only ever come to it, and the bytes are the same")
def _(t):
    for compression in ("none", "zstd"):
        kill_again_and_again(Warp(compression), t.folder / compression)


@test("a difference that is written for a variant to come is gone on with too, and is its own")
def _(t):
    warp = Warp()
    alone, store = t.folder / "alone", t.folder / "store"
    warp.begin(alone, manual_scale=2).end()
    first = {"shared": store, "variants": [{"manual_scale": 2}], "manual_scale": 1}
    for fraction, number in ((0.85, signal.SIGKILL), (0.85, signal.SIGTERM),
                             (WARP_BEGINS, signal.SIGTERM)):
        shutil.rmtree(t.out, ignore_errors=True)
        shutil.rmtree(store, ignore_errors=True)
        stop_at(warp.begin(t.out, threads=1, **first), fraction, number)
        kept = journal(t.out)
        if 0 < len(kept) < TILES:
            break
    assert 0 < len(kept) < TILES, f"{len(kept)} tiles in the journal"
    expect(warp.begin(t.out, **first).end().stage("warp")["tiles_resumed"], len(kept), "taken over")
    second = warp.begin(t.folder / "second", shared=store, manual_scale=2).end()
    expect(second.stage("warp")["tiles"], 0, "painted by the second")
    expect_same(second.out, alone, "the second")


@test("tiles that were painted without a picture are painted again when it is wanted again")
def _(t):
    warp = Warp()
    alone, store = t.folder / "alone", t.folder / "store"
    warp.begin(alone, manual_scale=2).end()
    first = {"shared": store, "manual_scale": 1}
    more = {**first, "variants": [{"manual_scale": 2}]}
    for options, fraction in ((more, 0.74), (first, 0.8)):
        stop_at(warp.begin(t.out, threads=1, **options), fraction, signal.SIGTERM)
        assert 0 < len(journal(t.out)) < TILES, f"{len(journal(t.out))} tiles in the journal"
    warp.begin(t.out, **more).end()
    second = warp.begin(t.folder / "second", shared=store, manual_scale=2).end()
    expect_same(second.out, alone, "the second")


def kill_again_and_again(warp, out):
    dice = random.Random(2)
    before, kills = [], 0
    for _ in range(12):
        share = len(before) / TILES
        share += (1 - share) * dice.uniform(0.1, 0.7)
        instant = WARP_BEGINS + WARP_SHARE * share
        if not stop_at(warp.begin(out, threads=1 + kills % 2), instant, signal.SIGKILL):
            if kills > 0:
                break
            shutil.rmtree(out)  # a busy machine let us see it too late
            continue
        kills += 1
        now = journal(out)
        expect(now[:len(before)], before, "what the journal held before")
        expect(len(set(now)), len(now), "no tile twice")
        before = now
        if kills == 3:
            break
    what = f"compression={warp.compression}, after {kills} kills"
    assert kills > 0, f"{what}: the warp was never killed in time"
    if not (out / "result.json").exists():
        warp.finish(out, len(before), what)
    expect_same(out, warp.whole, what)


@test("one thread and two make the same bytes in every compression, and the same pixels in all")
def _(t):
    plain = TiffFile(Warp("none").whole / "aligned_pre.tiff")
    for compression in ("none", "deflate", "zstd"):
        warp = Warp(compression)
        for threads in (1, 3):
            out = t.folder / f"{compression}{threads}"
            warp.begin(out, threads=threads).end()
            expect_same(out, warp.whole, f"compression={compression}, {threads} threads")
    packed = TiffFile(Warp("deflate").whole / "aligned_pre.tiff")
    expect(packed.compression, 8, "TIFF's name for deflate")
    for y in range(0, plain.height, 97):
        for x in range(0, plain.width, 89):
            expect(packed.pixel(x, y, 1), plain.pixel(x, y, 1), f"the pixel at {x}, {y}")
    sizes = {name: Warp(name).whole.joinpath("difference.tiff").stat().st_size
             for name in ("none", "deflate", "zstd")}
    assert max(sizes["deflate"], sizes["zstd"]) < 0.8 * sizes["none"], f"sizes {sizes}"


@test("a compressed file that lost its last tiles is made anew")
def _(t):
    warp = Warp("zstd")
    interrupted(warp, t.out)
    unfinished = t.out / "difference.tiff.tmp"
    os.truncate(unfinished, 6000)
    warp.finish(t.out, 0, "cut")
    expect_same(t.out, warp.whole, "cut")


@test("a finished tile is neither painted nor written again: a mark left in it stays")
def _(t):
    warp = Warp()
    kept = interrupted(warp, t.out)
    mark = bytes(range(256)) * (TILE_BYTES // 256)
    unfinished = t.out / "aligned_pre.tiff.tmp"
    data = unfinished.stat().st_size - TILES * TILE_BYTES
    with open(unfinished, "r+b") as file:
        for tile in kept:
            file.seek(data + tile * TILE_BYTES)
            file.write(mark)
    warp.finish(t.out, len(kept), "marked")
    wanted = bytearray((warp.whole / "aligned_pre.tiff").read_bytes())
    for tile in kept:
        wanted[data + tile * TILE_BYTES:data + (tile + 1) * TILE_BYTES] = mark
    assert (t.out / "aligned_pre.tiff").read_bytes() == wanted, "marks are gone, or elsewhere"


@test("nothing is trusted but whole records of this journal and these files")
def _(t):
    warp = Warp()

    def cut(text, kept):
        return text[:-5], len(kept) - 1

    def zeros(text, kept):
        return text + bytes(160), len(kept)

    def flipped(text, kept):
        at = HEAD_BYTES + len(kept) // 2 * RECORD_BYTES
        return text[:at] + bytes([text[at] ^ 1]) + text[at + 1:], len(kept) // 2

    def other_key(text, kept):
        return text[:8] + bytes([text[8] ^ 1]) + text[9:], 0

    for damage in (cut, zeros, flipped, other_key):
        out = t.folder / damage.__name__
        kept = interrupted(warp, out)
        path = out / "checkpoints" / "warp.journal"
        text, taken = damage(path.read_bytes(), kept)
        path.write_bytes(text)
        warp.finish(out, taken, damage.__name__)
        expect_same(out, warp.whole, damage.__name__)
    out = t.folder / "replaced"
    interrupted(warp, out)
    unfinished = out / "difference.tiff.tmp"
    shutil.copy(unfinished, out / "copy")
    os.replace(out / "copy", unfinished)
    warp.finish(out, 0, "a file was replaced")
    expect_same(out, warp.whole, "a file was replaced")


@test("a kill while the pictures get their names costs no tile")
def _(t):
    warp = Warp()
    kept = interrupted(warp, t.out)
    os.replace(t.out / "aligned_pre.tiff.tmp", t.out / "aligned_pre.tiff")
    warp.finish(t.out, len(kept), "half published")
    expect_same(t.out, warp.whole, "half published")


@test("other parameters do not take over a tile")
def _(t):
    warp = Warp()
    interrupted(warp, t.out)
    run = Run(t.out, warp.images, pad=3).end()
    expect(run.stage("warp")["tiles_resumed"], 0, "tiles taken over")
    align(t.folder / "padded", warp.images, pad=3)
    expect_same(t.out, t.folder / "padded", "padded")


run_tests()
