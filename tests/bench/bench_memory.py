"""What the supervisor itself takes: its memory over a long batch, and what looking at tasks costs."""
import json
import os
import shutil
import subprocess
from pathlib import Path

from bench_common import QUICK, REGISTRAR, fresh

MIB = 1 << 20


class Batch:
    """registrar run over a manifest whose first task waits until it is let go."""

    def __init__(self, folder, tasks, *options):
        self.folder = folder
        self.gate = folder / "gate"
        os.mkfifo(self.gate)
        manifest = folder / "tasks.json"
        # reads until somebody has opened the pipe to write, and closed it
        wait = {"id": "gate", "command": ["cat", str(self.gate)], "memory": "4M"}
        manifest.write_text(json.dumps({"tasks": [wait, *tasks]}))
        self.process = subprocess.Popen(
            [REGISTRAR, "run", "--manifest", manifest, "-o", folder / "out", "--quiet",
             *map(str, options)], stdout=subprocess.DEVNULL)

    def after(self, count):
        """Waits until so many tasks have ended."""
        ledger = self.folder / "out" / "ledger.jsonl"
        tail = subprocess.Popen(["tail", "-n", "+1", "-F", ledger], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
        for line in tail.stdout:
            count -= b'"event":"task_end"' in line
            if count == 0:
                break
        tail.kill()
        tail.communicate()

    def proc(self, name):
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    def resident(self):
        return int(self.proc("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self):
        self.gate.write_bytes(b"")
        assert self.process.wait() == 0, "registrar run failed"


def long_batch(table):
    """Ten thousand trivial tasks: what the supervisor holds after the first hundred, and after all."""
    first, last = 100, 1000 if QUICK else 10000
    folder = fresh("long-batch")
    batch = Batch(folder, [{"id": f"t/{i:05}", "command": ["true"], "memory": "1M"}
                           for i in range(last)], "--jobs", 3)
    held = []
    for count in (first, last):
        batch.after(count)
        held.append(batch.resident())
    batch.close()
    grown = held[1] - held[0]
    table.row(f"supervisor's RSS after {first} and {last} tasks",
              f"{held[0] / MIB:.2f} and {held[1] / MIB:.2f} MiB", "within 2 MiB", grown < 2 * MIB,
              f"/proc/PID/statm of registrar run with {last} x true")
    shutil.rmtree(folder)


def sampling(table):
    """What it costs to look at the memory of tasks every 10 ms."""
    seconds = 3 if QUICK else 20
    for count in (1, 8, 32):
        spent = {}
        for interval in ("10ms", "1m"):
            folder = fresh("sampling")
            tasks = [{"id": f"t/{i}", "command": ["sleep", str(seconds)], "memory": "4M"}
                     for i in range(count)]
            batch = Batch(folder, tasks, "--jobs", count + 1, "--force", "--sample-interval",
                          interval)
            batch.after(count)
            spent[interval] = int(batch.proc("schedstat").split()[0]) / 1e9
            rows = max((path.read_text().count("\n") - 1
                        for path in (folder / "out").glob("t/*/memory.csv")), default=0)
            if interval == "10ms":
                kept = rows
            batch.close()
            shutil.rmtree(folder)
        share = 100 * (spent["10ms"] - spent["1m"]) / seconds
        table.row(f"sampling {count} task(s) for {seconds} s", f"{share:.2f} % of a core "
                  f"({kept} lines each)", "< 1 %", share < 1,
                  "/proc/PID/schedstat of registrar run, less that with --sample-interval 1m")


PARTS = (long_batch, sampling)
