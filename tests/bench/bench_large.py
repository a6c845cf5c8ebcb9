"""The largest scans against the floor program, and the memory cap in every layout of a file."""
import json
import shutil
import subprocess

from bench_common import (BUILD, FLOOR, QUICK, attempts, fresh, generate, mib, REGISTRAR, row,
                          row_error, timed)

WORKER = BUILD / "registrar-worker"
KINDS = {"RGB8": ["--rgb"], "16-bit grey": ["--grey", "--bits", 16]}
LAYOUTS = {
    "stripped": [],
    "tiled": ["--layout", "tiles", "--compression", "deflate"],
    "one strip": ["--layout", "onestrip", "--compression", "deflate"],
    "planar": ["--planar", "--compression", "deflate"],
}
MOST = {"12000x10000": 3, "30000x25000": 2.5}  # times the floor's wall time
SCENE = ["--rotation", 7, "--scale", 1.03, "--shift", "1.3%,-1.2%", "--gain", 1.3, "--objects",
         0.02, "--noise", 0.004]


def large_pair(kind, size):
    """Aligns one pair beside the floor program; returns the peak in KiB."""
    folder = fresh("large")
    raw, out = folder / "raw", folder / "floor-out"
    out.mkdir()
    generate(raw, "S", "D", *KINDS[kind], "--size", size, *SCENE)
    images = [raw / "S" / f"S_{which}_D.tif" for which in ("pre", "post")]
    status, floor_s, floor_kib, stderr = timed(FLOOR, *images, folder / "truth/S/D.truth.json", out)
    assert status == 0, stderr
    shutil.rmtree(out)
    status, run_s, _, stderr = timed(REGISTRAR, "run", raw, "-o", folder / "out", "--jobs", 1,
                                     "--threads", 2, "--force", "--quiet")
    assert status == 0, stderr
    peak = attempts(folder / "out")[-1]["peak_rss_bytes"] // 1024
    what, command = f"{size} {kind}", "registrar run --jobs 1 --threads 2"
    row(f"{what}, floor program", f"{floor_s:.0f} s, {mib(floor_kib)}", "", None,
        "tests/bench/floor (read, warp with the truth, write; no sync)")
    most = MOST.get(size)
    row(f"{what}, align task", f"{run_s:.0f} s, x {run_s / floor_s:.2f}",
        f"< x {most}" if most else "", run_s < most * floor_s if most else None, command)
    most_mib = 512 if size == "30000x25000" else 384
    row(f"{what}, worker's peak RSS", mib(peak), f"< {most_mib} MiB", peak < most_mib * 1024,
        command)
    row_error(folder, "S", "D", f"{what}, mean map error", command)
    shutil.rmtree(folder)
    return peak


def large():
    """Scans of 30,000 x 25,000 (14 GiB of disk, and 10 GiB of RAM for the floor program)."""
    sizes = ["2000x1600", "4000x3000"] if QUICK else ["12000x10000", "30000x25000"]
    for kind in KINDS:
        small, big = (large_pair(kind, size) for size in sizes)
        row(f"{kind}, memory at {sizes[1]} over that at {sizes[0]}", f"x {big / small:.2f}",
            "<= x 1.25", big <= 1.25 * small, "registrar run --jobs 1 --threads 2")


def caps():
    """Peak RSS of the worker below small caps: 16-bit RGB in four layouts, eight threads."""
    size = "2200x1800" if QUICK else "12000x10000"
    for name, options in LAYOUTS.items():
        folder = fresh("caps")
        generate(folder / "raw", "S", "D", "--rgb", "--bits", 16, "--size", size, *SCENE, *options)
        for cap in (192, 256):
            out = folder / f"out{cap}"
            task = {"out": str(out), "threads": 8, "memory_bytes": cap << 20,
                    "pre": str(folder / "raw/S/S_pre_D.tif"),
                    "post": str(folder / "raw/S/S_post_D.tif")}
            report = folder / "time"
            ran = subprocess.run(["/usr/bin/time", "-o", report, "-f", "%M", "sh", "-c",
                                  f"exec {WORKER} align 3>&-"], input=json.dumps(task), text=True,
                                 capture_output=True, check=False)
            assert ran.returncode == 0, ran.stdout.splitlines()[-1]
            peak = int(report.read_text().split()[-1])
            row(f"{size} RGB16 {name}, cap {cap} MiB", mib(peak), f"<= {cap} MiB",
                peak <= cap * 1024, "registrar-worker align, 8 threads, memory_bytes")
            shutil.rmtree(out)
        shutil.rmtree(folder)
