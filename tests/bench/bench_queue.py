"""What the service's queue costs: a million commands submitted, kept, replayed, looked at, and their
ledger compacted."""
import json
import os
import pathlib
import re
import select
import signal
import socket
import statistics
import subprocess
import time
import zlib

from bench_common import QUICK, REGISTRAR, fresh, timed

WAIT_S = 600


class Daemon:
    """A daemon and the manager that it tells when it is ready."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.path = folder / "socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            address = folder / "notify"
            address.unlink(missing_ok=True)
            manager.bind(str(address))
            manager.settimeout(WAIT_S)
            began = time.monotonic()
            with open(folder / "daemon.txt", "ab") as log:
                self.process = subprocess.Popen(
                    [REGISTRAR, "daemon", "--state-dir", folder / "state", "--socket", self.path,
                     *arguments],
                    stdout=log, stderr=log, env=dict(os.environ, NOTIFY_SOCKET=str(address)))
            while "READY=1" not in manager.recv(65536).decode():
                pass
            self.start_s = time.monotonic() - began

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def client(self, *words):
        """Exit status, seconds, peak KiB and stderr of a client."""
        return timed(REGISTRAR, *words, "--socket", self.path)

    def idle_ticks(self, seconds):
        """CPU ticks that it takes while nothing happens."""
        def ticks():
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2]
            return sum(map(int, fields.split()[11:13]))
        before = ticks()
        select.select([], [], [], seconds)
        return ticks() - before


def end_all(ledger, count):
    """Every task of the batch has run, as the ledger says it."""
    last = json.loads(ledger.read_bytes().splitlines()[-1])
    seq = last["seq"]
    with open(ledger, "ab") as file:
        for number in range(count):
            task = f'"batch":"out","user":"x","task":"t{number:06}"'
            for event, members in (
                    ("attempt_start", '"attempt":1,"pid":1,"start_ticks":1,"token":"0:0:1"'),
                    ("attempt_end", '"attempt":1,"verdict":"ok","kind":"k","wall_s":0.01,"size":1.0,'
                                    '"peak_rss_bytes":2000000,"reserved_bytes":4000000'),
                    ("task_end", '"verdict":"ok","attempts":1,"wall_s":0.01,'
                                 '"peak_rss_bytes":2000000')):
                seq += 1
                line = (f'{{"v":1,"seq":{seq},"time":"{last["time"]}","boot":"{last["boot"]}",'
                        f'"event":"{event}","synced":{seq - 1},{task},{members}').encode()
                file.write(line + b',"crc":"%08x"}\n' % zlib.crc32(line))


def compaction(table, folder, count):
    """The ledger of all that is done is compacted as soon as the daemon has started."""
    ledger = folder / "state" / "ledger.jsonl"
    end_all(ledger, count)
    before, inode = ledger.stat().st_size, ledger.stat().st_ino
    settings = folder / "registrar.conf"
    settings.write_text("[registrar]\nledger-size = 1M\n", encoding="ascii")
    settings.chmod(0o644)
    daemon = Daemon(folder, "--config", settings)
    began = time.monotonic()
    how = f"registrar status while a ledger of {before >> 20} MiB is compacted"
    answers = [daemon.client("status")[1]]
    while ledger.stat().st_ino == inode and time.monotonic() - began < WAIT_S:
        answers.append(daemon.client("status")[1])
    table.row("compaction of the ledger", f"{time.monotonic() - began:.1f} s, {before >> 20} -> "
              f"{ledger.stat().st_size >> 20} MiB", "it ends", ledger.stat().st_ino != inode, how)
    table.row("longest status meanwhile", f"{1000 * max(answers):.0f} ms of {len(answers)}",
              "< 100 ms", max(answers) < 0.1, how)
    table.row("daemon's peak RSS, then", f"{daemon.peak_mib():.0f} MiB", "< 400 MiB",
              daemon.peak_mib() < 400, "VmHWM")
    daemon.process.kill()
    daemon.process.wait()
    daemon = Daemon(folder)
    table.row("start with it", f"{daemon.start_s:.1f} s", "< 10 s", daemon.start_s < 10,
              "registrar daemon, until READY=1")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.wait(WAIT_S)


def million(table):
    """Commands that wait: submitted by one client, replayed after SIGKILL."""
    count = 50000 if QUICK else 1000000
    folder = fresh("million")
    manifest = folder / "tasks.json"
    with open(manifest, "w", encoding="ascii") as file:
        rows = (f'{{"id":"t{i:06}","command":["true"],"kind":"k"}}' for i in range(count))
        file.write('{"tasks":[' + ",\n".join(rows) + "]}")
    daemon = Daemon(folder)
    daemon.client("pause")  # they are to wait
    status, seconds, _, stderr = daemon.client("submit", "--manifest", manifest, "-o",
                                               folder / "out")
    assert status == 0, stderr
    how = f"registrar submit --manifest FILE, {count} x true"
    table.row(f"submit of {count} commands", f"{seconds:.1f} s", "< 20 s", seconds < 20, how)
    table.row("daemon's peak RSS, then", f"{daemon.peak_mib():.0f} MiB", "< 400 MiB",
              daemon.peak_mib() < 400, how)
    seconds = statistics.median(daemon.client("status")[1] for _ in range(5))
    table.row("status", f"{1000 * seconds:.0f} ms", "< 100 ms", seconds < 0.1, "registrar status")
    seconds = statistics.median(daemon.client("status", "out")[1] for _ in range(5))
    table.row("status of the batch", f"{1000 * seconds:.0f} ms", "< 100 ms", seconds < 0.1,
              "registrar status out")
    daemon.process.kill()
    daemon.process.wait()
    daemon = Daemon(folder)
    table.row("start after SIGKILL, replay of all", f"{daemon.start_s:.1f} s", "< 10 s",
              daemon.start_s < 10, "registrar daemon, until READY=1")
    table.row("daemon's peak RSS, replayed", f"{daemon.peak_mib():.0f} MiB", "< 400 MiB",
              daemon.peak_mib() < 400, "VmHWM")
    ticks = daemon.idle_ticks(5)
    table.row("CPU of the idle daemon in 5 s", f"{10 * ticks} ms", "0 ms", ticks == 0,
              "/proc/PID/stat")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.wait(WAIT_S)
    compaction(table, folder, count)
    fresh("million")


PARTS = [million]
