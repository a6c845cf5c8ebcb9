"""What the supervisor itself takes (its memory over a long batch, what looking at tasks costs), and
how well a batch of unknown needs is packed."""
import itertools
import json
import os
import random
import shutil
import subprocess
from datetime import datetime, timedelta
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


# holds so many bytes for so many seconds
HOLD = ("import select, sys; held = b'x' * int(sys.argv[1]);"
        "select.select((), (), (), float(sys.argv[2]))")


def unknown_batch(folder, pace, seed):
    """A manifest of 40 commands in random order that hold 50 MiB + k x size of their input, k not
    told; pace gives the seconds from the size in MiB."""
    chance = random.Random(seed)
    slope = chance.uniform(2, 6)
    tasks = []
    for i in range(40):
        size = chance.uniform(2, 40)
        path = folder / f"input{i}"
        with open(path, "wb") as file:
            file.truncate(int(size * MIB))
        need = int((50 + slope * size) * MIB)
        tasks.append({"id": f"t/{i}", "kind": "unknown", "inputs": [str(path)], "command": [
            "python3", "-ESc", HOLD, str(need), f"{pace(size, chance):.3f}"]})
    manifest = folder / "tasks.json"
    manifest.write_text(json.dumps({"tasks": tasks}))
    return manifest


def list_schedule(tasks, jobs, budget):
    """When all have ended that start in this order, each as soon as it fits."""
    waiting, running, now = list(tasks), [], 0.0
    while waiting or running:
        for task in list(waiting):
            used = sum(peak for _, peak in running)
            if len(running) < jobs and used + task[1] <= budget:
                running.append((now + task[0], task[1]))
                waiting.remove(task)
        now = min(running)[0]
        running = [one for one in running if one[0] > now]
    return now


def best_packing(tasks, jobs, budget, chance):
    """The best of many orders, with the measured times and peaks of all known beforehand."""
    def shaken(task):
        return -task[0] * task[1] * chance.uniform(0.5, 2)
    orders = [sorted(tasks, reverse=True), sorted(tasks, key=lambda task: -task[1]),
              *(sorted(tasks, key=shaken) for _ in range(40))]
    return min(list_schedule(order, jobs, budget) for order in orders)


def most_at_once(records, peaks):
    running, most = 0, 0
    for record in records:
        if record["event"] == "attempt_start":
            running += peaks[record["task"]]
            most = max(most, running)
        elif record["event"] == "attempt_end":
            running -= peaks[record["task"]]
    return most


def packing(table):
    """40 commands of 50 MiB + k x size, k unknown, against the best packing in hindsight."""
    paces = {"all take 1 s": lambda size, chance: 1,
             "time goes with size": lambda size, chance: 0.1 + size / 20,
             "0.3 to 1.7 s": lambda size, chance: chance.uniform(0.3, 1.7)}
    for (jobs, memory), (name, pace) in itertools.product(
            ((2, 800), (4, 2000), (4, 800), (6, 800)), paces.items()):
        ratios, errors, fullest, ends = [], [], 0, []
        for seed in range(1, 2 if QUICK else 4):
            folder = fresh("packing")
            subprocess.run([REGISTRAR, "run", "--manifest", unknown_batch(folder, pace, seed), "-o",
                            folder / "out", "--jobs", str(jobs), "--memory", f"{memory}M",
                            "--quiet"], stdout=subprocess.DEVNULL, check=False)
            records = [json.loads(line) for line in (folder / "out/ledger.jsonl").open()]
            ended = [record for record in records if record["event"] == "attempt_end"]
            peaks = {record["task"]: record["peak_rss_bytes"] for record in ended}
            start = min(datetime.fromisoformat(record["started"]) for record in ended)
            end = max(datetime.fromisoformat(record["started"]) +
                      timedelta(seconds=record["wall_s"]) for record in ended)
            best = best_packing([(record["wall_s"], record["peak_rss_bytes"])
                                 for record in ended], jobs, memory * MIB, random.Random(1))
            ratios.append((end - start).total_seconds() / best)
            errors += [abs(record["predicted_bytes"] / record["peak_rss_bytes"] - 1)
                       for record in ended[5:]]
            fullest = max(fullest, most_at_once(records, peaks) / memory / MIB)
            ends += [record["verdict"] for record in ended]
            shutil.rmtree(folder)
        ratio = sum(ratios) / len(ratios)
        table.row(f"{len(ratios)} x 40 commands of unknown need, --jobs {jobs} --memory {memory}M, "
                  f"{name}", f"{ratio:.3f} of the best packing in hindsight (at most "
                  f"{max(ratios):.3f}); forecasts after five within {100 * max(errors):.1f} %; at "
                  f"most {100 * fullest:.0f} % of --memory held; {ends.count('ok')} of "
                  f"{len(ends)} ok", "1.15; 10 %; 100 %; all",
                  ratio <= 1.15 and max(errors) <= 0.1 and fullest <= 1 and set(ends) == {"ok"},
                  "tests/bench/bench packing")


PARTS = (long_batch, sampling, packing)
