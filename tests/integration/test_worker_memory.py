#!/usr/bin/env python3
# timeout: 400
"""The memory cap is a law: the kernel's own figure of the worker's peak RSS stays below it, in every
layout of the file, and the pictures do not depend on it."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from worker_run import *

MIB = 1 << 20
# Six bytes a pixel and eight threads: left alone, their caches take far more than the small cap.
SIZE = (2200, 1800)
THREADS = 8
LAYOUTS = {
    "stripped": [],
    "tiled": ["--layout", "tiles", "--compression", "deflate"],
    "one strip": ["--layout", "onestrip", "--compression", "deflate"],
    "planar": ["--planar", "--compression", "deflate"],
}


@test("192 MiB and 256 MiB hold in every layout of 16-bit RGB, with the same bytes")
def _(t):
    if "asan" in str(BUILD):
        skip("the sanitizers' own memory is not counted")
    for name, options in LAYOUTS.items():
        images = pair(*PAIR, "--rgb", "--bits", "16", *options, size=SIZE)
        peaks = {}
        for cap in (192, 256, 2048) if name == "tiled" else (192, 256):
            out = t.folder / f"{name} {cap}"
            if cap > 192 and name != "tiled":  # one layout finds its map under every cap
                begin(out, images, t.folder / f"{name} 192")
            run = align(out, images, threads=THREADS, memory=cap * MIB)
            peaks[cap] = run.peak_bytes
            assert peaks[cap] <= cap * MIB, f"{name}: {peaks[cap] / MIB:.1f} of {cap} MiB"
            expect_same(out, t.folder / f"{name} 192", f"{name}, {cap} MiB")
        print(f"# {name}: " + ", ".join(f"{peak / MIB:.0f} MiB below {cap}"
                                        for cap, peak in peaks.items()))


@test("a cap that is too small is refused with the least that works, and that one works")
def _(t):
    images = pair(*PAIR)
    run = Run(t.out, images, memory=192 * MIB - 1, threads=THREADS).end(1)
    error = run.last("error")
    expect(error["cause"], "environment", "cause")
    expect_in("give at least --worker-memory 192 MiB", error["reason"], "reason")
    assert not any(t.out.rglob("*")), "something was written"
    align(t.out, images, memory=192 * MIB, threads=THREADS)


run_tests()
