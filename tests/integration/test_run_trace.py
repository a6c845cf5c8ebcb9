#!/usr/bin/env python3
# timeout: 120
"""registrar run: the course of memory: memory.csv, --memory-trace, and the supervisor's own."""
import csv
import os
import re
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import hide_cgroups

MIB = 1 << 20
ASAN = b"__asan_init" in REGISTRAR.read_bytes()
COLUMNS = ["seconds", "resident_bytes", "anonymous_bytes", "file_bytes", "swap_bytes", "attempt"]
# holds so many MiB for so many seconds, time enough for a good many looks
HOLD = ("import signal, sys; held = bytearray(int(sys.argv[1]) << 20); "
        "signal.sigtimedwait([], float(sys.argv[2]))")


def hold(mib, seconds=1):
    return ["python3", "-c", HOLD, str(mib), str(seconds)]


def rows(t, task):
    with open(t.out / task / "memory.csv", newline="") as file:
        reader = csv.DictReader(file)
        found = [{key: float(value) for key, value in row.items()} for row in reader]
    expect(reader.fieldnames, COLUMNS, "columns")
    return found


def end_of(t, task):
    return [end for end in t.ledger("attempt_end") if end["task"] == task][-1]


@test("a task's course: its peak is in it, its sums are right, the ledger has least and peak")
def _(t):
    path = t.manifest({"id": "c/hold", "command": hold(64), "memory": "100M"})
    expect(t.run("run", "--manifest", path, "-o", t.out).returncode, 0, "exit status")
    course, end = rows(t, "c/hold"), end_of(t, "c/hold")
    assert len(course) >= 3, course
    expect([row["seconds"] for row in course], sorted(row["seconds"] for row in course), "times")
    expect({row["attempt"] for row in course}, {1.0}, "attempts")
    for row in course:
        expect(row["anonymous_bytes"] + row["file_bytes"], row["resident_bytes"], "parts")
    most = max(row["resident_bytes"] for row in course)
    assert 64 * MIB < most < 80 * MIB, most
    assert abs(most - end["peak_rss_bytes"]) < 4 * MIB, (most, end["peak_rss_bytes"])
    expect(min(row["resident_bytes"] for row in course), end["min_rss_bytes"], "the least")
    ran = t.run("ledger", "csv", "-o", t.out)
    expect(ran.stdout.splitlines(), ["task_key,min_memory_mb,max_memory_mb",
                                     f"c/hold,{end['min_rss_bytes'] / MIB:.12g},"
                                     f"{end['peak_rss_bytes'] / MIB:.12g}"], "ledger csv")


@test("a task that was ended has its course too, and a further attempt's follows")
def _(t):
    path = t.manifest({"id": "c/slow", "command": hold(8, 600), "memory": "50M", "timeout": "1s"})
    for attempt in (1, 2):
        expect(t.run("run", "--manifest", path, "-o", t.out, "--redo").returncode, 1, "exit status")
        expect(t.attempts("c/slow"), ["timeout"] * attempt, "verdicts")
        expect(sorted({row["attempt"] for row in rows(t, "c/slow")}),
               [1.0, 2.0][:attempt], "attempts")


@test("what a command starts is counted with it")
def _(t):
    script = 'for i in 1 2 3; do python3 -c "$0" 40 2 & done; wait'
    path = t.manifest({"id": "c/many", "command": ["sh", "-c", script, HOLD], "memory": "400M"})
    expect(t.run("run", "--manifest", path, "-o", t.out).returncode, 0, "exit status")
    most = max(row["anonymous_bytes"] for row in rows(t, "c/many"))
    assert 120 * MIB < most < 160 * MIB, most
    peak = end_of(t, "c/many")["peak_rss_bytes"]
    assert 120 * MIB < peak < 160 * MIB, peak


@test("without control groups too, and what processes share is counted once in the peak")
def _(t):
    if os.geteuid() != 0:
        skip("needs root")
    t.preexec = hide_cgroups
    apart = 'for i in 1 2 3; do python3 -c "$0" 40 3 & done; wait'
    shared = ("import os, signal; held = bytearray(100 << 20)\n"
              "any(os.fork() == 0 for _ in range(3))\n"
              "signal.sigtimedwait([], 2)")
    path = t.manifest(
        {"id": "c/apart", "command": ["sh", "-c", apart, HOLD], "memory": "400M"},
        {"id": "c/shared", "command": ["python3", "-c", shared], "memory": "400M"})
    expect(t.run("run", "--manifest", path, "-o", t.out, "--jobs", 1).returncode, 0, "exit status")
    peak = end_of(t, "c/apart")["peak_rss_bytes"]
    assert 120 * MIB < peak < 160 * MIB, peak
    most = max(row["anonymous_bytes"] for row in rows(t, "c/shared"))
    assert most > 400 * MIB, most
    peak = end_of(t, "c/shared")["peak_rss_bytes"]
    assert 100 * MIB < peak < 150 * MIB, peak


