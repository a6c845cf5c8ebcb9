"""Pairs over the whole range of what the aligner claims, and pairs that nothing can align.

Every pair follows from its number: pair N of seed S is the same on every machine. BENCH_SEED is S
(1), BENCH_COUNT how many pairs, BENCH_FIRST the first one's number (0), BENCH_SIZE=WxH makes all
of one size. Each pair's outcome is added to BENCH_DIR/hard.jsonl or hopeless.jsonl; BENCH_RESUME=1
takes over what stands there for the same pairs and the same programs."""
import json
import math
import os
import random
import shlex
import shutil
import statistics
import subprocess

from bench_common import BUILD, GENERATE, QUICK, REGISTRAR, SCRATCH, fresh, load, map_error

SEED = int(os.environ.get("BENCH_SEED") or 1)
FIRST = int(os.environ.get("BENCH_FIRST") or 0)
COUNT = int(os.environ.get("BENCH_COUNT") or 0)
SIZE = os.environ.get("BENCH_SIZE")
AT_ONCE = 4  # disks are not endless

SCENES = ["tissue", "nuclei", "islands", "fibres", "blobs", "rock"]
HOPELESS = ["unrelated", "replaced", "mirrored", "periodic", "blank", "noise", "defects", "empty",
            "static"]
# where a scene says the same as another one, or nothing
FIELDS = ["nuclei", "fibres", "rock", "islands", "blobs"]


def draw_size(rng):
    if QUICK:
        return "1500x1200"
    if SIZE:
        return SIZE
    width = round(math.exp(rng.uniform(math.log(1500), math.log(4000))))
    return f"{width}x{round(width * rng.uniform(0.75, 0.8))}"


def draw_exposure(rng):
    """How the two images were taken, whatever they show."""
    gain = math.exp(rng.uniform(math.log(0.3), math.log(3)))
    gamma = math.exp(rng.uniform(math.log(0.7), math.log(1.4)))
    photons = math.exp(rng.uniform(math.log(200), math.log(5000)))
    colour = rng.choice(["--grey", "--grey", "--rgb", "--bright-field"])
    return [colour, "--bits", rng.choice([8, 16]), "--gain", f"{gain:.4f}", "--gamma",
            f"{gamma:.3f}", "--offset", f"{rng.uniform(0, 0.05):.3f}", "--noise", 0, "--photons",
            f"{photons:.0f}", "--read-noise", f"{rng.uniform(0, 0.01):.4f}"]


def draw_map(rng):
    scale = math.exp(rng.uniform(math.log(0.8), math.log(1.25)))
    return ["--rotation", f"{rng.uniform(0, 360):.3f}", "--scale", f"{scale:.5f}", "--shear",
            f"{rng.uniform(-0.02, 0.02):.4f}", "--perspective", f"{rng.uniform(-0.01, 0.01):.4f}",
            "--shift", f"{rng.uniform(-20, 20):.2f}%,{rng.uniform(-20, 20):.2f}%"]


def hard_options(number):
    rng = random.Random(f"hard {SEED} {number}")
    options = ["--seed", rng.randrange(1 << 32), "--size", draw_size(rng), "--scene",
               rng.choice(SCENES)] + draw_map(rng) + draw_exposure(rng)
    options += [rng.choice(["--blur", "--blur-pre"]), f"{rng.uniform(0, 1.5):.2f}", "--objects",
                f"{rng.uniform(0, 0.2):.3f}", rng.choice(["--missing", "--missing-pre"]),
                f"{rng.uniform(0, 0.5):.3f}"]
    return options + ["--torn"] * (rng.random() < 1 / 3)


def hopeless_options(number):
    rng = random.Random(f"hopeless {SEED} {number}")
    kind = HOPELESS[number % len(HOPELESS)]
    # replaced: only an outline can stay; mirrored: only what has no mirror symmetry of its own
    scenes = {"unrelated": FIELDS + ["tissue"], "replaced": ["tissue", "islands"],
              "mirrored": SCENES}.get(kind, ["tissue"])
    return ["--kind", kind, "--seed", rng.randrange(1 << 32), "--size", draw_size(rng), "--scene",
            rng.choice(scenes)] + draw_map(rng) + draw_exposure(rng) + [
                "--objects", f"{rng.uniform(0, 0.1):.3f}"]


def outcome(folder, name, options):
    """What registrar made of a pair, beside the truth."""
    found = {"options": " ".join(map(str, options)), "status": "none", "reason": "no result"}
    truth = load(folder / "truth" / name / "D.truth.json")
    task = folder / "out" / name / "D"
    if (task / "transform.json").exists():
        transform = load(task / "transform.json")
        result = load(task / "result.json") if (task / "result.json").exists() else None
        found.update(map_error(transform, truth, result), reason=transform["reason"],
                     model=transform["model"], residual_px=transform["residual_px"]["median"])
    found["scene"] = options[options.index("--scene") + 1]
    return found


