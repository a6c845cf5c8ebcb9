"""Real pairs, where they are at hand: two scanners, two rounds, two stains, and landmarks that
people placed."""
import math
import re
import shutil
import subprocess

from bench_common import SHARED, fresh, load, run_quietly

MOST = {"auto": 0.010, "affine": 0.010, "grid": 0.008}  # median of medians, share of the diagonal


def _needs_data():
    assert (SHARED / "data").exists(), "no ../shared/data"


def scans(table):
    """Pairs without landmarks: what the tiles say that the fit did not use."""
    _needs_data()
    folder = fresh("scans")
    run_quietly(SHARED / "data" / "pairs", folder / "out")
    for sample, most_px in (("scan574162", 0.7), ("cycif-a", 1.5), ("speckles", None)):
        found = list((folder / "out" / sample).glob("*/transform.json"))
        transform = load(found[0]) if found else {"status": "none"}
        median = (transform.get("residual_px") or {}).get("median") or math.inf
        table.row(f"pairs/{sample}", f"{transform['status']}, held-out median {median:.2f} px",
                  f"aligned, < {most_px} px" if most_px else "",
                  transform["status"] == "aligned" and median < most_px if most_px else None,
                  "registrar run ../shared/data/pairs -o OUT")
    shutil.rmtree(folder)


def _landmarks_of(table, model):
    folder = fresh("landmarks")
    run_quietly(SHARED / "data" / "landmarks", folder / "out", "--set", f"model={model}")
    ran = subprocess.run([SHARED / "tools" / "landmark_error", folder / "out"],
                         capture_output=True, text=True, check=False)
    shutil.rmtree(folder)
    print("    " + ran.stdout.rstrip().replace("\n", "\n    "))
    found = re.search(r"median of medians ([\d.]+) over (\d+) pairs, (\d+) silent", ran.stdout)
    assert found, ran.stdout + ran.stderr
    median, pairs, silent = float(found[1]), int(found[2]), int(found[3])
    command = f"registrar run ../shared/data/landmarks -o OUT --set model={model}; " \
              "../shared/tools/landmark_error OUT"
    table.row(f"landmarks, model={model}, {pairs} pairs: median of medians, share of the diagonal",
              f"{median:.4f}", f"<= {MOST[model]:.3f}", median <= MOST[model], command)
    table.row(f"landmarks, model={model}: aligned but off by more than 2 % of the diagonal",
              str(silent), "0", silent == 0, command)


def landmarks(table):
    """Tissue of different stains, 78 to 80 landmarks a pair."""
    _needs_data()
    for model in MOST:
        try:
            _landmarks_of(table, model)
        except AssertionError as problem:
            table.row(f"landmarks, model={model}", f"could not be measured: {problem}", "a figure",
                      False, f"registrar run ../shared/data/landmarks --set model={model}")


PARTS = (landmarks, scans)
