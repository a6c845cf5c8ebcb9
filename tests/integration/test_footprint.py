#!/usr/bin/env python3
# timeout: 300
"""The forecast of an align task's memory against the kernel's accounting of it: within a tenth."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

MIB = 1 << 20
SHORT_SEARCH = ["--set", "angle_range=10", "--set", "scale_min=0.95", "--set", "scale_max=1.1"]
KINDS = {
    "small": ["--size", "512x384", "--grey"],
    "turned": ["--size", "1300x1000", "--rgb", "--orientation", "6"],
    "wide": ["--size", "3000x800", "--grey", "--bits", "16"],
    "tiles16": ["--size", "1600x1200", "--rgb", "--bits", "16", "--layout", "tiles",
                "--compression", "lzw"],
    "strips": ["--size", "2200x1800", "--grey", "--compression", "deflate"],
}
# Other builds of the libraries and other kernels: what no header can tell.
OTHER_MACHINE_BYTES = 2 * MIB


@test("predicted memory is within a tenth of the peak RSS")
def _(t):
    if "asan" in str(BUILD):
        skip("the sanitizers' own memory is not forecast")
    t.use_real_worker()
    for kind, options in KINDS.items():
        # so much is missing that key points are asked, and all pixels at once
        t.generate("S", kind, "--rotation", "4", "--scale", "1.02", "--gain", "1.2", "--objects",
                   "0.1", "--missing", "0.45", "--noise", "0.03", *options)
    ran = t.run("run", t.raw, "-o", t.out, "--jobs", "1", "--threads", "2", *SHORT_SEARCH,
                timeout_s=8 * WAIT_S)
    attempts = t.ledger("attempt_end")
    expect(len(attempts), len(KINDS), f"attempts ({ran.stderr})")
    for attempt in attempts:
        assert attempt["verdict"] in ("ok", "doubtful"), f"{attempt['task']}: {attempt['verdict']}"
        peak, predicted = attempt["peak_rss_bytes"], attempt["predicted_bytes"]
        told = f"{attempt['task']}: {predicted / MIB:.1f} predicted, {peak / MIB:.1f} MiB used"
        print(f"# {told}")
        assert abs(predicted - peak) <= 0.1 * peak + OTHER_MACHINE_BYTES, told


run_tests()
