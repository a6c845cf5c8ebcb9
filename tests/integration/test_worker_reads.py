#!/usr/bin/env python3
# timeout: 300
"""How often the warp decodes its inputs: about once, whatever their layout, the rotation and the
number of threads."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from worker_run import *

SIZE = (3600, 3000)  # 31 MiB of pixels: more than twice what the warp's cache holds
MOST = 1.3
CASES = {
    "strips, a quarter turn": ["--rotation", "90", "--compression", "deflate"],
    "tiles, 33 degrees": ["--rotation", "33", "--layout", "tiles", "--compression", "deflate"],
}


def check_reads(t, options):
    images = pair("--rgb", "--gain", "1.2", "--objects", "0.02", *options, size=SIZE)
    angle = int(options[1])
    for threads in (1, 3):
        out = t.folder / f"{options[1]}-{threads}"
        if threads == 3:
            out.mkdir()
            os.rename(t.folder / f"{options[1]}-1" / "checkpoints", out / "checkpoints")
            (out / "checkpoints" / "warp.json").unlink()
        run = align(out, images, threads=threads, angle_range=min(180, angle + 10))
        stage = run.stage("warp")
        told = f"{threads} threads: pre {stage['pre_reads']:.2f}, post {stage['post_reads']:.2f}"
        print(f"# {told}")
        assert 0.7 < stage["pre_reads"] <= MOST and 0.7 < stage["post_reads"] <= MOST, told


for name, options in CASES.items():
    test(f"each input is decoded at most {MOST} times: {name}")(
        lambda t, options=options: check_reads(t, options))

run_tests()