def run_pairs(folder, pairs):
    """pairs: name to options. Draws them, aligns them; returns name to outcome."""
    for name, options in pairs.items():
        subprocess.run([GENERATE, *map(str, options), folder / "raw", name, "D"], check=True)
    subprocess.run([REGISTRAR, "run", folder / "raw", "-o", folder / "out", "--force", "--quiet"],
                   stdout=subprocess.DEVNULL, check=False)
    return {name: outcome(folder, name, options) for name, options in pairs.items()}


def command_of(part, count):
    size = f"BENCH_SIZE={SIZE} " if SIZE else ""
    return (f"BENCH_SEED={SEED} BENCH_FIRST={FIRST} BENCH_COUNT={count} {size}"
            f"tests/bench/bench {part}")


def build_time():
    return (BUILD / "registrar-worker").stat().st_mtime_ns


def earlier_outcomes(journal):
    """Of the same programs, by options."""
    if not os.environ.get("BENCH_RESUME") or not journal.exists():
        return {}
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return {line["options"]: line for line in lines if line["build"] == build_time()}


def run_all(part, count, options_of, complain):
    """A few pairs at a time. Returns the outcomes; prints those that complain finds fault with."""
    journal = SCRATCH / f"{part}.jsonl"
    known = earlier_outcomes(journal)
    outcomes = []
    for first in range(FIRST, FIRST + count, AT_ONCE):
        pairs = {f"P{number:03}": options_of(number)
                 for number in range(first, min(first + AT_ONCE, FIRST + count))}
        found = {name: known[" ".join(map(str, options))] for name, options in pairs.items()
                 if " ".join(map(str, options)) in known}
        rest = {name: options for name, options in pairs.items() if name not in found}
        if rest:
            folder = fresh(part)
            new = run_pairs(folder, rest)
            shutil.rmtree(folder)
            with journal.open("a", encoding="utf-8") as file:
                for name, entry in new.items():
                    file.write(json.dumps({"pair": name, "build": build_time(), **entry}) + "\n")
            found.update(new)
        for name in sorted(found):
            fault = complain(found[name])
            if fault:
                print(f"    {name}: {fault}: {found[name]['reason']}\n"
                      f"      generate {shlex.join(found[name]['options'].split())} RAW S D",
                      flush=True)
            outcomes.append(found[name])
    return outcomes


def hard_fault(found):
    if found["status"] != "aligned":
        return found["status"]
    if found["max_px"] > 1:
        return f"WRONG: off by {found['mean_px']:.2f} px, at most {found['max_px']:.2f} px"
    if found["mean_px"] > 0.3:
        return f"off by {found['mean_px']:.2f} px"
    return ""


def hard(table):
    """Pairs over the whole range: rotation, scale, shear, perspective, brightness, noise, blur,
    post-only objects, missing tissue, sizes, six kinds of specimen."""
    count = COUNT or (6 if QUICK else 300)
    outcomes = run_all("hard", count, hard_options, hard_fault)
    aligned = [found for found in outcomes if found["status"] == "aligned"]
    command = command_of("hard", count)
    table.row(f"{count} pairs over the whole range: aligned", f"{len(aligned) / count:.1%}",
              ">= 99 %", len(aligned) >= 0.99 * count, command)
    for scene in SCENES:
        of_scene = [found for found in outcomes if found["scene"] == scene]
        good = [found["mean_px"] for found in of_scene if found["status"] == "aligned"]
        if good:
            print(f"    {scene}: {len(good)} of {len(of_scene)}, mean errors: median "
                  f"{statistics.median(good):.3f}, worst {max(good):.3f} px")
    if not aligned:
        return
    means = [found["mean_px"] for found in aligned]
    worst = max(found["max_px"] for found in aligned)
    wrong = sum(found["mean_px"] > 1 for found in aligned)
    table.row("median of mean errors", f"{statistics.median(means):.3f} px", "< 0.1 px",
              statistics.median(means) < 0.1, command)
    table.row("worst mean error", f"{max(means):.3f} px", "< 0.5 px", max(means) < 0.5, command)
    table.row("worst error at any place in the tissue", f"{worst:.3f} px", "< 1 px", worst < 1,
              command)
    table.row("aligned, but off by more than 1 px", str(wrong), "0", wrong == 0, command)


def hopeless(table):
    """Pairs without an answer: none may be called aligned."""
    count = COUNT or (len(HOPELESS) if QUICK else 100)
    outcomes = run_all("hopeless", count, hopeless_options,
                       lambda found: "WRONG: aligned" if found["status"] == "aligned" else "")
    wrong = sum(found["status"] == "aligned" for found in outcomes)
    silent = sum(found["status"] == "none" for found in outcomes)
    command = command_of("hopeless", count)
    table.row(f"{count} pairs without an answer: aligned", str(wrong), "0", wrong == 0, command)
    table.row("without a verdict", str(silent), "0", silent == 0, command)


PARTS = (hard, hopeless)
