#!/usr/bin/env python3
# timeout: 120
"""registrar run --on-finish: the summary as JSON on its standard input, and no effect on the rest."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


def notes(t):
    return [record["text"] for record in t.ledger("note")]


@test("it gets the summary when every task has its verdict, and runs in OUT")
def _(t):
    path = t.manifest({"id": "a", "command": ["true"]}, {"id": "b", "command": ["false"]})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--on-finish",
                "cat >got.json; echo $REGISTRAR_EVENT $REGISTRAR_OUT >said")
    expect(ran.returncode, 1, "exit status: " + ran.stderr)
    got = json.loads((t.out / "got.json").read_text())
    expect(got, t.summary(), "what it got")
    expect({row["id"]: row["verdict"] for row in got["tasks"]}, {"a": "ok", "b": "failed"}, "tasks")
    expect((t.out / "said").read_text(), f"on-finish {t.out}\n", "its environment")
    expect_in("on-finish ended well", notes(t))
    expect(t.run("ledger", "verify", "-o", t.out).returncode, 0, "the ledger")


@test("one that fails is told and noted, and changes nothing else")
def _(t):
    path = t.manifest({"id": "a", "command": ["true"]})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--on-finish", "exit 9")
    expect(ran.returncode, 0, "exit status")
    expect_in("registrar: on-finish ended with exit status 9 after ", ran.stderr)
    assert any(note.startswith("on-finish ended with exit status 9") for note in notes(t)), notes(t)
    again = t.run("run", "--manifest", path, "-o", t.out, "--on-finish", "cat >got.json")
    expect(again.returncode, 0, "exit status of a run with nothing to do")
    expect(json.loads((t.out / "got.json").read_text())["counts"], {"ok": 1}, "counts")


@test("an interrupted run is not finished")
def _(t):
    t.pair("S1", "polite")
    process = t.start("run", t.raw, "-o", t.out, "--on-finish", "touch finished")
    t.wait_worker("polite")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")
    assert not (t.out / "finished").exists(), "on-finish was run"


@test("an empty command is refused, and plan has no use for one")
def _(t):
    path = t.manifest({"id": "a", "command": ["true"]})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--on-finish", "")
    expect(ran.returncode, 2, "exit status")
    expect_in('--on-finish: "" is not allowed; give a command line for the shell', ran.stderr)
    ran = t.run("plan", "--manifest", path, "-o", t.out, "--on-finish", "true")
    expect(ran.returncode, 2, "exit status")
    expect_in("--on-finish does not go with registrar plan", ran.stderr)


run_tests()
