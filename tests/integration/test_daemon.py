#!/usr/bin/env python3
# timeout: 120
"""registrar daemon as a process: its folder and lock, its socket, its settings, its signals, and what
a service manager hears. A manager of our own stands in for systemd."""
import os
import socket
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import service_daemon
from registrar_test import *
from registrar_test import WAIT_S


class Daemon(service_daemon.Daemon):
    """One whose manager goes on listening."""

    def ready(self):
        self.heard("READY=1")
        return self


def connects(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def stderr(t):
    return (t.folder / "stderr").read_text()


def config(t, text):
    path = t.folder / "registrar.conf"
    path.write_text(text)
    path.chmod(0o644)
    return path


@test("it says when it is ready, answers, and leaves nothing behind when it is told to stop")
def _(t):
    daemon = Daemon(t).ready()
    assert connects(daemon.path), "nobody answers"
    expect(daemon.state.stat().st_mode & 0o777, 0o700, "mode of the state folder")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.heard("STOPPING=1")
    expect(daemon.process.wait(WAIT_S), 0, "exit status")
    assert not daemon.path.exists(), "the socket is left"


@test("a second one on the same folder, or at the same socket, is refused by name")
def _(t):
    daemon = Daemon(t).ready()
    ran = t.run("daemon", "--state-dir", daemon.state, "--socket", t.folder / "other")
    expect(ran.returncode, 5, "exit status")
    expect_in(f"another daemon (process {daemon.process.pid}) serves {daemon.state}; stop it, or",
              ran.stderr)
    ran = t.run("daemon", "--state-dir", t.folder / "other", "--socket", daemon.path)
    expect(ran.returncode, 5, "exit status")
    expect_in(f"another daemon listens at {daemon.path}; stop it, or give another --socket",
              ran.stderr)
    assert connects(daemon.path), "the first one is not disturbed"
    daemon.stop()


@test("after SIGKILL the next one takes folder and socket")
def _(t):
    daemon = Daemon(t).ready()
    daemon.process.kill()
    daemon.process.wait()
    assert daemon.path.exists(), "the dead one's socket"
    again = Daemon(t).ready()
    assert connects(again.path), "nobody answers"
    again.stop()


@test("what is no socket is not removed")
def _(t):
    (t.folder / "socket").write_text("somebody's")
    ran = t.run("daemon", "--state-dir", t.folder / "state", "--socket", t.folder / "socket")
    expect(ran.returncode, 2, "exit status")
    expect_in("is there and is no socket; remove it, or give another --socket", ran.stderr)
    expect((t.folder / "socket").read_text(), "somebody's", "the file")


@test("a path that is too long for a socket is refused")
def _(t):
    ran = t.run("daemon", "--state-dir", t.folder / "state", "--socket", t.folder / ("x" * 108))
    expect(ran.returncode, 2, "exit status")
    expect_in("the path of a socket has at most 107 characters", ran.stderr)


@test("a state folder that others can write is not trusted")
def _(t):
    (t.folder / "state").mkdir()
    (t.folder / "state").chmod(0o777)
    ran = t.run("daemon", "--state-dir", t.folder / "state", "--socket", t.folder / "socket")
    expect(ran.returncode, 2, "exit status")
    expect_in("can be written by others; it must be the daemon's own", ran.stderr)


@test("settings that are not allowed stop the start and name file and line")
def _(t):
    path = config(t, "jobs = 2\n\nmemory = lots\n")
    ran = t.run("daemon", "--state-dir", t.folder / "state", "--socket", t.folder / "socket",
                "--config", path)
    expect(ran.returncode, 2, "exit status")
    expect_in(f'{path}:3: memory: "lots" is not allowed; give a size like 24G', ran.stderr)
    ran = t.run("daemon", "--show-config", "--config", t.folder / "none.conf")
    expect(ran.returncode, 2, "exit status")
    expect_in("none.conf: No such file or directory", ran.stderr)


@test("SIGHUP reads the settings again, and keeps the old ones when the new are not allowed")
def _(t):
    path = config(t, "jobs = 2\n")
    daemon = Daemon(t, "--config", path).ready()
    config(t, "jobs = none\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.heard("RELOADING=1")
    daemon.ready()
    expect_in(f'{path}:1: jobs: "none" is not allowed', stderr(t))
    expect_in("the settings stay as they were", stderr(t))
    config(t, "admin-group = nobody-here\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.heard("RELOADING=1")
    daemon.ready()
    expect_in("the configuration was read again", stderr(t))
    expect_in("admin-group: there is no group nobody-here, so it has no members: make it", stderr(t))
    daemon.stop()


@test("a socket that is handed over is taken, and is not removed")
def _(t):
    path = t.folder / "handed"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        # LISTEN_PID is the daemon's own
        handed = os.dup2(listener.fileno(), 9, inheritable=True)
        words = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&9', "sh", REGISTRAR,
                 "daemon", "--state-dir", t.folder / "state", "--socket", t.folder / "unused"]
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(WAIT_S)
        manager.bind(str(t.folder / "notify"))
        t.undo.append(manager.close)
        process = subprocess.Popen(words, env=dict(t.env, NOTIFY_SOCKET=str(t.folder / "notify")),
                                   pass_fds=[handed], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        os.close(handed)
        t.processes.append(process)
        while b"READY=1" not in manager.recv(65536):
            pass
        assert connects(path), "nobody answers"
        assert not (t.folder / "unused").exists(), "another socket was made"
        process.send_signal(signal.SIGTERM)
        expect(process.wait(WAIT_S), 0, "exit status")
        assert path.exists(), "the socket was not ours to remove"


@test("the watchdog hears that it lives")
def _(t):
    t.env["WATCHDOG_USEC"] = "200000"
    daemon = Daemon(t).ready()
    daemon.heard("WATCHDOG=1")
    daemon.heard("WATCHDOG=1")
    daemon.stop()


@test("an idle daemon does not wake up")
def _(t):
    daemon = Daemon(t).ready()
    assert connects(daemon.path)
    status = Path(f"/proc/{daemon.process.pid}/status")

    def switches():
        return [line for line in status.read_text().splitlines() if "ctxt_switches" in line]

    # a tenth of a second of a process of ours, with the daemon free to run beside it
    before = switches()
    for _ in range(20):
        subprocess.run(["true"], check=True)
        after = switches()
        if after == before:
            break
        before = after
    expect(after, before, "context switches while nothing happens")
    daemon.stop()


@test("words that it does not know")
def _(t):
    ran = t.run("daemon", "start")
    expect(ran.returncode, 2, "exit status")
    expect_in('"start" is one word too many: daemon takes options', ran.stderr)


run_tests()
