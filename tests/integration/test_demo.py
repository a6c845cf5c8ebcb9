#!/usr/bin/env python3
# timeout: 240
"""make demo, twice: the first thing that anybody runs."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


def demo(t):
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    env.pop("REGISTRAR_WORKER", None)
    return subprocess.run([ROOT / "examples" / "demo", BUILD, t.folder / "demo"], env=env,
                          capture_output=True, text=True, check=False)


def verdicts(t):
    summary = json.loads((t.folder / "demo/out/summary.json").read_text())
    return {row["id"]: row["verdict"] for row in summary["tasks"]}


@test("the demo aligns what can be aligned, and finds everything finished the second time")
def _(t):
    ran = demo(t)
    expect(ran.returncode, 0, "demo: " + ran.stdout + ran.stderr)
    found = verdicts(t)
    for task in ("CD070/DAPI", "CD070/Alizarin", "CD071/DAPI"):
        expect(found[task], "ok", task)
    assert found["CD071/Calcein"] in ("failed", "doubtful"), found
    expect(found["CD072/DAPI"], "failed", "the file cut short")
    expect_in("CD072_post_DAPI.tif", ran.stdout + ran.stderr, "the problem is named")
    t.out = t.folder / "demo/out"
    before = len(t.ledger("attempt_start"))
    ran = demo(t)
    expect(ran.returncode, 0, "second demo: " + ran.stdout + ran.stderr)
    expect(verdicts(t), found, "verdicts of the second run")
    expect(len(t.ledger("attempt_start")), before, "attempts after the second run")


run_tests()
