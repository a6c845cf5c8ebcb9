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

LARGE = (4000, 3000)
TILES = 16 * 12
TILE_BYTES = 256 * 256 * 3  # of aligned_pre
WARP_BEGINS = 0.68          # fraction of the task


class Warp:
    """A pair whose stages up to the warp are done, to be copied as often as needed. Made once."""

    def __init__(self):
        self.images = pair(*PAIR, "--rgb", size=LARGE)
        self.whole = self.images.pre.parents[2] / "whole"
        if not self.whole.exists():
            align(self.whole, self.images)

    def begin(self, out, **options):
        """A run in `out`; what is there already is kept."""
        if not out.exists():
            shutil.copytree(self.whole / "checkpoints", out / "checkpoints")
            (out / "checkpoints" / "warp.json").unlink()
        return Run(out, self.images, interpolation="cubic", **options)

    def finish(self, out, taken, what):
        """Runs to the end; `taken` tiles must be taken over and the pictures be right."""
        run = self.begin(out).end()
        end = next(report for report in run.reports
                   if report["event"] == "stage_end" and report["stage"] == "warp")
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
    return run.process.wait() != 0


def interrupted(warp, out, fraction=0.85):
    """A folder whose warp was killed with some tiles in the journal, but not all."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        stop_at(warp.begin(out, threads=1), fraction, number)
        if 0 < len(journal(out)) < TILES:
            return journal(out)
    raise AssertionError(f"the warp was never seen half done ({len(journal(out))} tiles)")


@test("SIGTERM in any stage: exit 75, no picture, and the next run goes on from there")
def _(t):
    images = pair(*PAIR, size=(1500, 1200))
    align(t.folder / "whole", images)
    for stage in STAGES:
        out = t.folder / stage
        run = Run(out, images)
        run.until(stage)
        run.process.send_signal(signal.SIGTERM)
        run.end(75)
        expect(pictures(out), {}, f"pictures after SIGTERM in {stage}")
        begun = [name for name in os.listdir(out) if name != "checkpoints"]
        expect([name for name in begun if stage != "warp" or not name.endswith(".tiff.tmp")], [],
               f"after SIGTERM in {stage}")
        leftovers = [name for name in os.listdir(out / "checkpoints") if name.endswith(".tmp")]
        expect(leftovers, [], f"temporary files after SIGTERM in {stage}")
        again = align(out, images)
        finished = STAGES[:STAGES.index(stage)]
        expect(again.resumed()[:len(finished)], finished, f"resumed after {stage}")
        expect_same(out, t.folder / "whole", f"resumed after {stage}")


@test("SIGKILL in any stage: the next run goes on, with the same bytes")
def _(t):
    images = pair(*PAIR, size=(1500, 1200))
    align(t.folder / "whole", images)
    for stage in STAGES[::2]:
        out = t.folder / stage
        run = Run(out, images)
        run.until(stage)
        run.process.kill()
        run.end(-signal.SIGKILL)
        assert not (out / "result.json").exists(), "a result of a killed worker"
        again = align(out, images)
        finished = STAGES[:STAGES.index(stage)]
        expect(again.resumed()[:len(finished)], finished, f"resumed after {stage}")
        expect_same(out, t.folder / "whole", f"resumed after {stage}")
        expect([name for name in os.listdir(out) if name.endswith(".tmp")], [], "temporary files")


@test("SIGTERM in mid-warp: every tile that was painted is kept, none is painted again")
def _(t):
    warp = Warp()
    dice = random.Random(1)
    seen = 0
    for i in range(3):
        out = t.folder / f"term{i}"
        run = warp.begin(out)
        fraction = dice.uniform(WARP_BEGINS + 0.05, 0.95)
        if not stop_at(run, fraction, signal.SIGTERM):
            continue
        expect(run.process.returncode, 75, "exit status")
        kept = journal(out)
        expect(len(set(kept)), len(kept), "no tile twice")
        told = max(report["fraction"] for report in run.reports if report["event"] == "progress")
        painted = (told - WARP_BEGINS) / (1 - WARP_BEGINS) * TILES
        assert len(kept) >= painted - 0.01, f"{len(kept)} tiles kept of {painted} painted"
        warp.finish(out, len(kept), f"SIGTERM at {fraction:.2f}")
        expect_same(out, warp.whole, f"SIGTERM at {fraction:.2f}")
        seen += 1
    assert seen > 0, "the warp was never stopped in time"


@test("SIGKILL again and again in mid-warp: tiles only ever come to it, and the bytes are the same")
def _(t):
    warp = Warp()
    dice = random.Random(2)
    before, kills = [], 0
    for _ in range(5):
        share = len(before) / TILES
        share += (1 - share) * dice.uniform(0.1, 0.7)
        instant = WARP_BEGINS + (1 - WARP_BEGINS) * share
        if not stop_at(warp.begin(t.out, threads=1), instant, signal.SIGKILL):
            break
        kills += 1
        now = journal(t.out)
        expect(now[:len(before)], before, "what the journal held before")
        expect(len(set(now)), len(now), "no tile twice")
        before = now
    assert kills > 0, "the warp was never killed in time"
    if (t.out / "result.json").exists():
        expect_same(t.out, warp.whole, f"after {kills} kills")
        return
    warp.finish(t.out, len(before), f"after {kills} kills")
    expect_same(t.out, warp.whole, f"after {kills} kills")


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
    expect(run.json("result.json")["stages"][-1]["tiles_resumed"], 0, "tiles taken over")
    align(t.folder / "padded", warp.images, pad=3)
    expect_same(t.out, t.folder / "padded", "padded")


run_tests()
