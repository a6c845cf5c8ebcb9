"""Pairs at the edge of the promise and beyond, and pairs that have no answer."""
import json
import shutil

from bench_common import QUICK, align_all, fresh

HARD = {
    "quarter": ["--rotation", 90], "half": ["--rotation", 180], "odd": ["--rotation", -133],
    "small": ["--scale", 0.82], "large": ["--scale", 1.22], "sheared": ["--shear", 0.04],
    "bent": ["--perspective", 0.03], "dim": ["--gain", 0.3], "bright": ["--gain", 3],
    "gamma": ["--gamma", 0.6], "blurred": ["--blur", 2.5], "noisy": ["--noise", 0.06],
    "crowded": ["--objects", 0.15], "torn": ["--missing", 0.3], "far": ["--shift", "25%,15%"],
    "brightfield": ["--bright-field"], "turned": ["--orientation", 6, "--rotation", 30],
    "everything": ["--rotation", 160, "--scale", 0.9, "--gain", 2.5, "--blur", 1, "--objects",
                   0.08, "--missing", 0.15, "--shear", 0.01, "--shift", "10%,-8%"],
}
HOPELESS = ["unrelated", "replaced", "mirrored", "periodic", "blank", "noise"]


def hard(table):
    """Pairs beyond the promise, and pairs that nothing can align: what matters is the truth."""
    size = ["--size", "1600x1200"]
    seeds = [301] if QUICK else [301, 302, 303]
    aligned = wrong = count = 0
    for seed in seeds:
        folder = fresh("hard")
        found = align_all(folder, {name: size + ["--seed", seed] + options
                                   for name, options in HARD.items()})
        found.update(align_all(folder, {kind: size + ["--seed", seed, "--kind", kind,
                                                      "--rotation", 5] for kind in HOPELESS}))
        shutil.rmtree(folder)
        for name, (report, reason) in found.items():
            says_aligned = report["status"] == "aligned"
            is_wrong = says_aligned and (name in HOPELESS or report["mean_px"] > 2)
            aligned += says_aligned and name in HARD
            wrong += is_wrong
            count += name in HARD
            if is_wrong or (name in HARD and not says_aligned):
                print(f"    seed {seed} {name}: {'WRONG ' * is_wrong}{json.dumps(report)}: "
                      f"{reason}", flush=True)
    command = "generate --size 1600x1200 with HARD and HOPELESS of tests/bench/bench_hard.py"
    table.row(f"{count} hard pairs of 1600x1200: aligned", f"{aligned} of {count}", "", None,
              command)
    table.row(f"of these and {len(HOPELESS) * len(seeds)} hopeless ones, wrong but aligned",
              str(wrong), "0", wrong == 0, command)


PARTS = (hard,)
