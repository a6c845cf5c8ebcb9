#!/usr/bin/env python3
# timeout: 90
"""registrar run: the same command again does only what is missing."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


def run(t, *options):
    return t.run("run", t.raw, "-o", t.out, *options)


def attempts_made(t):
    return len(t.ledger("attempt_start"))


@test("what is done is not done again, and a new pair is")
def _(t):
    t.pair("A", "ok")
    t.pair("A", "doubtful")
    t.pair("A", "input")
    expect(run(t).returncode, 1, "exit status")
    expect(attempts_made(t), 3, "attempts")
    ran = run(t)
    expect(ran.returncode, 1, "the verdicts still stand")
    expect(attempts_made(t), 3, "attempts of the second run")
    expect(t.summary()["counts"], {"ok": 1, "doubtful": 1, "failed": 1}, "counts")
    t.pair("B", "ok")
    run(t)
    expect(attempts_made(t), 4, "attempts after a pair was added")
    stage = t.out / "A" / "ok" / "checkpoints" / "survey.json"
    stage.parent.mkdir(exist_ok=True)
    stage.write_text("{}")
    run(t, "--redo")
    expect(attempts_made(t), 8, "attempts after --redo")
    assert not stage.exists(), "--redo kept a finished stage"


@test("what a run left half-written as it was killed after the task's end is removed")
def _(t):
    t.pair("A", "ok")
    run(t)
    half = t.out / "A" / "ok" / "memory.csv.tmp"
    half.write_text("time")
    expect(run(t).returncode, 0, "exit status")
    expect(attempts_made(t), 1, "attempts")
    assert not half.exists(), "memory.csv.tmp is left"


@test("what crashed, stalled or lacked something runs again")
def _(t):
    for dye in ("signal-11", "environment", "ok"):
        t.pair("A", dye)
    run(t, "--retries", 0)
    expect(attempts_made(t), 3, "attempts")
    run(t, "--retries", 0)
    expect(attempts_made(t), 5, "attempts of the second run")
    ran = t.run("run", t.raw, "-o", t.out, "--retries", 0)
    expect(" tries)" in ran.stdout or "TRIES" in ran.stdout, False, "one try in this run is no news")
    expect(t.task("A/signal-11")["attempts"], 3, "attempts of one task in all runs")


@test("changed inputs, parameters or outputs are noticed")
def _(t):
    t.pair("A", "ok")
    run(t)
    os.utime(t.raw / "A" / "A_pre_ok.tif")
    run(t)
    expect(attempts_made(t), 1, "a touched file with the same content")
    (t.raw / "A" / "A_pre_ok.tif").write_bytes(b"something else")
    run(t)
    expect(attempts_made(t), 2, "another content")
    run(t, "--set", "scale_max=1.3")
    expect(attempts_made(t), 3, "another parameter")
    (t.out / "A" / "ok" / "aligned_pre.tiff").unlink()
    run(t, "--set", "scale_max=1.3")
    expect(attempts_made(t), 4, "an output that is gone")
    expect(run(t, "--set", "scale_max=1.3").returncode, 0, "exit status")
    expect(attempts_made(t), 4, "nothing changed")


@test("two runs cannot share an output folder")
def _(t):
    t.pair("A", "gate")
    first = t.start("run", t.raw, "-o", t.out)
    t.wait_worker("gate")
    second = run(t)
    expect(second.returncode, 5, "exit status of the second")
    expect_in(str(first.pid), second.stderr, "the first one's pid")
    t.open_gate()
    expect(first.wait(), 0, "exit status of the first")


@test("a damaged ledger is refused by name, and nothing starts")
def _(t):
    t.pair("A", "ok")
    run(t)
    path = t.out / "ledger.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"batch", b"botch")
    path.write_bytes(b"\n".join(lines))
    t.pair("B", "ok")
    ran = run(t)
    expect(ran.returncode, 5, "exit status")
    expect_in("line 2", ran.stderr, "stderr")
    expect((t.out / "B").exists(), False, "something started")


@test("a torn tail is set aside, told, and healed")
def _(t):
    t.pair("A", "ok")
    run(t)
    with open(t.out / "ledger.jsonl", "ab") as ledger:
        ledger.write(b'{"v":1,"seq":99,"ti')
    ran = run(t)
    expect(ran.returncode, 0, "exit status")
    expect_in("set aside in", ran.stderr, "stderr")
    expect(t.run("ledger", "verify", "-o", t.out).returncode, 0, "ledger verify")
    expect(attempts_made(t), 1, "attempts")


run_tests()
