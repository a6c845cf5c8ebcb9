#!/usr/bin/env python3
# timeout: 180
"""registrar explain: the story of one task from the ledger, whatever became of it."""
import os
import re
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import make_group
from worker_run import NARROW

ALIGN_S = 100 * float(os.environ.get("TIMEOUT_FACTOR", "1"))  # for a small pair
FAKE = str(FAKE_WORKER)
SANITIZED = b"__asan_init" in REGISTRAR.read_bytes()  # its shadow memory counts


def explain(t, task, *options, status=0):
    ran = t.run("explain", task, "-o", t.out, *options)
    expect((task, ran.returncode, ran.stderr if status == 0 else ""), (task, status, ""), "explain")
    return " ".join((ran.stdout if status == 0 else ran.stderr).split())  # lines are wrapped


def refusal(t, *arguments):
    ran = t.run("explain", *arguments)
    expect((ran.returncode, ran.stdout), (2, ""), f"explain {arguments}")
    return ran.stderr


STORIES = {
    "ok": ["S/ok: ok, 1 attempt", "nothing is to be done", "--samples S --dyes ok --redo"],
    "doubtful": ["verdict doubtful: only 3 of 24 tiles agree", "look before you use it"],
    "input": ["verdict failed: float pixels", "the same files and parameters would fail again"],
    "environment": ["Attempt 2,", "the same command tries it again"],
    "signal-11": ["crashed, 2 attempts", "ended by SIGSEGV", "To try again:"],
    "signal-9": ["killed: SIGKILL from elsewhere", "ended by SIGKILL",
                 "the machine's oom_kill", "it reported nothing of it"],
    "first-signal-11": ["ok, 2 attempts", "verdict crashed with SIGSEGV", "verdict ok"],
    "tell-30": ["its buffers", "30 MiB", "in stage tell-30", "tile cache 22 MiB 75 %", "others"],
}


@test("every verdict has its story, with the log and the command to type")
def _(t):
    for dye in STORIES:
        t.pair("S", dye)
    t.run("run", t.raw, "-o", t.out, "--force", "--jobs", 4)
    for dye, parts in STORIES.items():
        story = explain(t, f"S/{dye}")
        for part in [*parts, "predicted", "from the headers of its images", "measured peak",
                     f"Log: {t.out}/S/{dye}/log.txt"]:
            expect_in(part, story, dye)
        if dye != "ok" and "ok" not in parts[0]:
            expect_in(f"registrar run {t.raw} -o {t.out} --force", story, dye)
    told = json.loads(t.run("explain", "S/signal-11", t.out / "ledger.jsonl", "--json").stdout)
    expect((told["state"], told["verdict"]), ("finished", "crashed"), "--json")
    expect([attempt["verdict"] for attempt in told["attempts"]], ["crashed"] * 2, "attempts")
    expect_in("registrar run", told["next"]["command"])


@test("a limit that was hit: the counters, what stood in memory, and what to write where")
def _(t):
    if SANITIZED:
        skip("a sanitized program does not fit these limits")
    t.preexec = make_group(t).enter
    path = t.manifest({"id": "c/tell", "command": [FAKE, "tell-200"], "memory": "100M"})
    expect(t.run("run", "--manifest", path, "-o", t.out, "--force", "--retries", 0).returncode, 1, "exit")
    story = explain(t, "c/tell")
    for part in ("predicted 100 MiB, as the manifest declares", "the kernel's limit was 100 MiB",
                 "its buffers asked for 200 MiB at most in stage tell-200", "tile cache 150 MiB 75 %",
                 '"memory":"256M" in its entry of the manifest'):
        expect_in(part, story)
    # on v2 the whole group is killed, each process counted
    assert re.search(r"oom_kill 0 -> [1-9]\d*: so it hit its own limit", story), story


@test("while the run goes on, after it was killed, and over two runs")
def _(t):
    t.pair("S", "gate")
    t.pair("S", "later")
    process = t.start("run", t.raw, "-o", t.out, "--force", "--jobs", 1)
    t.wait_worker("gate")
    story = explain(t, "S/gate")
    expect_in("S/gate runs now, 1 attempt", story)
    expect_in(f"the run (process {process.pid}) shows how far it is", story)
    expect_in("those that wait for their first attempt are not in it",
              explain(t, "x/zzzzzzzz", status=2))
    process.kill()
    process.wait()
    expect_in("registrar or the machine died while it ran", explain(t, "S/gate"))
    process = t.start("run", t.raw, "-o", t.out, "--force", "--jobs", 1)
    t.wait_worker("gate")
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    story = explain(t, "S/gate")
    for part in ("S/gate: ok, 2 attempts", "verdict lost: registrar or the machine ended", "Attempt 2,"):
        expect_in(part, story)


@test("the worker's own buffers are in the story")
def _(t):
    t.use_real_worker()
    t.generate("S", "D", "--size", "300x250")
    narrow = [f"--set={name}={value}" for name, value in NARROW.items()]
    t.run("run", t.raw, "-o", t.out, *narrow, timeout_s=ALIGN_S)
    expect_in("BUFFER SIZE SHARE", explain(t, "S/D"))
    peak = t.ledger("attempt_end")[-1]["peak"]
    assert 0 < len(peak["buffers"]) <= 8, peak
    assert peak["stage"] and sum(buffer["bytes"] for buffer in peak["buffers"]) <= peak["bytes"], peak


@test("a worker that the kernel killed had told what stood in its memory")
def _(t):
    if SANITIZED:
        skip("a sanitized program does not fit these limits")
    t.preexec = make_group(t, 20 << 20).enter
    t.use_real_worker()
    t.generate("S", "D", "--size", "1500x1200")
    t.run("run", t.raw, "-o", t.out, "--force", "--retries", 0, timeout_s=ALIGN_S)
    end = t.ledger("attempt_end")[-1]
    expect(end["verdict"], "oom-machine", "verdict")  # the limit is that of the group above
    assert end["peak"]["bytes"] > 4 << 20 and end["peak"]["buffers"], end
    story = explain(t, "S/D")
    expect_in("so a group above its own ran out; the machine had memory left", story)
    expect_in("a control group that registrar runs in", story)
    expect_in(end["peak"]["buffers"][0]["label"], story)
    expect_in(f"in stage {end['peak']['stage']}", story)


@test("what is wrong with the words is said, with what was perhaps meant")
def _(t):
    t.pair("S", "ok")
    t.run("run", t.raw, "-o", t.out, "--force")
    expect_in("nothing about the task S/ko; did you mean S/ok?", refusal(t, "S/ko", "-o", t.out))
    expect_in("its tasks are called S/ok, for example", refusal(t, "far/away-from-it", "-o", t.out))
    expect_in("say which task", refusal(t))
    expect_in("say which ledger: registrar explain S/ok -o OUT", refusal(t, "S/ok"))
    expect_in("not both", refusal(t, "S/ok", t.out, "-o", t.out))
    expect_in("there is no ledger", refusal(t, "S/ok", "-o", t.folder / "none"))


run_tests()
