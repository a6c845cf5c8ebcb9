"""What the service's queue costs: a million commands submitted, kept, replayed and looked at."""
import os
import pathlib
import re
import select
import signal
import socket
import statistics
import subprocess
import time

from bench_common import QUICK, REGISTRAR, fresh, timed

WAIT_S = 600


class Daemon:
    """A daemon and the manager that it tells when it is ready."""

    def __init__(self, folder):
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
                    [REGISTRAR, "daemon", "--state-dir", folder / "state", "--socket", self.path],
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
    fresh("million")


PARTS = [million]
