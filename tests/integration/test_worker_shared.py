#!/usr/bin/env python3
# timeout: 600
"""registrar-worker align with a folder that variants of the pair share: waiting, and damage."""
import fcntl
import os
import shutil
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from worker_run import Run, pair, made_by, small_tmpfs, PAIR, STAGES, expect_same

SIZE = (512, 400)


def variant(out, images, scale, shared, **options):
    """A worker of that variant; reads its reports."""
    return Run(out, images, shared=shared, manual_scale=scale, **options)


def locks_of(shared, stage):
    found = list(shared.glob(f"{stage}-*/lock"))
    assert found, f"no folder of {stage} in {shared}"
    return found


def lock_of(shared, stage):
    found = locks_of(shared, stage)
    expect(len(found), 1, f"folders of {stage}")
    return found[0]


def hold(t, images, stage, shared):
    """Makes a store whose stage `stage` is to be made again, and claims it. Returns the claim."""
    variant(t.folder / "first", images, 1, shared).end()
    path = lock_of(shared, stage)
    (path.parent / "stage.json").unlink()
    claim = open(path, "rb")
    fcntl.flock(claim, fcntl.LOCK_EX)
    return claim


def until_waiting(run):
    while report := run.read():
        if report["event"] == "waiting":
            return report["stage"]
    raise AssertionError(f"it never waited: {run.reports[-3:]}")


@test("who waits says so, ends at SIGTERM, and goes on when the other one is dead")
def _(t):
    images = pair(*PAIR, size=SIZE)
    shared = t.folder / "shared"
    with hold(t, images, "refine", shared) as claim:
        run = variant(t.folder / "second", images, 2, shared)
        expect(until_waiting(run), "refine", "waits for")
        run.process.send_signal(signal.SIGTERM)
        run.end(75)
        run = variant(t.folder / "second", images, 2, shared)
        until_waiting(run)
        fcntl.flock(claim, fcntl.LOCK_UN)  # as the kernel does when the holder dies
        run.end()
    expect(made_by(t.folder / "second"), ["refine", "qc"], "made by the second")


@test("what is damaged in the store is made again, with the same bytes")
def _(t):
    images = pair(*PAIR, size=SIZE)
    whole, shared, out = t.folder / "whole", t.folder / "shared", t.folder / "second"
    variant(t.folder / "first", images, 1, whole).end()
    Run(t.folder / "alone", images, manual_scale=2).end()
    for stage, name, unneeded in (
            ("survey-pre", "stage.json", None), ("survey-post", "post.levels", "verify"),
            ("search", "stage.json", None), ("scale", "counts", None),
            ("warp", "aligned_pre.tiff", None), ("warp", "stage.json", None)):
        shutil.copytree(whole, shared)
        for where in ("warp", "pixels", "difference") if stage == "warp" else (stage,):
            for lock in locks_of(shared, where):
                file = "difference.tiff" if (where, name[0]) == ("difference", "a") else name
                path = lock.parent / file
                path.write_bytes(path.read_bytes()[:-100])
        if unneeded:  # levels are looked at by who starts from them
            (lock_of(shared, unneeded).parent / "stage.json").unlink()
        variant(out, images, 2, shared).end()
        expect(made_by(out), [each for each in STAGES if each in (stage, unneeded, "qc")],
               f"made again without {name}")
        expect_same(out, t.folder / "alone", f"{name} of {stage}")
        shutil.rmtree(shared)
        shutil.rmtree(out)


@test("a picture that is damaged is written again from what has the same pixels")
def _(t):
    images = pair(*PAIR, size=SIZE)
    shared, out = t.folder / "shared", t.folder / "second"
    variant(t.folder / "first", images, 1, shared).end()
    Run(t.folder / "alone", images, manual_scale=2).end()
    (lock_of(shared, "warp").parent / "aligned_pre.tiff").unlink()
    variant(out, images, 2, shared).end()
    expect(made_by(out), ["qc"], "made again")
    expect_same(out, t.folder / "alone", "aligned_pre.tiff")


@test("a difference alone that is damaged is made again from the aligned picture of the store")
def _(t):
    images = pair(*PAIR, size=SIZE)
    shared, out = t.folder / "shared", t.folder / "second"
    variant(t.folder / "first", images, 1, shared).end()
    Run(t.folder / "alone", images, manual_scale=1).end()
    for lock in locks_of(shared, "difference"):
        path = lock.parent / "difference.tiff"
        path.write_bytes(path.read_bytes()[:-100])
    variant(out, images, 1, shared).end()
    expect_same(out, t.folder / "alone", "difference.tiff")
    taken = [name for name in ("aligned_pre", "difference", "difference_moffat")
             if (out / f"{name}.tiff").stat().st_nlink > 2]  # the store's, and another variant's
    expect(taken, ["aligned_pre"], "taken from the store")


@test("where no file can have two names, nothing is written for others")
def _(t):
    images = pair(*PAIR, size=SIZE)
    shared, out = t.folder / "shared", t.folder / "first"
    (out / "checkpoints" / "counts.tmp" / "in the way").mkdir(parents=True)
    variant(out, images, 1, shared, variants=[{"manual_scale": 2}]).end()
    expect(len(list(shared.glob("difference-*"))), 2, "of the store: its own alone")
    shutil.rmtree(out / "checkpoints" / "counts.tmp")
    variant(out, images, 3, shared, variants=[{"manual_scale": 2}]).end()
    expect(len(list(shared.glob("difference-*"))), 4, "with that of the variant to come")


@test("on a full disk a variant makes its own pictures, and none for others")
def _(t):
    images = pair(*PAIR, size=SIZE)
    with small_tmpfs(t, "9m") as small:
        run = variant(small / "out", images, 1, small / "shared",
                      variants=[{"manual_scale": scale} for scale in range(2, 10)]).end()
        expect(run.last("result")["status"], "aligned", "status")
        made = [path.parent.name for path in (small / "shared").glob("difference-*/*.tiff*")]
        expect(len(made), 2, f"differences in the store ({made})")


run_tests()
