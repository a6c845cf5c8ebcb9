#!/usr/bin/env python3
# timeout: 1800
"""registrar run --sweep: variants side by side, with what they share made once."""
import os
import random
import shutil
import sys
import tempfile
import time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from service_daemon import Daemon
from worker_run import pair, made_by, PAIR, NARROW, STAGES, expect_same

SIZE = (512, 400)
FIXED = [word for name, value in NARROW.items() for word in ("--set", f"{name}={value}")]
SURVEYS = ["survey-pre", "survey-post"]
TO_MAP = SURVEYS + ["search", "refine", "verify"]
KILLS = int(os.environ.get("REGISTRAR_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("REGISTRAR_KILL_SEED", time.time_ns() % 1000000))


def raw_of(images):
    return images.pre.parents[1]


def sweep(t, images, *options, status=0):
    t.use_real_worker()
    ran = t.run("run", raw_of(images), "-o", t.out, *options, timeout_s=600)
    expect(ran.returncode, status, f"exit status ({ran.stderr})")
    return ran


def warp_of(folder):
    """What a result tells of the stage."""
    return json.loads((folder / "result.json").read_text())["stages"][STAGES.index("warp")]


def inodes_of(t, name):
    """How many files stand behind that name in all variants."""
    return len({(path / name).stat().st_ino for path in variants(t)})


def variants(t):
    return sorted(path for path in (t.out / "S").iterdir())


def expect_made(t, once=(), twice=(), thrice=()):
    """How many variants made each stage. Which of them did is the machine's affair: one that was
    short of memory has a worker killed and tried again after the others."""
    made = [stage for path in variants(t) for stage in made_by(path)]
    expect(sorted(made), sorted([*once, *twice, *twice, *thrice, *thrice, *thrice]),
           "made, in all variants")


def expect_no_store(t):
    left = [str(path) for path in t.out.rglob("*@shared*")]
    expect(left, [], "what variants shared is gone")


@test("what makes no sense is refused in one sentence, before anything starts")
def _(t):
    t.pair("S", "D")
    known = "unknown parameter \"scal\"; known are pad, "
    for words, sentence in (
            (["scale_max"], 'registrar: --sweep: "scale_max" has no values; write it as NAME=A,B,C'),
            (["=1,2"], 'registrar: --sweep: "=1,2" has no values; write it as NAME=A,B,C'),
            (["scal=1,2"], f"registrar: --sweep: {known}"),
            (["scale_max=1.1,fast"],
             "registrar: --sweep: scale_max is fast; it must be a number from 0.1 to 10"),
            (["scale_max=1.1,,1.2"],
             "registrar: --sweep: scale_max is empty; it must be a number from 0.1 to 10"),
            (["scale_max=1.1,1.10"],
             "registrar: --sweep: scale_max has the value 1.10 twice; leave one out"),
            (["scale_max=1.1", "--sweep", "scale_max=1.2"],
             "registrar: --sweep: scale_max is given twice; write all its values in one list, like "
             "--sweep scale_max=A,B,C"),
            (["scale_max=1.1,1.2", "--set", "scale_max=1.3"],
             "registrar: --set and --sweep both give scale_max; leave one of them out"),
            (["scale_max=1.1,0.7"],
             "registrar: --sweep: scale_max=0.7: scale_min (0.8) is above scale_max (0.7)"),
            (["seed=" + ",".join(map(str, range(17))), "--sweep",
              "pad=" + ",".join(map(str, range(17)))],
             "registrar: --sweep: more than 256 variants of each pair; sweep fewer values")):
        for command in ("run", "plan"):
            ran = t.run(command, t.raw, "-o", t.out, "--sweep", *words)
            expect(ran.returncode, 2, f"exit status of {command} --sweep {words}")
            expect(ran.stderr.count("\n"), 1, f"lines of {ran.stderr!r}")
            assert ran.stderr.startswith(sentence), f"{ran.stderr!r} in place of {sentence!r}"
    assert not t.out.exists(), "nothing was begun"


@test("variants are named by their values; more parameters give all combinations")
def _(t):
    t.pair("S", "D")
    t.pair("S", "E")
    ran = t.run("run", t.raw, "-o", t.out, "--sweep", "channel=0,[0,2],auto", "--sweep",
                "manual_scale=1.50,none", "--dyes", "D")
    expect(ran.returncode, 0, f"exit status ({ran.stderr})")
    names = [f"S/D@channel={channel},manual_scale={scale}"
             for channel in ("0", "0+2", "auto") for scale in ("1.5", "none")]
    expect([task["id"] for task in t.summary()["tasks"]], names, "ids")
    expect([str(path.relative_to(t.out)) for path in variants(t)], sorted(names), "folders")
    plan = t.run("plan", t.raw, "-o", t.folder / "other", "--sweep", "pad=1,2", "--json")
    expect([task["id"] for task in json.loads(plan.stdout)["tasks"]],
           ["S/D@pad=1", "S/D@pad=2", "S/E@pad=1", "S/E@pad=2"], "ids of plan")


@test("with another scale only the differences are made; the bytes are those of single runs")
def _(t):
    images = pair(*PAIR, size=SIZE)
    sweep(t, images, *FIXED, "--jobs", 1, "--sweep", "manual_scale=0.9,1,1.1")
    expect([path.name for path in variants(t)],
           [f"D@manual_scale={scale}" for scale in ("0.9", "1", "1.1")], "variants")
    expect_made(t, once=[*TO_MAP, "scale", "warp"], thrice=["qc"])
    expect([inodes_of(t, f"{name}.tiff")
            for name in ("aligned_pre", "difference_moffat", "difference")], [1, 1, 3], "files")
    expect([warp_of(path)["tiles"] > 0 for path in variants(t)], [True, False, False],
           "who painted: the first one, for all")
    expect_no_store(t)
    alone = t.folder / "alone"
    for scale in ("0.9", "1.1"):  # the second one takes over the first one's map
        ran = t.run("run", raw_of(images), "-o", alone, *FIXED, "--set", f"manual_scale={scale}",
                    timeout_s=600)
        expect(ran.returncode, 0, "exit status alone")
        expect_same(t.out / "S" / f"D@manual_scale={scale}", alone / "S" / "D",
                    f"manual_scale {scale}")
    again = sweep(t, images, *FIXED, "--sweep", "manual_scale=0.9,1,1.1")
    expect_in("nothing was left to do", again.stdout, "the same again")


@test("of ten scales nine are written in one pass, as many as there can be, and one in another")
def _(t):
    images = pair(*PAIR, size=SIZE)
    scales = [1 + i / 10 for i in range(10)]
    sweep(t, images, *FIXED, "--jobs", 2, "--sweep", "manual_scale=" + ",".join(map(str, scales)))
    expect(len([path for path in variants(t) if warp_of(path)["tiles"] > 0]), 2, "who painted")


@test("results in RAM count towards the limit: none is written for others")
def _(t):
    if not os.access("/dev/shm", os.W_OK) or os.statvfs("/dev/shm").f_bavail < 1 << 16:
        skip("no room at /dev/shm")
    images = pair(*PAIR, size=SIZE)
    t.use_real_worker()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        ran = t.run("run", raw_of(images), "-o", folder, *FIXED, "--jobs", 1, "--sweep",
                    "manual_scale=1,1.1", timeout_s=600)
        expect(ran.returncode, 0, f"exit status ({ran.stderr})")
        painted = [warp_of(path)["tiles"] > 0 for path in sorted((Path(folder) / "S").iterdir())]
    expect(painted, [True, True], "who painted")


@test("with another compression pre is not resampled again; the bytes are those of single runs")
def _(t):
    images = pair(*PAIR, size=SIZE)
    sweep(t, images, *FIXED, "--jobs", 3, "--sweep", "compression=none,deflate,zstd")
    reads = [warp_of(path)["pre_reads"] for path in variants(t)]
    expect([count > 0 for count in sorted(reads)], [False, False, True], "who read pre")
    alone = t.folder / "alone"
    for name in ("none", "deflate", "zstd"):
        ran = t.run("run", raw_of(images), "-o", alone, *FIXED, "--set", f"compression={name}",
                    timeout_s=600)
        expect(ran.returncode, 0, "exit status alone")
        expect_same(t.out / "S" / f"D@compression={name}", alone / "S" / "D", name)


@test("with another interpolation the scale stays; the bytes are those of single runs")
def _(t):
    images = pair(*PAIR, size=SIZE)
    sweep(t, images, *FIXED, "--jobs", 1, "--sweep", "interpolation=cubic,nearest")
    scales = {json.loads((path / "result.json").read_text())["scale"] for path in variants(t)}
    expect(len(scales), 1, "scales")
    alone = t.folder / "alone"
    ran = t.run("run", raw_of(images), "-o", alone, *FIXED, "--set", "interpolation=nearest",
                timeout_s=600)
    expect(ran.returncode, 0, "exit status alone")
    expect_same(t.out / "S" / "D@interpolation=nearest", alone / "S" / "D", "nearest")


@test("plan counts a picture once where variants share it, and for each where they do not")
def _(t):
    images = pair(*PAIR, size=SIZE)
    t.use_real_worker()
    for words, shared in ((("difference=yes",), 1 + 4), (("difference=no",), 1),
                          (("difference=yes", "format=ome-tiff"), 0)):
        options = [word for each in words for word in ("--set", each)]
        ran = t.run("plan", raw_of(images), "-o", t.folder / "plan", "--json", *options, "--sweep",
                    "manual_scale=1,1.1")
        first, second = [task["disk_bytes"] for task in json.loads(ran.stdout)["tasks"]]
        # bytes of a pixel: the aligned picture, the difference by the fitted scale; what the survey
        # leaves is less than one
        expect((first - second) // (512 * 512), shared, f"{words}: what the second one saves")


@test("with two compressions and two scales there are two aligned pictures")
def _(t):
    images = pair(*PAIR, size=SIZE)
    sweep(t, images, *FIXED, "--jobs", 1, "--sweep", "compression=none,zstd", "--sweep",
          "manual_scale=0.9,1")
    expect((len(variants(t)), inodes_of(t, "aligned_pre.tiff")), (4, 2),
           "variants, files behind the aligned pictures")
    expect_no_store(t)


@test("side by side with two scales each: every difference is made once")
def _(t):
    images = pair(*PAIR, size=SIZE)
    sweep(t, images, *FIXED, "--jobs", 3, "--sweep", "manual_scale=0.9,1", "--sweep",
          "scale_percentile=40,60")
    names = ("aligned_pre", "difference", "difference_percentile", "difference_moffat")
    expect([inodes_of(t, f"{name}.tiff") for name in names], [1, 2, 2, 1], "files")
    scales = [json.loads((path / "result.json").read_text())["scale"] for path in variants(t)]
    expect(scales, [0.9, 0.9, 1, 1], "scales")
    expect_no_store(t)


@test("where the map is the same no picture is made again; the bytes are those of single runs")
def _(t):
    images = pair(*PAIR, size=SIZE)
    sweep(t, images, *FIXED, "--jobs", 1, "--sweep", "max_residual=1.5,3")
    expect([inodes_of(t, name) for name in ("aligned_pre.tiff", "difference.tiff")], [1, 1],
           "files")
    first, second = [json.loads((path / "result.json").read_text()) for path in variants(t)]
    expect(first["statistics"], second["statistics"], "statistics")
    warps = [result["stages"][STAGES.index("warp")] for result in (first, second)]
    expect([stage["post_reads"] > 0 for stage in warps], [True, False], "who read post")
    ran = t.run("run", raw_of(images), "-o", t.folder / "alone", *FIXED, "--set",
                "max_residual=3", timeout_s=600)
    expect(ran.returncode, 0, "exit status alone")
    expect_same(t.out / "S/D@max_residual=3", t.folder / "alone/S/D", "max_residual 3")


@test("workers side by side: each stage is made once, the others wait and take it")
def _(t):
    images = pair(*PAIR, size=SIZE)
    sweep(t, images, *FIXED, "--jobs", 3, "--threads", 1, "--sweep", "scale_percentile=40,50,60")
    expect_made(t, once=[*TO_MAP, "scale", "warp"], thrice=["qc"])
    expect_no_store(t)


@test("variants share up to where they differ")
def _(t):
    images = pair(*PAIR, size=SIZE)
    for words, once in (
            ("model=affine,homography", [*SURVEYS, "search"]),
            ("max_residual=2,3", [*TO_MAP[:-1], "scale", "warp"]),
            ("interpolation=cubic,linear", [*TO_MAP, "scale"]),
            ("compression=none,zstd", [*TO_MAP, "scale", "warp"])):
        t.out = t.folder / words.partition("=")[0]
        sweep(t, images, *FIXED, "--jobs", 1, "--sweep", words)
        expect_made(t, once=once, twice=[stage for stage in STAGES if stage not in once])
        expect_no_store(t)


@test("a pair that cannot be aligned fails in all its variants, and is searched once")
def _(t):
    t.generate("S", "D", "--size", "600x500", "--kind", "static")
    t.use_real_worker()
    ran = t.run("run", t.raw, "-o", t.out, *FIXED, "--jobs", 1, "--sweep", "manual_scale=1,2",
                timeout_s=600)
    expect(ran.returncode, 1, f"exit status ({ran.stderr})")
    expect(t.summary()["counts"], {"failed": 2}, "counts")
    expect_made(t, once=TO_MAP, twice=["qc"])
    expect(list(t.out.rglob("*.tiff")), [], "pictures")
    expect_no_store(t)


@test(f"SIGKILL of registrar at {KILLS} random instants (seed {SEED}): the same bytes, no store left")
def _(t):
    images = pair(*PAIR, size=SIZE)
    words = [*FIXED, "--sweep", "manual_scale=1,1.1,1.2", "--threads", 1]
    t.use_real_worker()
    whole, t.out = t.out, t.folder / "whole"
    begin = time.monotonic()
    sweep(t, images, *words, "--jobs", 1)
    longest_s = time.monotonic() - begin
    dice = random.Random(SEED)
    kills = rounds = 0
    while kills < KILLS:
        t.out = t.folder / f"out{rounds}"
        rounds += 1
        while True:
            process = t.start("run", raw_of(images), "-o", t.out, *words, "--jobs",
                              dice.choice((1, 2)))
            try:
                status = process.wait(timeout=dice.uniform(0, longest_s / 2))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                continue
            break
        expect(status, 0, "exit status")
        for path in variants(t):
            expect_same(path, t.folder / "whole" / "S" / path.name, path.name)
        expect_no_store(t)
        left = [str(path) for path in t.out.rglob("*.tmp")]
        expect(left, [], "temporary files")
        shutil.rmtree(t.out)
    t.out = whole


@test("after an interruption the same command goes on with the store, and removes it")
def _(t):
    images = pair(*PAIR, size=SIZE)
    t.use_real_worker()
    words = ["run", raw_of(images), "-o", t.out, *FIXED, "--sweep", "manual_scale=1,2", "--jobs",
             1, "--threads", 1]
    process = t.start(*words)
    t.wait_ledger(lambda record: record["event"] == "task_end", timeout_s=600)
    process.send_signal(signal.SIGINT)
    if process.wait() != 4:
        skip("the second variant was faster than Ctrl-C")
    assert (t.out / "S" / "D@shared").is_dir(), "what is still needed was removed"
    ran = t.run(*words, timeout_s=600)
    expect(ran.returncode, 0, f"exit status ({ran.stderr})")
    entries = json.loads((variants(t)[1] / "result.json").read_text())["stages"]
    again = [entry["stage"] for entry in entries if not entry["resumed"]]
    expect([stage for stage in again if stage in TO_MAP], [], "stages made again")
    expect_no_store(t)


@test("--redo begins from the images, once")
def _(t):
    images = pair(*PAIR, size=SIZE)
    words = [*FIXED, "--sweep", "manual_scale=1,2", "--jobs", 1]
    sweep(t, images, *words)
    sweep(t, images, *words, "--redo")
    expect_made(t, once=[*TO_MAP, "scale", "warp"], twice=["qc"])
    shared = [end.get("shared", False) for end in t.ledger("attempt_end") if end["verdict"] == "ok"]
    assert len(shared) == 4 and shared.count(True) >= 2, f"told in the ledger: {shared}"


@test("the service does the same")
def _(t):
    images = pair(*PAIR, size=SIZE)
    t.use_real_worker()
    daemon = Daemon(t).ready()
    t.out = t.folder / "out"
    ran = t.run("submit", raw_of(images), "-o", t.out, "--socket", daemon.path, "--wait",
                "--quiet", *FIXED, "--sweep", "manual_scale=1,2", timeout_s=600)
    expect(ran.returncode, 0, f"exit status ({ran.stderr})")
    expect([path.name for path in variants(t)], ["D@manual_scale=1", "D@manual_scale=2"], "tasks")
    expect_made(t, once=[*TO_MAP, "scale", "warp"], twice=["qc"])
    expect_no_store(t)
    daemon.process.send_signal(signal.SIGTERM)
    expect(daemon.process.wait(), 0, "the daemon's exit status")


@test("pairs of a manifest are swept, commands are not")
def _(t):
    t.pair("S", "D")
    files = {which: f"raw/S/S_{which}_D.tif" for which in ("pre", "post")}
    path = t.manifest({"id": "any/thing", **files, "params": {"pad": 5}},
                      {"id": "c/1", "command": ["true"], "memory": "1M"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--sweep", "seed=1,2")
    expect(ran.returncode, 0, f"exit status ({ran.stderr})")
    expect([task["id"] for task in t.summary()["tasks"]],
           ["any/thing@seed=1", "any/thing@seed=2", "c/1"], "ids")


# ---- registrar alone ----


@test("a variant does not take the place of another pair only to wait for its sibling")
def _(t):
    t.pair("S", "gate")
    t.pair("T", "gate")
    process = t.start("run", t.raw, "-o", t.out, "--jobs", 2, "--sweep", "pad=1,2")
    for _ in range(2):
        t.wait_worker("gate")
    t.wait_ledger(lambda record: record["event"] == "attempt_start"
                  and record["task"] == "T/gate@pad=1")
    expect([record["task"] for record in t.ledger("attempt_start")],
           ["S/gate@pad=1", "T/gate@pad=1"], "started")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")


@test("what variants share is removed however they end, and after a death too")
def _(t):
    for dye, verdict in (("ok", "ok"), ("failed", "failed"), ("signal-11", "crashed")):
        t.pair("S", dye)
        store = t.out / "S" / f"{dye}@shared" / "search-0123456789abcdef"
        words = ["run", t.raw, "-o", t.out, "--dyes", dye, "--jobs", 1, "--sweep", "pad=1,2"]
        store.mkdir(parents=True)
        (store / "stage.json").write_text("{}")
        t.run(*words)
        expect(t.summary()["counts"], {verdict: 2}, "counts")
        assert not store.parent.exists(), f"{store.parent} is left of {dye}"
        if verdict == "ok":  # registrar died between the last record and the removal
            store.mkdir(parents=True)
            t.run(*words)
            assert not store.parent.exists(), f"{store.parent} is left of an earlier run"


@test("who waits is not stalled, however long it takes")
def _(t):
    t.pair("A", "waiting")
    t.pair("B", "hang")
    t.pair("C", "hang")
    process = t.start("run", t.raw, "-o", t.out, "--jobs", 2, "--retries", 0, "--stall-timeout",
                      "3s", "--sweep", "pad=1")
    t.wait_worker("waiting")
    for task in ("B/hang@pad=1", "C/hang@pad=1"):  # one after the other
        record = t.wait_ledger(lambda record: record["event"] == "attempt_end"
                               and record["task"] == task, timeout_s=120)
        expect(record["verdict"], "stalled", f"verdict of {task}")
    t.open_gate()
    expect(process.wait(), 1, "exit status")
    expect(t.attempts("A/waiting@pad=1"), ["ok"], "verdicts of who waited")


# ---- the worker alone ----


run_tests()