@test("what ends before it is seen three times leaves no file")
def _(t):
    path = t.manifest(*({"id": f"c/{i}", "command": ["true"], "memory": "1M"} for i in range(20)))
    ran = t.run("run", "--manifest", path, "-o", t.out, "--sample-interval", "1m")
    expect(ran.returncode, 0, "exit status")
    expect(list(t.out.glob("c/*/memory.csv")), [], "files")
    expect({end["min_rss_bytes"] for end in t.ledger("attempt_end")}, {0}, "the least")


@test("an interval that makes no sense is refused by name")
def _(t):
    for text in ("0", "2h", "-1s", "fast"):
        ran = t.run("run", t.raw, "-o", t.out, "--sample-interval", text)
        expect(ran.returncode, 2, "exit status")
        expect(ran.stderr, f'registrar: --sample-interval: "{text}" is not allowed; give a duration '
               "from 1ms to 1h, like 10ms\n", "stderr")


@test("--memory-trace: a line before and after each attempt, and at the end that all is well")
def _(t):
    path = t.manifest(*({"id": f"c/{i}", "command": ["true"], "memory": "20M"} for i in range(24)))
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory-trace", "--jobs", 2)
    expect(ran.returncode, 0, "exit status")
    for i in range(24):
        line = (rf"memory    c/{i} starts: forecast [\d.]+ MiB, reserved 20 MiB; "
                r"registrar [\d.]+ MiB, [\d.]+ .iB available")
        assert re.search(line, ran.stderr), f"{line} is not in {ran.stderr}"
        line = (rf"memory    c/{i} ended: least (not seen|[\d.]+ .iB), peak [\d.]+ MiB, "
                r"reserved 20 MiB; registrar [\d.]+ MiB, [\d.]+ .iB available")
        assert re.search(line, ran.stderr), f"{line} is not in {ran.stderr}"
    closing = ran.stderr[ran.stderr.index("\nMemory: "):].splitlines()[1:]
    if not ASAN:  # which holds back what is freed
        expect(closing[0], "Memory: all is well.", "closing words")
        expect_in("registrar itself does not grow: it held ", closing[1], "closing words")
    expect_in("true keeps to its forecast, attempts: 24; closest was c/", closing[2], "closing words")
    expect_in(" % of a core, every ", closing[3], "closing words")
    for line in t.run("run", "--manifest", path, "-o", t.out, "--redo").stderr.splitlines():
        assert not line.lower().startswith("memory"), line


@test("--memory-trace names the kind that overruns its forecast, --quiet leaves only that")
def _(t):
    # the least limit that the kernel is given is far above 1 MiB
    path = t.manifest({"id": "c/liar", "command": hold(1, 0.1), "memory": "1M", "kind": "ours"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory-trace", "--quiet")
    expect(ran.returncode, 0, "exit status")
    expect(ran.stderr.splitlines()[0], "Memory: a forecast is overrun.", "closing words")
    expect_in("ours overruns its forecast in 1 of 1 attempts; worst was c/liar: it needed ",
              ran.stderr, "closing words")
    expect_in(" and 1.0 MiB were reserved.", ran.stderr, "closing words")


@test("the supervisor does not grow with the number of tasks that are done")
def _(t):
    first, last = 100, 1000
    tasks = [{"id": f"c/{i}", "command": ["true"], "memory": "1M"} for i in range(last)]
    path = t.manifest({"id": "gate", "command": [str(FAKE_WORKER), "gate"], "memory": "2M"}, *tasks)
    process = t.start("run", "--manifest", path, "-o", t.out, "--quiet", "--jobs", 4)
    t.wait_worker("gate")

    def resident_after(count):
        ends = iter(range(count - 1))
        t.wait_ledger(lambda record: record["event"] == "task_end" and next(ends, None) is None)
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    before, after = resident_after(first), resident_after(last)
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    if not ASAN:
        assert after - before < MIB, f"{before} bytes after {first} tasks, {after} after {last}"


run_tests()
