#!/usr/bin/env python3
"""registrar doctor on this machine, whatever it is: what it prints, says and returns belongs together.
What it makes of other machines is tests/unit/test_findings.c's."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

NAMES = {"control groups", "memory pressure", "landlock", "seccomp", "journal", "state folder", "swap",
         "clock", "open files", "worker"}


@test("every check is a line, ok or with what to change, and the exit status says whether there is any")
def _(t):
    ran = t.run("doctor", "--state-dir", t.folder, "--json")
    report = json.loads(ran.stdout)
    assert NAMES <= {row["name"] for row in report["checks"]}, report
    wrong = [row for row in report["checks"] if not row["ok"]]
    expect(report["warnings"], len(wrong), "number of warnings")
    expect(ran.returncode, 1 if wrong else 0, "exit status")
    for row in report["checks"]:
        assert row["text"], row
        expect(bool(row["fix"]), not row["ok"], f"has something to change: {row}")
    shown = t.run("doctor", "--state-dir", t.folder)
    expect(shown.returncode, ran.returncode, "exit status without --json")
    for row in report["checks"]:
        head = ("ok" if row["ok"] else "warn").ljust(6) + row["name"]
        assert any(line.startswith(head) for line in shown.stdout.splitlines()), (head, shown.stdout)
    expect(shown.stdout.count("-> "), len(wrong), "what to change")


@test("a state folder in memory is told")
def _(t):
    types = {line.split()[1]: line.split()[2]
             for line in Path("/proc/mounts").read_text().splitlines()}
    if types.get("/dev/shm") != "tmpfs" or not os.access("/dev/shm", os.W_OK):
        skip("no tmpfs at /dev/shm")
    ran = t.run("doctor", "--state-dir", "/dev/shm/registrar", "--json")
    row = next(row for row in json.loads(ran.stdout)["checks"] if row["name"] == "state folder")
    expect(row["ok"], False, "the check")
    expect_in("is in memory: the queue is gone after a reboot", row["text"])
    expect(ran.returncode, 1, "exit status")


@test("a worker that is not there is told")
def _(t):
    t.env["REGISTRAR_WORKER"] = str(t.folder / "nowhere")
    ran = t.run("doctor", "--state-dir", t.folder, "--json")
    row = next(row for row in json.loads(ran.stdout)["checks"] if row["name"] == "worker")
    expect(row["ok"], False, "the check")
    expect(ran.returncode, 1, "exit status")


@test("words that it does not know")
def _(t):
    ran = t.run("doctor", "now")
    expect(ran.returncode, 2, "exit status")
    expect_in('"now" is one word too many: doctor takes options', ran.stderr)
    ran = t.run("doctor", "--state-dir", "relative")
    expect(ran.returncode, 2, "exit status")
    expect_in('--state-dir: "relative" is not allowed; give a path from the root on', ran.stderr)


run_tests()
