"""The integration tests' harness: TAP, and what tests of registrar need again and again.

    #!/usr/bin/env python3
    # timeout: 120          (seconds for the whole file; 60 when not said)
    import os, sys
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
    from registrar_test import *

    @test("a task that crashes is recorded as crashed")
    def _(t):
        t.pair("S1", "signal-11")                   # t.raw/S1/S1_{pre,post}_signal-11.tif, empty
        ran = t.run("run", t.raw, "-o", t.out)      # with the fake worker; ran.stdout, ran.stderr
        expect(ran.returncode, 1, "exit status")
        expect(t.task("S1/signal-11")["verdict"], "crashed", "verdict")

    @test("SIGTERM is enough for a worker that obeys")
    def _(t):
        t.pair("S1", "polite")
        process = t.start("run", t.raw, "-o", t.out)
        pid = t.wait_worker("polite")               # the fake worker says that it is there
        process.send_signal(signal.SIGINT)
        expect(process.wait(), 4, "exit status")
        wait_gone(pid)

    run_tests()

Every test gets a Case t with a folder of its own (t.folder, and in it t.raw and t.out), removed
afterwards with every process that t.start left. Nothing here sleeps: waiting is reading a pipe, or
polling a pidfd. What the fake worker can do stands in tests/tools/fake_worker.c.
"""
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

__all__ = ["BUILD", "FAKE_WORKER", "GENERATE", "REGISTRAR", "ROOT", "Skip", "WORKER", "Case",
           "alive", "changes_in", "expect", "expect_in", "json", "os", "run_tests", "shared_data",
           "signal", "skip", "subprocess", "sys", "test", "wait_gone", "with_token", "Path",
           "WAIT_S"]

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
REGISTRAR = BUILD / "registrar"
WORKER = BUILD / "registrar-worker"
FAKE_WORKER = BUILD / "tools" / "fake_worker"
GENERATE = BUILD / "tools" / "generate"
WAIT_S = 30 * float(os.environ.get("TIMEOUT_FACTOR", "1"))  # for anything that should be at once

_tests = []


class Skip(Exception):
    """Raised to leave a test out; the message is the reason."""


def skip(reason):
    raise Skip(reason)


def test(description):
    def register(function):
        _tests.append((description, function))
        return function
    return register


def expect(actual, wanted, what):
    assert actual == wanted, f"{what}: got {actual!r}, wanted {wanted!r}"


def expect_in(part, text, what="text"):
    assert part in text, f"{what}: {part!r} is not in {text!r}"


def shared_data(name=""):
    """The path below ../shared/data, or the test is skipped."""
    path = ROOT.parent / "shared" / "data" / name
    return path if path.exists() else skip("no ../shared/data")


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_gone(pid, timeout_s=WAIT_S):
    """Waits until the process, which need not be our child, has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], timeout_s)[0], f"process {pid} is still there"
    finally:
        os.close(pidfd)


def with_token(token=""):
    """Pids of living processes whose REGISTRAR_ATTEMPT begins with token."""
    wanted = f"REGISTRAR_ATTEMPT={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(entry.name):
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(variable.startswith(wanted) for variable in environment):
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def changes_in(folder):
    """A file that can be read when a file of the folder was written, made or renamed: inotify(7).
    (tail -F was found to be two seconds late with a file that came up after its start.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    modified_created_moved_to = 0x2 | 0x100 | 0x80
    if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(folder), modified_created_moved_to) < 0:
        raise OSError(ctypes.get_errno(), f"inotify on {folder}")
    with open(fd, "rb", buffering=0) as changed:
        yield changed


def _lines_after(path, inode, at):
    """The file's inode, the byte behind its last whole line, and the whole lines after byte `at`,
    or all of them when it is another file than `inode`."""
    try:
        with open(path, "rb") as file:
            if (is_now := os.fstat(file.fileno()).st_ino) != inode:
                inode, at = is_now, 0
            file.seek(at)
            added = file.read()
    except FileNotFoundError:
        added = b""
    whole = added[:added.rfind(b"\n") + 1]
    return inode, at + len(whole), whole.splitlines()


