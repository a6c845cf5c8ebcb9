#!/usr/bin/env python3
# timeout: 120
"""The service for several users, without systemd: a root's daemon runs each task as whoever submitted
it, takes turns between users, and lets nobody touch what is another's."""
import json
import os
import pwd
import socket
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from registrar_test import WAIT_S
from service_daemon import Daemon

if os.geteuid() != 0:
    print("1..0 # SKIP only root can work for several users")
    sys.exit(0)
USERS = [user for user in pwd.getpwall() if 0 < user.pw_uid < 65534][:2]
if len(USERS) < 2:
    print("1..0 # SKIP this system has no two users but root")
    sys.exit(0)
ANNA, BERT = USERS


def as_user(user, call):
    """What call() returns in a process of that user; it must be JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.write(writer, json.dumps(call()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def as_user_connect(user, client, path):
    """The kernel tells who connected, however the connection is used later."""
    def connect():
        client.connect(str(path))
        return True
    expect(as_user(user, connect), True, "connected")


def open_daemon(t, *arguments):
    """In a folder that all may enter, with one of each user's own."""
    t.folder.chmod(0o755)
    for user in USERS:
        (t.folder / user.pw_name).mkdir()
        os.chown(t.folder / user.pw_name, user.pw_uid, user.pw_gid)
    return Daemon(t, *arguments).ready()


def submit(daemon, user, name, *commands, **options):
    """To a folder in the user's own."""
    return as_user(user, lambda: daemon.submit(f"{user.pw_name}-{name}", *commands,
                                               folder=f"{user.pw_name}/{name}", **options))


@test("tasks run with their user's ids, in a clean environment, and what is written is his")
def _(t):
    t.env["SECRET_OF_ROOT"] = "1"
    daemon = open_daemon(t)
    for user in USERS:
        answer = submit(daemon, user, "own",
                        ["sh", "-c", "id -u; id -g; echo secret=$SECRET_OF_ROOT home=$HOME; "
                                     "grep NoNewPrivs /proc/self/status"])
        expect(answer["ok"], True, str(answer))
        daemon.await_end(f"{user.pw_name}-own")
        out = t.folder / user.pw_name / "own"
        log = (out / "t/0/log.txt").read_text()
        expect_in(f"\n{user.pw_uid}\n{user.pw_gid}\nsecret= home={user.pw_dir}\nNoNewPrivs:\t1\n",
                  log)
        for path in (out / "summary.json", out / "t/0/log.txt", out / "t"):
            expect(path.stat().st_uid, user.pw_uid, f"owner of {path}")
    daemon.stop()
    for record in t.ledger("task_end"):
        expect(record["user"] + "-own", record["batch"], "user in the ledger")


STRANGER = pwd.struct_passwd(("stranger", "x", 4_000_000_001, 4_000_000_001, "", "/", ""))


@test("whom the user database does not know gets nothing done, least of all with root's rights")
def _(t):
    daemon = open_daemon(t)
    (t.folder / "stranger").mkdir()
    os.chown(t.folder / "stranger", STRANGER.pw_uid, STRANGER.pw_gid)
    answer = as_user(STRANGER, lambda: daemon.submit("stranger", ["true"], on_finish="id"))
    expect(answer["ok"], False, str(answer))
    expect_in(str(STRANGER.pw_uid), answer["sentence"])
    expect(list((t.folder / "stranger").iterdir()), [], "what was written")
    daemon.stop()


@test("a path through /proc leads nowhere that the user may not go")
def _(t):
    daemon = open_daemon(t)
    hidden = t.folder / "hidden"
    hidden.mkdir()
    os.chown(hidden, BERT.pw_uid, BERT.pw_gid)
    hidden.chmod(0o700)
    (hidden / "inner").mkdir(mode=0o777)
    (hidden / "inner").chmod(0o777)
    victim = subprocess.Popen(["sleep", "600"], cwd=hidden / "inner", user=BERT.pw_uid,
                              group=BERT.pw_gid, extra_groups=[])
    t.processes.append(victim)
    answer = as_user(ANNA, lambda: daemon.submit("sly", ["true"], folder=f"/proc/{victim.pid}/cwd"))
    expect(answer["ok"], True, str(answer))
    daemon.await_end("sly")
    expect(list((hidden / "inner").iterdir()), [], "what was written there")
    daemon.stop()


@test("nobody's batch is another's to cancel, pause or hurry")
def _(t):
    daemon = open_daemon(t)
    submit(daemon, ANNA, "long", ["sleep", "1000"])
    name = f"{ANNA.pw_name}-long"
    t.wait_ledger(lambda record: record["event"] == "attempt_start")
    for request in ({"do": "cancel", "batch": name}, {"do": "pause", "batch": name},
                    {"do": "priority", "batch": name, "priority": 0}, {"do": "drain"},
                    {"do": "logs", "batch": name, "task": "t/0"}):
        answer = as_user(BERT, lambda r=request: daemon.ask(r))
        expect(answer["ok"], False, str(request))
        assert answer["sentence"], "no sentence"
    expect(t.ledger("attempt_end"), [], "nothing has happened")
    answer = as_user(ANNA, lambda: daemon.ask({"do": "cancel", "batch": name}))
    expect(answer["ok"], True, str(answer))
    daemon.await_end(name)
    daemon.stop()
    expect_in(f"stopped by {ANNA.pw_name}", t.ledger("attempt_end")[0]["reason"])


def read_until(stream, last):
    """Lines up to the first that has this member."""
    lines = []
    while not lines or last not in lines[-1]:
        lines.append(json.loads(stream.readline()))
    return lines


