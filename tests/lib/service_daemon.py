"""A daemon in a test's folder: started, asked over its socket, killed. A manager of our own stands in
for systemd, so that nobody has to guess when it is ready."""
import json
import os
import signal
import socket
import zlib

from registrar_test import WAIT_S, expect, with_token


class Daemon:
    """t.out becomes its state folder, so that t.ledger and t.wait_ledger read its ledger."""

    def __init__(self, t, *arguments, **options):
        self.t = t
        self.state = t.out = t.folder / "state"
        self.path = t.folder / "socket"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.settimeout(WAIT_S)
        address = str(t.folder / f"notify-{len(t.processes)}")
        self.manager.bind(address)
        t.undo.append(self.manager.close)
        t.env["NOTIFY_SOCKET"] = address
        self.process = t.start("daemon", "--state-dir", self.state, "--socket", self.path,
                               *arguments, **options)

    def heard(self, part):
        while part not in (said := self.manager.recv(65536).decode()):
            pass
        return said

    def ready(self):
        """From then on nobody listens: a manager that did and never read would stop the daemon."""
        self.heard("READY=1")
        self.manager.close()
        return self

    def ask(self, request, *lines):
        """The first line of the answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WAIT_S)
            client.connect(str(self.path))
            text = "".join(json.dumps(part, separators=(",", ":")) + "\n"
                           for part in ({"v": 1, **request}, *lines))
            client.sendall(text.encode())
            answer = b""
            while not answer.endswith(b"\n"):
                part = client.recv(65536)
                assert part, f"the daemon hung up after {answer!r}"
                answer += part
        return json.loads(answer.partition(b"\n")[0])

    def submit(self, name, *commands, folder=None, **options):
        """Tasks t/0, t/1, ... that run these words, to that folder below the test's. Returns the
        answer."""
        out = self.t.folder / (folder or name)
        if not os.path.lexists(out):
            out.mkdir()
        return self.ask({"do": "submit", "name": name, "out": str(out), "tasks": len(commands),
                         **options},
                        *({"id": f"t/{i}", "kind": "c", "command": command,
                           "cwd": str(self.t.folder), "memory_bytes": 1 << 20,
                           "need": {"size": 1.0}} for i, command in enumerate(commands)))

    def summary(self, name):
        return json.loads((self.t.folder / name / "summary.json").read_text())

    def await_end(self, *names):
        """Until these batches are done."""
        left = set(names)

        def ended(record):
            if record["event"] == "batch" and record["state"] == "end":
                left.discard(record.get("batch"))
            return not left
        self.t.wait_ledger(ended)

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT_S)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        expect(self.process.wait(WAIT_S), 0, "exit status")

    def leftovers(self):
        """Pids of what tasks of this ledger have started."""
        starts = self.t.ledger("attempt_start")
        return with_token(starts[0]["token"].partition(":")[0] + ":") if starts else []


def add_notes(path, n, length=8000):
    """As many long notes, as a service of years may have written."""
    last = json.loads(path.read_bytes().splitlines()[-1])
    with open(path, "ab") as file:
        for seq in range(last["seq"] + 1, last["seq"] + 1 + n):
            record = {"v": 1, "seq": seq, "time": last["time"], "boot": last["boot"],
                      "event": "note", "synced": seq - 1, "text": "x" * length}
            line = json.dumps(record, separators=(",", ":"))[:-1].encode()
            file.write(line + f',"crc":"{zlib.crc32(line):08x}"}}\n'.encode())
