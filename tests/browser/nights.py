#!/usr/bin/env python3
"""nights.py FOLDER: the output folders that the browser tests look at, one below FOLDER each, with
their reports made by build/registrar (BUILD)."""
import json
import os
import subprocess
import sys
from pathlib import Path
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from drawn_night import MIB, Night, png

ROOT = Path(__file__).resolve().parents[2]
REGISTRAR = (ROOT / os.environ.get("BUILD", "build") / "registrar").resolve()
HOSTILE = "<img src=x onerror=alert(1)>"


def report(night, *options, **closing):
    night.close(**closing)
    subprocess.run([REGISTRAR, "report", night.folder, *options], check=True, stdout=subprocess.DEVNULL)


def pictures(shift=0):
    """A grid of squares for the comparator, the second one moved."""
    def squares(by):
        return lambda x, y: 220 if (x - by) % 40 < 12 and y % 40 < 12 else 20
    return {"overlay.png": png(320, 200), "residuals.png": png(300, 200),
            "blink_post.png": png(320, 240, squares(0)), "blink_pre.png": png(320, 240, squares(shift))}


def small(folder):
    night = Night(folder, jobs=2, budget=1 << 30)
    night.task("S1/DAPI", wall=120.0, peak=500 * MIB, residual=0.31, pictures=pictures(2))
    night.task("S1/SYTO", verdict="failed", reason="no common structure was found", wall=7.0)
    night.task("S2/DAPI", wall=61.0, peak=300 * MIB, residual=0.12, pictures=pictures())
    night.task("S2/SYTO", verdict="doubtful", reason="median 2.31 px", wall=90.0, residual=2.31,
               pictures=pictures(9))
    night.task(f"S3/{HOSTILE}".replace("/>", ">"), verdict="failed", reason=HOSTILE, files=False)
    for i, scale_max in enumerate(("1.1", "1.2", "1.3")):
        night.task(f"S4/DAPI@scale_max={scale_max}", residual=0.2 + i / 10, pictures=pictures(i))
    return night


def odd(folder):
    """Task files whose members are all of another kind than a worker would write."""
    night = Night(folder)
    odds = (None, 7, "<b>", [], {}, [[None]], {"stage": 1}, True)
    for i, value in enumerate(odds):
        night.task(f"S{i}/DAPI", pictures=pictures() if i == 0 else None)
        Path(night.path(f"S{i}/DAPI", "result.json")).write_text(json.dumps(
            {"scale": value, "scale_kind": value, "stages": value, "params": value, "inputs": [value]}))
        Path(night.path(f"S{i}/DAPI", "transform.json")).write_text(json.dumps(
            {"status": "aligned", "model": value, "post_to_pre": value, "residual_px": value, "error_px": value}))
    return night


def main(folder):
    report(small(folder / "small"))
    report(small(folder / "beside"), "--embed", "0")
    report(odd(folder / "odd"))
    (folder / "beside" / "S2" / "DAPI" / "qc" / "residuals.png").unlink()
    large = Night(folder / "large", jobs=8)
    for i in range(1000):
        sort = "failed" if i % 50 == 7 else "doubtful" if i % 50 == 8 else "ok"
        large.task(f"S{i // 4:03d}/dye{i % 4}", verdict=sort, reason=f"reason {i % 13}", wall=20.0 + i * 37 % 90,
                   peak=(300 + i * 53 % 400) * MIB, predicted=(310 + i * 53 % 400) * MIB,
                   residual=0.05 + i * 71 % 100 / 200)
    report(large)


main(Path(sys.argv[1]))
