#!/usr/bin/env python3
"""registrar run: a full disk stops admission with a clear word and loses nothing. Needs root."""
import contextlib
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


@contextlib.contextmanager
def small_disk(t, size):
    """t.out on a file system of its own."""
    t.out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", t.out],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        skip("cannot mount a tmpfs")
    try:
        yield t.out / "filler"
    finally:
        for process in t.processes:
            process.kill()
            process.wait()
        subprocess.run(["umount", "-l", t.out], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def wait_said(t, words):
    """Until registrar has said so on stderr."""
    tail = subprocess.Popen(["tail", "-n", "+1", "-F", t.folder / "stderr"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    t.processes.append(tail)
    assert any(words in line for line in tail.stdout), "it never said so"
    tail.kill()
    tail.wait()


@test("commands: nothing starts while the disk is full, nothing is lost, and it goes on by itself")
def _(t):
    with small_disk(t, "4m") as filler:
        path = t.manifest({"id": "c/0", "command": [str(FAKE_WORKER), "gate"]},
                          *({"id": f"c/{i}", "command": ["true"]} for i in range(1, 30)))
        process = t.start("run", "--manifest", path, "-o", t.out, "--jobs", 1, "--force",
                          "--memory", "1G")
        t.wait_worker("gate")
        fill(filler)
        t.open_gate()
        wait_said(t, "the tmpfs (RAM and no disk) that holds ")
        expect_in("mount -o remount,size=", (t.folder / "stderr").read_text(), "what to do")
        expect(process.poll(), None, "it waits")
        filler.unlink()
        expect(process.wait(), 0, "exit status")
        expect(t.summary()["counts"], {"ok": 30}, "counts")
        expect_in("there is room on the disk again", (t.folder / "stderr").read_text(), "stderr")
        expect(t.run("ledger", "verify", "-o", t.out).returncode, 0, "ledger verify")


@test("a worker that meets a full disk is tried again when there is room")
def _(t):
    with small_disk(t, "80m") as filler:
        t.pair("A", "first-environment")
        t.pair("B", "gate")
        fill(filler)
        os.truncate(filler, filler.stat().st_size - (8 << 20))  # 8 MiB are left
        process = t.start("run", t.raw, "-o", t.out, "--jobs", 1, "--force")
        wait_said(t, "nothing new is started until 64 MiB are free")
        expect(process.poll(), None, "it waits")
        filler.unlink()
        t.wait_worker("gate")
        t.open_gate()
        expect(process.wait(), 0, "exit status")
        expect(t.attempts("A/first-environment"), ["failed", "ok"], "verdicts")


@test("Ctrl-C while the disk is full: what is recorded stands, exit 4")
def _(t):
    with small_disk(t, "80m") as filler:
        t.pair("A", "environment")
        fill(filler)
        os.truncate(filler, filler.stat().st_size - (8 << 20))
        process = t.start("run", t.raw, "-o", t.out, "--jobs", 1, "--force")
        wait_said(t, "is full")
        process.send_signal(signal.SIGINT)
        expect(process.wait(), 4, "exit status")
        expect(t.attempts("A/environment"), ["failed"], "verdicts")


@test("plan: a folder in RAM is counted as memory, and a small one is told as what it is")
def _(t):
    t.use_real_worker()
    t.generate("A", "DAPI", "--size", "600x500")
    t.generate("B", "DAPI", "--size", "600x500")
    beside = t.folder / "beside"
    (beside / "B").mkdir(parents=True)
    (beside / "A").symlink_to(t.out / "A")  # one sample's folder in RAM, the others on disk
    with small_disk(t, "1m"):
        (t.out / "A").mkdir()
        ran = t.run("plan", t.raw, "-o", t.out)
        expect(ran.returncode, 3, "exit status")
        text = ran.stdout + ran.stderr
        expect_in(" of results = ", text, "plan")
        expect_in(f"{t.out} is in RAM (tmpfs)", text, "plan")
        expect_in(f" in {t.out}, which is RAM and no disk (tmpfs), or make it larger", text, "plan")
        ran = t.run("plan", t.raw, "-o", beside)
        expect(ran.returncode, 0, "exit status")
        expect_in(" of results = ", ran.stdout + ran.stderr, "plan")
        expect_in("folders of some tasks are in RAM", ran.stdout + ran.stderr, "plan")


run_tests()
