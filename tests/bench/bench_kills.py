"""SIGKILL of a run at random instants of a pair's life, and the same command again: the bytes, and
that nothing that was finished is done a second time."""
import random
import shutil
import subprocess
import sys
import time

from bench_common import QUICK, REGISTRAR, ROOT, fresh, generate, ledger, load

sys.path.insert(0, str(ROOT / "tests" / "lib"))
from warp_journal import journal  # pylint: disable=wrong-import-position

SEED = 7
BYTES = ("transform.json", "aligned_pre.tiff", "difference.tiff")
BEFORE_WARP = "scale.json"  # the checkpoint that is written when the warp begins


def _start(raw, out, *options):
    return subprocess.Popen([REGISTRAR, "run", raw, "-o", out, "--force", "--quiet", "--threads",
                             "2", *options],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _to_its_end(raw, out, *options):
    process = _start(raw, out, *options)
    stderr = process.communicate()[1]
    assert process.returncode == 0, stderr.strip()


def _pictures(task):
    return [(task / name).read_bytes() for name in BYTES]


def _ends_within(process, seconds):
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def _kill_after(raw, out, seconds, in_warp):
    """Starts a run, waits (for the warp, if so), then that long, and kills. False: it was over."""
    process = _start(raw, out)
    begun = out / "S" / "D" / "checkpoints" / BEFORE_WARP
    while in_warp and not begun.exists() and not _ends_within(process, 0.001):
        pass
    over = _ends_within(process, seconds)
    if not over:
        process.kill()
    process.communicate()
    return not over


class Toll:
    """What was found after the kills."""

    def __init__(self):
        self.kills = self.in_warp = self.other_bytes = 0
        self.stages = self.stages_again = self.tiles = self.tiles_again = self.ends_again = 0

    def look(self, out):
        """What is finished now, after a kill: stages and tiles."""
        task = out / "S" / "D"
        names = ["survey-pre", "survey-post", "search", "refine", "verify", "scale", "warp", "qc"]
        finished = [name for name in names if (task / "checkpoints" / f"{name}.json").exists()]
        path = out / "ledger.jsonl"
        return finished, len(journal(task)), path.exists() and b'"event":"task_end"' in \
            path.read_bytes()

    def judge(self, before, out, whole):
        """After the resume: what of that was done again?"""
        finished, tiles, ended = before
        stages = {stage["stage"]: stage for stage in load(out / "S/D/result.json")["stages"]}
        # killed after the task's end: the result is still that of the first run (ends_again)
        again = [] if ended else [name for name in finished if not stages[name]["resumed"]]
        self.stages += len(finished)
        self.stages_again += len(again)
        if "warp" not in finished:
            self.tiles += tiles
            self.tiles_again += max(0, tiles - stages["warp"]["tiles_resumed"])
            self.in_warp += "scale" in finished
        self.other_bytes += _pictures(out / "S" / "D") != whole
        self.ends_again += len(ledger(out, "task_end")) != 1
        if ended:
            self.ends_again += len(ledger(out, "attempt_end")) != 1
        if again:
            print(f"    done again: {', '.join(again)}", flush=True)


def kills(table):
    """SIGKILL at 50 random instants of a pair's life, half of them in the warp, then resume."""
    count, size = (8, "4000x3000") if QUICK else (50, "8000x6000")
    folder = fresh("kills")
    raw, out = folder / "raw", folder / "out"
    generate(raw, "S", "D", "--rgb", "--size", size, "--rotation", 7, "--scale", 1.03, "--shift",
             "2%,-1%", "--gain", 0.7, "--objects", 0.02, "--seed", 21)
    started = time.monotonic()
    _to_its_end(raw, folder / "whole")
    life_s = time.monotonic() - started
    whole = _pictures(folder / "whole" / "S" / "D")
    stages = load(folder / "whole/S/D/result.json")["stages"]
    warp = next(stage for stage in stages if stage["stage"] == "warp")
    warp_s, n_tiles = warp["wall_s"], warp["tiles"]
    dice, toll = random.Random(SEED), Toll()
    while toll.kills < count:
        shutil.rmtree(out, ignore_errors=True)
        in_warp = toll.kills % 2 == 1
        if not _kill_after(raw, out, dice.uniform(0, warp_s if in_warp else life_s), in_warp):
            continue
        toll.kills += 1
        before = toll.look(out)
        _to_its_end(raw, out)
        toll.judge(before, out, whole)
    command = f"registrar run of {size} RGB8 killed, then run again (seed {SEED})"
    table.row(f"SIGKILL at {count} random instants ({toll.in_warp} in the warp): resumed results "
              "with other bytes", str(toll.other_bytes), "0", toll.other_bytes == 0, command)
    table.row(f"stages that were finished at a kill ({toll.stages}): done again",
              str(toll.stages_again), "0", toll.stages_again == 0 and toll.stages > 0, command)
    table.row(f"warp tiles of {n_tiles} that were finished at a kill ({toll.tiles}): done again",
              str(toll.tiles_again), "0", toll.tiles_again == 0 and toll.tiles > 0, command)
    table.row("tasks recorded as done twice, or tried after that", str(toll.ends_again), "0",
              toll.ends_again == 0, command)
    _to_its_end(raw, folder / "single", "--threads", "1")
    same = _pictures(folder / "single" / "S" / "D") == whole
    table.row("1 thread or 2", "the same bytes" if same else "other bytes", "the same bytes", same,
              "registrar run --threads 1 against --threads 2")
    shutil.rmtree(folder)


PARTS = (kills,)
