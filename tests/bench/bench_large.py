"""The largest scans against the floor program, and the memory cap in every layout of a file."""
import json
import os
import shutil
import subprocess
import time

from bench_common import (BUILD, FLOOR, QUICK, REGISTRAR, fresh, generate, ledger, load, map_error,
                          mib, timed)

WORKER = BUILD / "registrar-worker"
KINDS = {"RGB8": ["--rgb"], "16-bit grey": ["--grey", "--bits", 16]}
LAYOUTS = {
    "stripped": [],
    "tiled": ["--layout", "tiles", "--compression", "deflate"],
    "one strip": ["--layout", "onestrip", "--compression", "deflate"],
    "planar": ["--planar", "--compression", "deflate"],
}
SCENE = ["--rotation", 7, "--scale", 1.03, "--shift", "1.3%,-1.2%", "--gain", 1.3, "--objects",
         0.02, "--noise", 0.004]
SMALL, LARGE = ("2000x1600", "4000x3000") if QUICK else ("12000x10000", "30000x25000")
COMMAND = "registrar run RAW -o OUT --jobs 1 --threads 2"
PEAK = "worker's peak RSS"


def _from_disk(images, *command):
    """Runs a command with the images out of RAM. Returns (wall seconds, bytes read by it and its
    processes)."""
    os.sync()
    for path in images:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    begin = time.monotonic()
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"exit status {process.returncode}"
    return time.monotonic() - begin, 512 * usage.ru_inblock


def _pair(table, kind, size, most_times, most_mib):
    """One pair beside the floor program in the same run."""
    folder = fresh("large")
    raw, out = folder / "raw", folder / "floor-out"
    out.mkdir()
    generate(raw, "S", "D", *KINDS[kind], "--size", size, *SCENE)
    images = [raw / "S" / f"S_{which}_D.tif" for which in ("pre", "post")]
    truth = folder / "truth/S/D.truth.json"
    status, floor_s, floor_kib, stderr = timed(FLOOR, *images, truth, out)
    assert status == 0, stderr
    shutil.rmtree(out)
    command = [REGISTRAR, "run", raw, "-o", folder / "out", "--jobs", 1, "--threads", 2, "--force",
               "--quiet"]
    status, run_s, _, stderr = timed(*command)
    assert status == 0, stderr
    peak = ledger(folder / "out", "attempt_end")[-1]["peak_rss_bytes"] // 1024
    found = map_error(load(folder / "out/S/D/transform.json"), load(truth))
    shutil.rmtree(folder / "out")
    cold_s, read = _from_disk(images, *command)
    times = read / sum(path.stat().st_size for path in images)
    shutil.rmtree(folder)
    what = f"{size} {kind}"
    table.row(f"{what}, floor program", f"{floor_s:.1f} s, {mib(floor_kib)}", "", None,
              "tests/bench/floor PRE POST TRUTH OUT (read, warp with the truth, write; no sync)")
    table.row(f"{what}, align task", f"{run_s:.1f} s, x {run_s / floor_s:.2f} of the floor",
              "" if QUICK else f"< x {most_times}",
              None if QUICK else run_s < most_times * floor_s, COMMAND)
    table.row(f"{what}, images not in RAM", f"{cold_s:.1f} s, reads x {times:.1f} of their bytes",
              "< x 3", times < 3, COMMAND)
    table.row(f"{what}, {PEAK}", mib(peak), f"< {most_mib} MiB", peak < most_mib * 1024, COMMAND,
              value=peak)
    table.row(f"{what}, mean map error", f"{found['mean_px']:.3f} px", "< 0.3 px",
              found["mean_px"] < 0.3, COMMAND)


def small_rgb(table):
    """12,000 x 10,000 px, RGB, 8 bit."""
    _pair(table, "RGB8", SMALL, 3, 384)


def small_grey(table):
    """12,000 x 10,000 px, grey, 16 bit."""
    _pair(table, "16-bit grey", SMALL, 3, 384)


def large_rgb(table):
    """30,000 x 25,000 px, RGB, 8 bit (14 GiB of disk, 10 GiB of RAM for the floor program)."""
    _pair(table, "RGB8", LARGE, 2.5, 512)


def large_grey(table):
    """30,000 x 25,000 px, grey, 16 bit."""
    _pair(table, "16-bit grey", LARGE, 2.5, 512)


def growth(table):
    """Memory at the large size over that at the small one, from the parts before."""
    for kind, word in (("RGB8", "rgb"), ("16-bit grey", "grey")):
        small = table.value_of(f"small-{word}", f"{SMALL} {kind}, {PEAK}")
        large = table.value_of(f"large-{word}", f"{LARGE} {kind}, {PEAK}")
        table.row(f"{kind}, memory at {LARGE} over that at {SMALL}", f"x {large / small:.2f}",
                  "<= x 1.25", large <= 1.25 * small, f"bench small-{word} large-{word}")


def _align_below(cap_mib, folder, out):
    """The worker alone, eight threads. Returns (exit status, its last report, peak KiB)."""
    task = {"out": str(out), "threads": 8, "memory_bytes": cap_mib << 20,
            "pre": str(folder / "raw/S/S_pre_D.tif"), "post": str(folder / "raw/S/S_post_D.tif")}
    report = folder / "time"
    ran = subprocess.run(["/usr/bin/time", "-o", report, "-f", "%M", "sh", "-c",
                          f"exec {WORKER} align 3>&-"], input=json.dumps(task), text=True,
                         capture_output=True, check=False)
    return (ran.returncode, json.loads(ran.stdout.splitlines()[-1]),
            int(report.read_text().split()[-1]))


def caps(table):
    """The memory cap in every layout of a file: 16-bit RGB, eight threads."""
    size = "2200x1800" if QUICK else "12000x10000"
    command = "registrar-worker align, threads 8, memory_bytes = the cap"
    for name, options in LAYOUTS.items():
        folder = fresh("caps")
        generate(folder / "raw", "S", "D", "--rgb", "--bits", 16, "--size", size, *SCENE, *options)
        for cap in (192, 256):
            status, last, peak = _align_below(cap, folder, folder / f"out{cap}")
            assert status == 0, last
            table.row(f"{size} RGB16 {name}, cap {cap} MiB", mib(peak), f"<= {cap} MiB",
                      peak <= cap * 1024, command)
            shutil.rmtree(folder / f"out{cap}")
        status, last, _ = _align_below(64, folder, folder / "out64")
        refused = status != 0 and "--worker-memory" in last.get("reason", "")
        table.row(f"{size} RGB16 {name}, cap 64 MiB", "refused, with the least that works"
                  if refused else str(last), "refused, with the least", refused, command)
        shutil.rmtree(folder)


PARTS = (small_rgb, small_grey, large_rgb, large_grey, growth, caps)
