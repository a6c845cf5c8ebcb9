#!/usr/bin/env python3
# timeout: 240
"""registrar run when memory is short: second chances after an out-of-memory death, and the watch
that makes room before the kernel does. Needs a control group that may be divided
(tests/lib/cgroups.py)."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import make_group

MIB = 1 << 20
FAKE = str(FAKE_WORKER)
SANITIZED = b"__asan_init" in REGISTRAR.read_bytes()  # its shadow memory counts


def in_group(t, limit=None):
    if SANITIZED:
        skip("a sanitized program does not fit these limits")
    group = make_group(t, limit)
    t.preexec = group.enter
    return group


def expect_reserved(t, task_id, *wanted_mib):
    """A peak, and with it the next reservation, is some pages above the limit that it met."""
    got = [record["reserved_bytes"] for record in t.ledger("attempt_start")
           if record["task"] == task_id]
    expect([bytes // (8 * MIB) * 8 for bytes in got], list(wanted_mib), "reservations, in MiB")


def expect_gone(t, group):
    expect(group.leftovers(), [], "groups left")
    expect(t.leftovers(), [], "processes left")


@test("out of memory: again with a larger reservation, which may exceed what is declared")
def _(t):
    group = in_group(t)
    path = t.manifest({"id": "c/more", "command": [FAKE, "grow-80"], "memory": "64M"},
                      {"id": "c/fits", "command": [FAKE, "grow-20"], "memory": "64M"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--jobs", 2)
    expect(ran.returncode, 0, "exit status")
    expect(t.attempts("c/more"), ["oom-limit", "ok"], "verdicts")
    expect_reserved(t, "c/more", 64, 96)
    expect_in(" MiB (the manifest declares 64 MiB)", ran.stderr)
    first = next(end for end in t.ledger("attempt_end") if end["verdict"] == "oom-limit")
    second = [start for start in t.ledger("attempt_start") if start["task"] == "c/more"][1]
    expect(first["evidence"]["next"],
           {"step": "larger", "reserved_bytes": second["reserved_bytes"]}, "evidence")
    expect_gone(t, group)


@test("out of memory twice: alone, with all that the batch may use")
def _(t):
    group = in_group(t)
    path = t.manifest({"id": "c/most", "command": [FAKE, "grow-200"], "memory": "64M"},
                      *({"id": f"c/{i}", "command": [FAKE, "grow-20"], "memory": "64M"}
                        for i in range(4)))
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--jobs", 3)
    expect(ran.returncode, 0, "exit status")
    expect(t.attempts("c/most"), ["oom-limit", "oom-limit", "ok"], "verdicts")
    expect_reserved(t, "c/most", 64, 96, 296)
    expect_in("; trying again alone, with all 300 MiB", ran.stderr)
    running, alone = set(), False
    for record in t.ledger():
        if record["event"] == "attempt_start":
            running.add(record["task"])
            if record["reserved_bytes"] == 300 * MIB:
                expect(running, {"c/most"}, "what runs beside it")
                alone = True
            else:
                assert not alone or "c/most" not in running, record
        elif record["event"] == "attempt_end":
            running.discard(record["task"])
    assert alone
    expect_gone(t, group)


@test("out of memory alone, too: failed, with the story; the same without second chances")
def _(t):
    group = in_group(t)
    path = t.manifest({"id": "c/never", "command": [FAKE, "grow-400"], "memory": "64M"},
                      {"id": "c/crash", "command": [FAKE, "signal-11"], "memory": "64M"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--jobs", 1)
    expect(ran.returncode, 1, "exit status")
    expect(t.attempts("c/never"), ["oom-limit"] * 3, "verdicts")
    expect(t.attempts("c/crash"), ["crashed"] * 2, "--retries 1 is another count")
    expect_in("it ran out of memory 3 times, the last time alone, with all 300 MiB",
              t.task("c/never")["reason"], "reason")
    t.out = t.folder / "once"
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--retries", 0)
    expect(ran.returncode, 1, "exit status")
    expect(t.attempts("c/never"), ["oom-limit"], "verdicts")
    expect_gone(t, group)


run_tests()
