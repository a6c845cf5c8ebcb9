#!/usr/bin/env python3
# timeout: 180
"""registrar run on images that are not in RAM, as they are at night: what is read, and what stays.
Needs a disk behind the tests' folder, and a group that may be divided (tests/lib/cgroups.py)."""
import os
import shutil
import subprocess
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import make_group

MIB = 1 << 20


@test("a pair's images are read from a cold disk once or twice, in a tight group a few times")
def _(t):
    if b"__asan_init" in REGISTRAR.read_bytes():
        skip("a sanitized worker takes long for images that do not fit the page cache")
    t.use_real_worker()
    t.generate("S", "D", "--rgb", "--rotation", 7, "--size", "8000x6000")
    images = list(t.raw.rglob("*.tif"))
    size = sum(path.stat().st_size for path in images)
    # 6 times without room in the task's group; 20 when whole rows were read for narrow tiles too
    for limit, most in ((None, 4), (200 * MIB, 8)):
        group = make_group(t, limit)
        t.preexec = group.enter
        shutil.rmtree(t.out, ignore_errors=True)
        os.sync()
        for path in images:
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        process = t.start("run", t.raw, "-o", t.out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        expect(process.returncode, 0, "exit status")
        times = 512 * usage.ru_inblock / size
        if times < .9:
            skip("what is read here comes from no disk")
        assert times < most, f"{times:.1f} times, in a group of {limit or 'its own'}"
        expect(group.leftovers(), [], "groups left")


@test("what was written leaves the page cache to the images that are read")
def _(t):
    if not shutil.which("fincore"):
        skip("there is no fincore")
    if "tmpfs" in subprocess.check_output(["stat", "-f", "-c", "%T", t.folder], text=True):
        skip("the tests' folder is in RAM")
    t.use_real_worker()
    t.generate("S", "D", "--size", "2000x1500")
    expect(t.run("run", t.raw, "-o", t.out).returncode, 0, "exit status")
    for name in ("aligned_pre", "difference"):
        path = t.out / f"S/D/{name}.tiff"
        held = subprocess.check_output(["fincore", "--bytes", "--noheadings", "--output", "RES",
                                        path], text=True)
        assert int(held) < path.stat().st_size / 10, f"{held.strip()} bytes of {name}.tiff in RAM"


run_tests()
