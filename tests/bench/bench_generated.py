"""Generated pairs as a scanner would see them: the map, and the background scale."""
import json
import math
import random
import shutil
import statistics

from bench_common import QUICK, align_all, fresh


def _accuracy_options(seed):
    rng = random.Random(seed)
    gain = math.exp(rng.uniform(math.log(0.5), math.log(2)))
    options = ["--seed", seed, "--rotation", f"{rng.uniform(-20, 20):.3f}", "--scale",
               f"{rng.uniform(0.9, 1.1):.5f}", "--gain", f"{gain:.4f}", "--objects", 0.02,
               "--shift", f"{rng.uniform(-4, 4):.3f}%,{rng.uniform(-4, 4):.3f}%"]
    return options + [["--rgb"], ["--grey", "--bits", 16], ["--grey", "--layout", "tiles"]][seed % 3]


def _scale_options(seed, objects):
    rng = random.Random(seed)
    gain = math.exp(rng.uniform(math.log(0.3), math.log(3)))
    return ["--seed", seed, "--rotation", f"{rng.uniform(0, 360):.3f}", "--scale",
            f"{rng.uniform(0.9, 1.1):.5f}", "--gain", f"{gain:.4f}", "--objects", f"{objects:.4f}",
            "--noise", 0.004, "--shift", f"{rng.uniform(-4, 4):.3f}%,{rng.uniform(-4, 4):.3f}%",
            *(["--rgb"] if seed % 2 else ["--grey", "--bits", 16])]


def _align_few(name, pairs):
    """A few at a time: disks are not endless."""
    reports, names = {}, list(pairs)
    for first in range(0, len(names), 6):
        folder = fresh(name)
        reports.update(align_all(folder, {key: pairs[key] for key in names[first:first + 6]}))
        shutil.rmtree(folder)
    return reports


def _tell(pairs, reports, is_bad):
    for name, (report, reason) in reports.items():
        if is_bad(report):
            print(f"    {' '.join(map(str, pairs[name]))}: {json.dumps(report)}: {reason}",
                  flush=True)


def accuracy(table):
    """Scans as a good evening gives them: small angles, little change."""
    size = "1600x1200" if QUICK else "4000x3000"
    count = 6 if QUICK else 30
    pairs = {f"S{seed}": ["--size", size, *_accuracy_options(seed)]
             for seed in range(101, 101 + count)}
    reports = _align_few("accuracy", pairs)
    _tell(pairs, reports, lambda report: report["status"] != "aligned" or
          report["mean_px"] >= 0.3 or report.get("scale_error", 1) >= 0.03)
    aligned = [report for report, _ in reports.values() if report["status"] == "aligned"]
    command = f"generate --size {size} --seed N ...; registrar run RAW -o OUT"
    table.row(f"{count} pairs of {size}: aligned", f"{len(aligned)} of {count}",
              f"{count} of {count}", len(aligned) == count, command)
    assert aligned, "no pair was aligned"
    means = [report["mean_px"] for report in aligned]
    table.row("mean map error: median, worst pair",
              f"{statistics.median(means):.3f}, {max(means):.3f} px", "< 0.3 px", max(means) < 0.3,
              command)


def scale(table):
    """The background scale with objects that are in the post image alone, up to 10 % of it."""
    size = "1200x1000" if QUICK else "2400x2000"
    count = 4 if QUICK else 12
    pairs = {f"S{i}": ["--size", size, *_scale_options(501 + i, 0.1 * (i + 1) / count)]
             for i in range(count)}
    reports = _align_few("scale", pairs)
    _tell(pairs, reports, lambda report: report.get("scale_error", 1) >= 0.02)
    errors = [report.get("scale_error", math.inf) for report, _ in reports.values()]
    table.row(f"background scale, {count} pairs of {size}, post-only objects to 10 %, gain 0.3 to "
              "3: median error, worst", f"{statistics.median(errors):.2%}, {max(errors):.2%}",
              "< 2 %", max(errors) < 0.02,
              f"generate --size {size} --objects 0..0.1 --gain 0.3..3; registrar run RAW -o OUT")


PARTS = (scale, accuracy)
