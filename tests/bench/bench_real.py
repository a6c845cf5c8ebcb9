"""Real pairs, where they are at hand: two scanners, two rounds, two stains, and landmarks that
people placed."""
import csv
import math
import shutil

from bench_common import SHARED, fresh, load, place, run_quietly

MOST = {"auto": 0.010, "affine": 0.010, "grid": 0.008}  # median of medians, share of the diagonal
SILENT = 0.02  # a map as wrong as this must not call itself aligned


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


def _points(path):
    rows = list(csv.reader(path.open(encoding="utf-8")))[1:]
    return [(float(row[-2]), float(row[-1])) for row in rows if len(row) >= 2]


def _landmark_errors(sample, transform):
    """Of each landmark as a share of the image's diagonal, smallest first. The grid, if there is
    one, counts."""
    diagonal = math.hypot(*transform["pre_size"])
    return sorted(math.dist(place(transform, *post), pre) / diagonal for pre, post in
                  zip(_points(sample / "pre.csv"), _points(sample / "post.csv")))


def _landmarks_of(table, model):
    folder = fresh("landmarks")
    command = f"registrar run ../shared/data/landmarks -o OUT --set model={model}"
    run_quietly(SHARED / "data" / "landmarks", folder / "out", "--set", f"model={model}")
    medians, silent = [], 0
    for sample in sorted((SHARED / "data" / "landmarks").iterdir()):
        found = list((folder / "out" / sample.name).glob("*/transform.json"))
        transform = load(found[0]) if found else {"status": "none"}
        if "post_to_pre" not in transform:
            print(f"    {sample.name:18} {transform['status']}")
            continue
        errors = _landmark_errors(sample, transform)
        medians.append(errors[len(errors) // 2])
        silent += transform["status"] == "aligned" and medians[-1] > SILENT
        print(f"    {sample.name:18} {transform['status']:9} median {medians[-1]:.4f}, "
              f"p90 {errors[int(0.9 * len(errors))]:.4f}, worst {errors[-1]:.4f}")
    shutil.rmtree(folder)
    assert medians, "no pair has a map"
    medians.sort()
    median = medians[len(medians) // 2]
    table.row(f"landmarks, model={model}, {len(medians)} pairs: median of medians, share of the "
              "diagonal", f"{median:.4f}", f"<= {MOST[model]:.3f}", median <= MOST[model], command)
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
