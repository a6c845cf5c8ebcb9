#!/usr/bin/env python3
"""The benches' table: kept between runs, printed, put into README; and README's own is of this form."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

BENCH = ROOT / "tests" / "bench" / "bench"


def bench(t, *words):
    """The benches with figures of their own, below t.folder."""
    env = dict(os.environ, BUILD=str(t.folder / "build"), BENCH_DIR=str(t.folder / "scratch"))
    env.pop("QUICK", None)
    return subprocess.run([sys.executable, BENCH, *words], env=env, text=True, capture_output=True,
                          check=False)


def keep(t, **parts):
    """Figures of earlier runs: part: [(what, measured, wanted, met, value)]."""
    names = ("what", "measured", "wanted", "met", "value")
    rows = {part.replace("_", "-"): {"date": "2026-11-21", "cpus": 2, "system": "x", "rows": [
        {**dict(zip(names, row)), "command": f"measure {part} | tee"} for row in rows]}
        for part, rows in parts.items()}
    path = t.folder / "build" / "bench" / "rows.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def peaks(small, large):
    """What the part growth reads: KiB at the two sizes, of both kinds."""
    return {f"{size}_{word}": [(f"{side} {kind}, worker's peak RSS", "", "", None, kib)]
            for size, side, kib in (("small", "12000x10000", small), ("large", "30000x25000", large))
            for word, kind in (("rgb", "RGB8"), ("grey", "16-bit grey"))}


@test("a part's rows take the place of its old ones; what is missed is the exit status")
def _(t):
    path = keep(t, plan=[("plan", "0.1 s", "< 1 s", True, None)], **peaks(100, 120))
    ran = bench(t, "growth")
    expect(ran.returncode, 0, f"exit status ({ran.stdout} {ran.stderr})")
    rows = json.loads(path.read_text())
    expect([row["measured"] for row in rows["growth"]["rows"]], ["x 1.20"] * 2, "rows")
    expect(rows["plan"]["rows"][0]["measured"], "0.1 s", "the row of another part")
    keep(t, **peaks(100, 126))
    ran = bench(t, "growth")
    expect(ran.returncode, 1, "exit status of a miss")
    expect_in("x 1.26   MISSED", ran.stdout)
    keep(t)
    ran = bench(t, "growth")
    expect(ran.returncode, 1, "exit status without figures")
    expect_in("could not be measured: small-rgb has not measured 12000x10000 RGB8", ran.stdout)
    ran = bench(t, "speed")
    expect(ran.returncode, 1, "exit status of an unknown part")
    expect_in("no part speed; there are ", ran.stderr)


@test("the table in both forms")
def _(t):
    keep(t, plan=[("plan | all", "0.1 s", "< 1 s", True, None), ("more", "3", "", None, None)],
         kills=[("tiles", "1", "0", False, None)])
    text = bench(t, "--table").stdout
    expect_in("1 pass, 1 missed; not measured yet: ", text)
    assert text.index("kills") < text.index("plan"), "the order is that of the parts"
    text = bench(t, "--markdown").stdout
    expect_in("| kills | tiles | 1 | 0 | MISSED |\n| plan | plan \\| all | 0.1 s | < 1 s | pass |\n"
              "|  | more | 3 |  |  |\n", text)
    expect_in("Measured 2026-11-21 with 2 cores.", text)
    expect_in("- kills: `measure kills | tee`\n", text)


@test("README's table is of this form, and its parts exist")
def _(t):
    parts = [line.split()[0] for line in bench(t, "--list").stdout.splitlines()]
    readme = (ROOT / "README.md").read_text()
    table = readme.partition("<!-- bench -->\n")[2].partition("<!-- end of bench -->")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    expect(lines[0], "| part | what | measured | wanted | |", "the table's head")
    named = [line.split(" | ")[0].strip("| ") for line in lines[1:]]
    assert named and named[0], "the table has no rows"
    expect([name for name in named if name and name not in parts], [], "parts that do not exist")


run_tests()