def lines_of(daemon, request, last):
    """The answer's lines, to the last."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WAIT_S)
        client.connect(str(daemon.path))
        client.sendall(json.dumps({"v": 1, **request}).encode() + b"\n")
        with client.makefile() as stream:
            return read_until(stream, last)


@test("nobody holds the others up with tasks by the thousand, watches or readings")
def _(t):
    daemon = open_daemon(t)
    answer = as_user(ANNA, lambda: daemon.ask({"do": "cancel", "batch": "none", "tasks": ["t"]}))
    expect_in("there is no batch", answer["sentence"])
    submit(daemon, ANNA, "own", ["true"])
    many = {"do": "cancel", "batch": f"{ANNA.pw_name}-own", "tasks": ["t/0"] * 1001}
    answer = as_user(ANNA, lambda: daemon.ask(many))
    expect_in("1001 tasks are too many for one request", answer["sentence"])

    def refused_after(most, request, words):
        """Opens one after the other until one is refused; returns how many were not."""
        clients = []
        while len(clients) <= most:
            clients.append(socket.socket(socket.AF_UNIX))
            clients[-1].settimeout(WAIT_S)
            clients[-1].connect(str(daemon.path))
            clients[-1].sendall(json.dumps({"v": 1, **request}).encode() + b"\n")
            answer = json.loads(clients[-1].makefile().readline())
            if not answer["ok"]:
                assert words in answer["sentence"], answer
                break
        return len(clients) - 1
    n = as_user(ANNA, lambda: refused_after(150, {"do": "watch"}, "watches the queue 128 times"))
    expect(n, 128, "watches")
    expect(as_user(BERT, lambda: daemon.ask({"do": "hello"}))["ok"], True, "another's request")
    daemon.stop()


@test("everybody sees the queue, and of another's tasks no reasons and no folders")
def _(t):
    daemon = open_daemon(t)
    gate = os.open(t.gate, os.O_RDWR)
    t.gate.chmod(0o666)
    words = ["sh", "-c", f"read line < {t.gate}; echo the secret is 42 >&2; exit 3"]
    name = f"{ANNA.pw_name}-own"
    submit(daemon, ANNA, "own", words)
    t.wait_ledger(lambda record: record["event"] == "attempt_start")
    watched = {}
    for user in USERS:
        watched[user.pw_name] = client = socket.socket(socket.AF_UNIX)
        t.undo.append(client.close)
        client.settimeout(WAIT_S)
        as_user_connect(user, client, daemon.path)
        client.sendall(json.dumps({"v": 1, "do": "watch", "batch": name}).encode() + b"\n")
        watched[user.pw_name] = client.makefile()
        expect(json.loads(watched[user.pw_name].readline())["ok"], True, "watch")
    os.write(gate, b"\n")
    daemon.await_end(name)
    os.close(gate)
    request = {"do": "status", "batch": name, "tasks": True, "all": True}
    own = as_user(ANNA, lambda: lines_of(daemon, request, "end"))
    others = as_user(BERT, lambda: lines_of(daemon, request, "end"))
    expect_in("exit status 3", json.dumps(own))
    expect_in(str(t.folder), json.dumps(own))
    for told in (json.dumps(others), json.dumps(read_until(watched[BERT.pw_name], "end"))):
        expect_in(name, told)
        for hidden in ("exit status 3", str(t.folder)):
            assert hidden not in told, told
    expect_in("exit status 3", json.dumps(read_until(watched[ANNA.pw_name], "end")))
    [task] = [line["task"] for line in others if "task" in line]
    expect((task["id"], task["verdict"], task["attempts"]), ("t/0", "failed", 1), "what is told")
    daemon.stop()


@test("the daemon writes nowhere that the user could not")
def _(t):
    daemon = open_daemon(t)
    root_own = t.folder / "root-own"
    root_own.mkdir(0o755)
    secret = root_own / "secret"
    secret.write_text("mine")
    out = t.folder / ANNA.pw_name / "trick"

    def prepare():
        (out / "t/0").mkdir(parents=True)
        (out / "t/0/log.txt").symlink_to(secret)
        (out / "summary.json.tmp").symlink_to(secret)
        (out / "t/1").symlink_to(root_own)
        return True
    as_user(ANNA, prepare)
    submit(daemon, ANNA, "trick", ["echo", "written"], ["echo", "written"])
    daemon.await_end(f"{ANNA.pw_name}-trick")
    daemon.stop()
    expect(secret.read_text(), "mine", "root's file")
    expect(sorted(path.name for path in root_own.iterdir()), ["secret"], "root's folder")
    expect(daemon.summary(f"{ANNA.pw_name}/trick")["counts"], {"failed": 2}, "counts")


@test("two users take turns, whoever came first")
def _(t):
    path = t.folder / "registrar.conf"
    path.write_text("jobs = 1\n")
    path.chmod(0o644)
    daemon = open_daemon(t, "--config", path)
    gate = os.open(t.gate, os.O_RDWR)
    t.gate.chmod(0o666)
    wait = ["sh", "-c", f"read line < {t.gate}"]
    submit(daemon, ANNA, "many", *[wait] * 6)
    submit(daemon, BERT, "many", *[wait] * 6)
    os.write(gate, b"\n" * 12)
    daemon.await_end(*(f"{user.pw_name}-many" for user in USERS))
    os.close(gate)
    daemon.stop()
    order = [record["user"] for record in t.ledger("attempt_start")]
    assert BERT.pw_name in order[:3], order
    assert ANNA.pw_name in order[-6:], order


run_tests()