class Case:
    """One test's folder, environment and processes."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="registrar-test-"))
        self.raw = self.folder / "raw"
        self.out = self.folder / "out"
        self.gate = self.folder / "gate"
        self.processes = []
        self.preexec = None  # called in registrar before it is registrar
        self.undo = []  # called at the end
        self._pending = b""
        self._said = []
        os.mkfifo(self.folder / "events")
        os.mkfifo(self.gate)
        # both ends open: a reader never sees an end, a writer never waits
        self._events = os.open(self.folder / "events", os.O_RDWR | os.O_CLOEXEC)
        self.env = dict(os.environ, REGISTRAR_WORKER=str(FAKE_WORKER),
                        FAKE_WORKER_EVENTS=str(self.folder / "events"),
                        FAKE_WORKER_GATE=str(self.gate))

    def use_real_worker(self):
        self.env["REGISTRAR_WORKER"] = str(WORKER)

    def pair(self, sample, dye, content=b""):
        """Makes a pair of files; the fake worker behaves as the dye says. Returns the task's id."""
        folder = self.raw / sample
        folder.mkdir(parents=True, exist_ok=True)
        for which in ("pre", "post"):
            (folder / f"{sample}_{which}_{dye}.tif").write_bytes(content)
        return f"{sample}/{dye}"

    def generate(self, sample, dye, *options):
        """A generated pair in t.raw. Returns the truth."""
        truth = self.folder / "truth" / sample / f"{dye}.truth.json"
        subprocess.run([GENERATE, *map(str, options), self.raw, sample, dye], check=True)
        return json.loads(truth.read_text())

    def manifest(self, *tasks):
        path = self.folder / "manifest.json"
        path.write_text(json.dumps({"tasks": list(tasks)}))
        return path

    def run(self, *arguments, timeout_s=WAIT_S):
        """registrar with these arguments, to its end."""
        return subprocess.run([REGISTRAR, *map(str, arguments)], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s,
                              preexec_fn=self.preexec, check=False)

    def start(self, *arguments, **options):
        """registrar in the background, in a session of its own; output goes to t.folder/stdout and
        stderr."""
        with open(self.folder / "stdout", "ab") as stdout, \
             open(self.folder / "stderr", "ab") as stderr:
            options = {"stdout": stdout, "stderr": stderr, "stdin": subprocess.DEVNULL,
                       "preexec_fn": self.preexec, **options}
            process = subprocess.Popen([REGISTRAR, *map(str, arguments)], env=self.env,
                                       start_new_session=True, **options)
        self.processes.append(process)
        return process

    def wait_worker(self, what, timeout_s=WAIT_S):
        """The pid of the next fake process that says `what`; what others say is kept for later."""
        while True:
            *lines, self._pending = self._pending.split(b"\n")
            self._said += [line.decode().split(" ", 2) for line in lines]
            for at, (pid, _, said) in enumerate(self._said):
                if said == what:
                    del self._said[at]
                    return int(pid)
            ready = select.select([self._events], [], [], timeout_s)[0]
            assert ready, f"no fake worker said {what!r}"
            self._pending += os.read(self._events, 65536)

    def open_gate(self):
        """Lets one or all workers go on that wait at the gate."""
        os.close(os.open(self.gate, os.O_WRONLY))

    def ledger(self, event=None):
        """The ledger's records, or those of one event."""
        lines = (self.out / "ledger.jsonl").read_bytes().rstrip(b"\0").decode().splitlines()
        records = [json.loads(line) for line in lines]
        return [record for record in records if event in (None, record["event"])]

    def wait_ledger(self, wanted, timeout_s=WAIT_S):
        """The first record for which wanted(record) is true, as soon as it stands there."""
        self.out.mkdir(parents=True, exist_ok=True)
        inode, at, deadline = None, 0, time.monotonic() + timeout_s
        with changes_in(self.out) as changed:
            while (left := deadline - time.monotonic()) > 0:
                inode, at, lines = _lines_after(self.out / "ledger.jsonl", inode, at)
                for line in lines:
                    if line.strip(b"\0") and wanted(record := json.loads(line.strip(b"\0"))):
                        return record
                if select.select([changed], [], [], left)[0]:
                    changed.read()
        raise AssertionError("the ledger never said so")

    def summary(self):
        return json.loads((self.out / "summary.json").read_text())

    def task(self, task_id):
        """A task's row in summary.json."""
        return next(row for row in self.summary()["tasks"] if row["id"] == task_id)

    def attempts(self, task_id):
        """The verdicts of its attempts in order."""
        return [record["verdict"] for record in self.ledger("attempt_end")
                if record["task"] == task_id]

    def leftovers(self):
        """Pids that carry this ledger's token."""
        starts = self.ledger("attempt_start")
        return with_token(starts[0]["token"].partition(":")[0] + ":") if starts else []

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        for pid in self._fake_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for undo in self.undo:
            undo()
        os.close(self._events)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fake_processes(self):
        """What a failed test left running: whatever has our FIFO in its environment."""
        ours = f"FAKE_WORKER_EVENTS={self.folder / 'events'}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and ours in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)
            except OSError:
                continue


def _run_one(number, description, function):
    case = Case()
    try:
        function(case)
    except Skip as reason:
        print(f"ok {number} - {description} # SKIP {reason}", flush=True)
        return True
    except Exception:  # whatever it is, it is this test's failure and the next one's turn
        print(f"not ok {number} - {description}", flush=True)
        for line in traceback.format_exc().splitlines():
            print(f"# {line}", file=sys.stderr)  # prove shows it
        stderr = case.folder / "stderr"
        for line in stderr.read_text(errors="replace").splitlines()[-20:] if stderr.exists() else []:
            print(f"# registrar: {line}", file=sys.stderr)
        return False
    finally:
        case.close()
    print(f"ok {number} - {description}", flush=True)
    return True


def run_tests():
    """Runs all tests of the file, or those whose description holds argv[1]."""
    wanted = [entry for entry in _tests if len(sys.argv) < 2 or sys.argv[1] in entry[0]]
    if not wanted:
        sys.exit("no such test")
    print(f"1..{len(wanted)}", flush=True)
    results = [_run_one(number, *entry) for number, entry in enumerate(wanted, 1)]
    sys.exit(0 if all(results) else 1)
