#!/usr/bin/env python3
# timeout: 900
"""How exact the maps are, and that no wrong one calls itself aligned: on generated pairs, whose map
is known, and on real ones."""
import math
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

SIZE = ["--size", "1200x900"]
# the first pairs differ in every way that a microscope's do; the numbers are post to pre
GOOD = {
    "grey": ["--grey", "--rotation", "-17", "--scale", "0.92", "--shift", "60,-35", "--gain", "0.5"],
    "rgb8": ["--rgb", "--bits", "8", "--rotation", "12", "--scale", "1.08", "--gain", "2"],
    "upside": ["--grey", "--rotation", "174", "--scale", "1.2", "--shift", "-90,20"],
    "bright": ["--bright-field", "--bits", "8", "--rotation", "5", "--shift", "8%,-5%"],
}
WAIT_S = 30 * float(os.environ.get("TIMEOUT_FACTOR", "1"))
COMMON = ["--objects", "0.02", "--noise", "0.01"]
WRONG = {
    "unrelated": ["no common structure"],
    "blank": ["no common structure", "blank"],
    "noise": ["no common structure"],
    "mirrored": ["only as mirror images"],
    "periodic": ["repeats itself", "no common structure"],
    "replaced": ["not their content", "parts of the tissue only", "too little common structure",
                 "repeats itself", "above max_residual", "find the same place again"],
}


def align(t, sample, dye, **params):
    """Runs the worker on one generated pair; returns transform.json."""
    task = {"v": 1, "task": f"{sample}/{dye}", "out": str(t.out / sample / dye), "threads": 2,
            "pre": str(t.raw / sample / f"{sample}_pre_{dye}.tif"),
            "post": str(t.raw / sample / f"{sample}_post_{dye}.tif"), "params": params}
    ran = subprocess.run([WORKER, "align"], input=json.dumps(task), text=True, capture_output=True,
                         check=False)
    expect(ran.returncode, 0, f"exit status ({ran.stderr})")
    return transform_of(t.out, f"{sample}/{dye}")


def transform_of(out, task):
    return json.loads((Path(out) / task / "transform.json").read_text())


def apply(rows, x, y):
    w = rows[2][0] * x + rows[2][1] * y + rows[2][2]
    return [(row[0] * x + row[1] * y + row[2]) / w for row in rows[:2]]


def errors(transform, truth):
    return sorted(math.dist(apply(transform["post_to_pre"], x, y),
                            apply(truth["post_to_pre"], x, y))
                  for x, y in truth["tissue_points"])


def generate(t, sample, dye, *options):
    subprocess.run([GENERATE, *SIZE, *COMMON, *options, "--truth", t.folder / f"{dye}.json", t.raw,
                    sample, dye], check=True)
    return json.loads((t.folder / f"{dye}.json").read_text())


for name, options in GOOD.items():
    @test(f"a known map is found to a tenth of a pixel: {name}")
    def _(t, name=name, options=options):
        truth = generate(t, "S", name, *options)
        transform = align(t, "S", name)
        expect(transform["status"], "aligned", transform["reason"])
        off = errors(transform, truth)
        mean = sum(off) / len(off)
        assert mean < 0.1 and off[-1] < 0.3, f"mean {mean} px, worst {off[-1]} px"
        residual = transform["residual_px"]
        assert residual["median"] < 0.3 and residual["tiles"] >= 24, residual


for kind, reasons in WRONG.items():
    @test(f"what cannot be aligned says so: {kind}")
    def _(t, kind=kind, reasons=reasons):
        generate(t, "S", kind, "--kind", kind, "--rotation", "6", "--seed", "3")
        transform = align(t, "S", kind)
        assert transform["status"] in ("doubtful", "failed"), transform
        assert any(reason in transform["reason"] for reason in reasons), transform["reason"]


@test("a perspective is followed, and only when asked for or needed")
def _(t):
    truth = generate(t, "S", "bent", "--rotation", "4", "--perspective", "0.01")
    transform = align(t, "S", "bent")
    expect((transform["status"], transform["model"]), ("aligned", "homography"),
           transform["reason"])
    off = errors(transform, truth)
    assert off[-1] < 0.5, f"worst {off[-1]} px"
    transform = align(t, "S", "bent", model="similarity")
    expect(transform["model"], "similarity", "model")
    assert transform["residual_px"]["median"] > 1, transform["residual_px"]


@test("blobs in noise: all pixels together may lead to another map, which is judged then")
def _(t):
    options = ("--seed 3898834848 --size 3547x2680 --scene blobs --rotation 6.567 --scale 1.04785 "
               "--shear 0.0173 --perspective -0.0014 --shift -14.73%,8.42% --bright-field --bits 16 "
               "--gain 2.8614 --gamma 0.976 --offset 0.016 --noise 0 --photons 258 "
               "--read-noise 0.0022 --blur 1.16 --objects 0.114 --missing 0.348 --torn").split()
    subprocess.run([GENERATE, *options, "--truth", t.folder / "truth.json", t.raw, "S", "D"],
                   check=True)
    transform = align(t, "S", "D")
    expect(transform["status"], "aligned", transform["reason"])
    assert transform["error_px"]["offset"] < 0.1, f"not judged: {transform['error_px']}"
    off = errors(transform, json.loads((t.folder / "truth.json").read_text()))
    assert off[-1] < 1, f"worst {off[-1]} px"


@test("the same bytes from one thread and from three")
def _(t):
    generate(t, "S", "D", "--rotation", "3")
    task = {"v": 1, "task": "S/D", "pre": str(t.raw / "S" / "S_pre_D.tif"),
            "post": str(t.raw / "S" / "S_post_D.tif")}
    found = []
    for threads in (1, 3):
        out = t.out / str(threads)
        subprocess.run([WORKER, "align"], check=True, capture_output=True, text=True,
                       input=json.dumps({**task, "out": str(out), "threads": threads}))
        found.append((out / "transform.json").read_bytes())
    assert found[0] == found[1], "transform.json differs"


@test("real pairs align: one slide on two scanners, one tissue in two imaging rounds")
def _(t):
    pairs = shared_data("pairs")
    t.use_real_worker()
    t.run("run", pairs, "-o", t.out, "--samples", "scan574162,cycif-a",
          timeout_s=10 * WAIT_S)
    for task in ("scan574162/Cyto", "cycif-a/DAPI"):
        transform = transform_of(t.out, task)
        expect(transform["status"], "aligned", f"{task}: {transform['reason']}")
        assert transform["residual_px"]["median"] < 1.5, transform["residual_px"]


@test("neighbouring sections in other stains: near the truth, and no wrong map calls itself right")
def _(t):
    sections = shared_data("landmarks")
    t.use_real_worker()
    t.run("run", sections, "-o", t.out, timeout_s=10 * WAIT_S)
    ran = subprocess.run([ROOT.parent / "shared" / "tools" / "landmark_error", t.out, sections],
                         text=True, capture_output=True, check=False)
    expect(ran.returncode, 0, f"landmark_error ({ran.stdout} {ran.stderr})")
    medians = [float(line.split("median")[1].split()[0]) for line in ran.stdout.splitlines()
               if "p90" in line]
    expect(len(medians), 4, "pairs")
    assert max(medians) < 0.015, ran.stdout


run_tests()
