"""Pairs beyond the promise, and pairs that have no answer."""
import json
import shutil

from bench_common import QUICK, align_all, fresh

BEYOND = {
    "quarter": ["--rotation", 90], "half": ["--rotation", 180], "odd": ["--rotation", -133],
    "small": ["--scale", 0.82], "large": ["--scale", 1.22], "sheared": ["--shear", 0.04],
    "bent": ["--perspective", 0.03], "dim": ["--gain", 0.3], "bright": ["--gain", 3],
    "gamma": ["--gamma", 0.6], "blurred": ["--blur", 2.5], "noisy": ["--noise", 0.06],
    "crowded": ["--objects", 0.15], "torn": ["--missing", 0.3], "far": ["--shift", "25%,15%"],
    "brightfield": ["--bright-field"], "turned": ["--orientation", 6, "--rotation", 30],
    "everything": ["--rotation", 160, "--scale", 0.9, "--gain", 2.5, "--blur", 1, "--objects",
                   0.08, "--missing", 0.15, "--shear", 0.01, "--shift", "10%,-8%"],
}
NO_ANSWER = ["unrelated", "replaced", "mirrored", "periodic", "blank", "noise"]


def beyond(table):
    """Pairs beyond the promise, and pairs that nothing can align: what matters is the truth."""
    size = ["--size", "1600x1200"]
    seeds = [301] if QUICK else [301, 302, 303]
    aligned = wrong = count = 0
    for seed in seeds:
        folder = fresh("beyond")
        found = align_all(folder, {name: size + ["--seed", seed] + options
                                   for name, options in BEYOND.items()})
        found.update(align_all(folder, {kind: size + ["--seed", seed, "--kind", kind,
                                                      "--rotation", 5] for kind in NO_ANSWER}))
        shutil.rmtree(folder)
        for name, (report, reason) in found.items():
            says_aligned = report["status"] == "aligned"
            is_wrong = says_aligned and (name in NO_ANSWER or report["mean_px"] > 2)
            aligned += says_aligned and name in BEYOND
            wrong += is_wrong
            count += name in BEYOND
            if is_wrong or (name in BEYOND and not says_aligned):
                print(f"    seed {seed} {name}: {'WRONG ' * is_wrong}{json.dumps(report)}: "
                      f"{reason}", flush=True)
    command = "generate --size 1600x1200 with BEYOND and NO_ANSWER of tests/bench/bench_beyond.py"
    table.row(f"{count} pairs of 1600x1200 beyond the promise: aligned", f"{aligned} of {count}",
              "", None, command)
    table.row(f"of these and {len(NO_ANSWER) * len(seeds)} without an answer, wrong but aligned",
              str(wrong), "0", wrong == 0, command)


PARTS = (beyond,)
