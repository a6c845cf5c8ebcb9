"""What compression of the pictures costs in time and saves in bytes: the reason for its default."""
import json
import os
import shutil
import subprocess

from bench_common import BUILD, QUICK, SHARED, fresh, generate

WORKER = BUILD / "registrar-worker"
KINDS = ("none", "deflate", "zstd")
SIZE = "2000x1600" if QUICK else "12000x10000"
RUNS = 1 if QUICK else 3
SCENE = ["--rgb", "--rotation", 7, "--scale", 1.03, "--shift", "1.3%,-1.2%", "--gain", 1.3,
         "--objects", 0.02]
COMMAND = "registrar-worker align, the warp alone (result on disk), threads 2"


def _align(images, out, compression):
    """One worker's run. Returns (the warp's wall seconds, the process's processor seconds)."""
    out.mkdir(parents=True, exist_ok=True)
    task = {"out": str(out), "threads": 2, "memory_bytes": 512 << 20, "pre": str(images[0]),
            "post": str(images[1]), "params": {"compression": compression}}
    os.sync()  # what another run wrote is not this one's affair
    process = subprocess.Popen([WORKER, "align"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    process.stdin.write(json.dumps(task))
    process.stdin.close()
    reports = [json.loads(line) for line in process.stdout]
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, reports[-1:]
    warp = next(report for report in reports
                if report["event"] == "stage_end" and report["stage"] == "warp")
    return warp["wall_s"], usage.ru_utime + usage.ru_stime


def _sizes(out):
    return {name: (out / f"{name}.tiff").stat().st_size for name in ("aligned_pre", "difference")}


def _measure(table, what, images, folder, runs):
    """Kinds take turns, so that a busy minute of the machine is shared by all."""
    out = folder / "out"
    _align(images, out, "none")
    best, sizes = {}, {}
    for _ in range(runs):
        for kind in KINDS:
            (out / "checkpoints" / "warp.json").unlink()
            wall, cpu = _align(images, out, kind)
            best[kind] = tuple(map(min, zip(best.get(kind, (wall, cpu)), (wall, cpu))))
            sizes[kind] = _sizes(out)
    for kind in KINDS:
        wall, cpu = best[kind]
        share = {name: size / sizes["none"][name] for name, size in sizes[kind].items()}
        total = sum(sizes[kind].values())
        table.row(f"{what}, compression={kind}",
                  f"{wall:.1f} s, {cpu:.1f} s of processor time, {total / 2**20:.0f} MiB "
                  f"(aligned x {share['aligned_pre']:.2f}, difference x {share['difference']:.2f})",
                  "", None, COMMAND)


def compression(table):
    """The same warp with none, deflate and zstd; a quiet scene, a noisy one, and a real one."""
    for what, noise in ((f"{SIZE} RGB8, little noise", 0.004), (f"{SIZE} RGB8, much noise", 0.03)):
        folder = fresh("compression")
        generate(folder / "raw", "S", "D", "--size", SIZE, *SCENE, "--noise", noise)
        images = [folder / "raw" / "S" / f"S_{which}_D.tif" for which in ("pre", "post")]
        _measure(table, what, images, folder, RUNS)
        shutil.rmtree(folder)
    pair = SHARED / "data" / "pairs" / "scan574162"
    if pair.exists():
        folder = fresh("compression")
        images = [next(pair.glob(f"*{which}*.tif")) for which in ("Pre", "Post")]
        _measure(table, "scan574162, 5,014 x 5,120 RGB8", images, folder, RUNS)
        shutil.rmtree(folder)


PARTS = (compression,)
