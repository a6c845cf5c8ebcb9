#!/usr/bin/env python3
# timeout: 120
"""registrar as a person sees it: a real terminal, resized, stopped, interrupted."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from registrar_test import WAIT_S


class Screen:
    """A terminal in miniature: what it cannot do fails the test. Long lines are wrapped anew when it
    becomes narrower, as most terminals do."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.text = [[]]       # rows of characters: scrollback, then the screen
        self.joined = [False]  # the row goes on in the next
        self.top = self.row = self.column = 0
        self.saved = 0, 0
        self.wraps = self.cursor_shown = True
        self.coloured = False
        self.rest = ""

    def feed(self, text):
        text = self.rest + text
        self.rest = ""
        at = 0
        while at < len(text):
            if text[at] != "\033":
                self._character(text[at])
                at += 1
                continue
            if text[at + 1:at + 2] in ("7", "8"):
                self._save_or_restore(text[at + 1] == "7")
                at += 2
                continue
            sequence = re.match(r"\033\[([?\d;]*)([A-Za-z])", text[at:])
            if not sequence:
                assert len(text) - at < 8, f"unknown escape sequence {text[at:at + 12]!r}"
                self.rest = text[at:]
                return
            self._escape(sequence[1], sequence[2])
            at += sequence.end()

    def _line_feed(self):
        self.row += 1
        if self.row == len(self.text):
            self.text.append([])
            self.joined.append(False)
        self.top = max(self.top, self.row - self.rows + 1)

    def _character(self, c):
        if c == "\r":
            self.column = 0
        elif c == "\n":
            self._line_feed()
        elif c == "\b":
            self.column = max(0, self.column - 1)
        else:
            assert c >= " ", f"control character {c!r}"
            if self.column >= self.columns:
                if not self.wraps:
                    self.column = self.columns - 1
                else:
                    self.joined[self.row] = True
                    self._line_feed()
                    self.column = 0
            row = self.text[self.row]
            row.extend(" " * (self.column + 1 - len(row)))
            row[self.column] = c
            self.column += 1

    def _save_or_restore(self, save):
        if save:
            self.saved = self.row - self.top, self.column
        else:
            self.row, self.column = self.top + self.saved[0], self.saved[1]

    def _escape(self, argument, final):
        if argument + final in ("?25l", "?25h"):
            self.cursor_shown = final == "h"
        elif argument + final in ("?7l", "?7h"):
            self.wraps = final == "h"
        elif final == "A":
            self.row = max(self.top, self.row - int(argument or 1))
        elif final == "B":
            wanted = min(self.row + int(argument or 1), self.top + self.rows - 1)
            while len(self.text) <= wanted:
                self.text.append([])
                self.joined.append(False)
            self.row = wanted
        elif final in "JK" and argument == "":
            at_home = self.row == self.top and self.column == 0
            assert final == "K" or not at_home, "tmux would save what this erases"
            del self.text[self.row][self.column:]
            self.joined[self.row] = False
            if final == "J":
                del self.text[self.row + 1:], self.joined[self.row + 1:]
        elif final == "m":
            self.coloured = True
        else:
            raise AssertionError(f"unknown escape sequence ESC [ {argument} {final}")

    def resize(self, columns, rows):
        text, joined, cursor = [], [], (0, 0)
        line, at = [], None
        for number, row in enumerate(self.text):
            if number == self.row:
                at = len(line) + self.column
            line += row
            if self.joined[number]:
                line += " " * (self.columns - len(row))
                continue
            pieces = [line[i:i + columns] for i in range(0, max(len(line), 1), columns)]
            if at is not None:
                cursor = (len(text) + min(at // columns, len(pieces) - 1), at % columns)
                at = None
            text += pieces
            joined += [True] * (len(pieces) - 1) + [False]
            line = []
        self.text, self.joined = text or [[]], joined or [False]
        self.row, self.column = cursor
        self.columns, self.rows = columns, rows
        self.top = max(0, len(self.text) - rows)

    def shown(self):
        """All rows, scrollback included, without empty ones at the end."""
        return "\n".join("".join(row).rstrip() for row in self.text).rstrip("\n")


class Terminal:
    """registrar on a pseudo-terminal of its own, which is its controlling terminal."""

    def __init__(self, t, *arguments, columns=100, rows=24, term="xterm-256color", **env):
        self.master, slave = pty.openpty()
        self.screen = Screen(columns, rows)
        self.raw = ""
        self._set_size(slave, columns, rows)
        self.before = termios.tcgetattr(slave)
        t.env.pop("TMUX", None)
        t.env.pop("XTERM_VERSION", None)
        t.env.update(TERM=term, **env)
        self.process = t.start(*arguments, stdin=slave, stdout=slave, stderr=slave,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave

    @staticmethod
    def _set_size(fd, columns, rows):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.read_now()
        self.screen.resize(columns, rows)
        self._set_size(self.master, columns, rows)  # the kernel sends SIGWINCH

    def type(self, keys):
        os.write(self.master, keys)

    def read_now(self):
        while select.select([self.master], [], [], 0)[0]:
            self._read()

    def _read(self):
        text = os.read(self.master, 65536).decode()
        self.raw += text
        self.screen.feed(text)

    def wait(self, wanted):
        """Reads until wanted(what is shown) holds."""
        end = time.monotonic() + WAIT_S
        while not wanted(self.screen.shown()):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], \
                f"never shown; the screen:\n{self.screen.shown()}"
            self._read()

    def finish(self):
        """Reads to the end. Returns the exit status and what stands on the screen."""
        pidfd = os.pidfd_open(self.process.pid)
        end = time.monotonic() + WAIT_S
        while not select.select([pidfd], [], [], 0)[0]:
            assert time.monotonic() < end, f"never ended; the screen:\n{self.screen.shown()}"
            if self.master in select.select([self.master, pidfd], [], [], 1)[0]:
                self._read()
        os.close(pidfd)
        self.read_now()
        expect(termios.tcgetattr(self.slave), self.before, "terminal settings")
        status = self.process.wait()
        os.close(self.master)
        os.close(self.slave)
        assert self.screen.cursor_shown and self.screen.wraps, "the terminal is left changed"
        return status, self.screen.shown()


def no_live_lines(shown):
    for trace in (" running", " waiting;", "left\n", "[---", "[###"):
        assert trace not in shown, f"{trace!r} is left on the screen:\n{shown}"


@test("a finished run leaves the events and the summary, and nothing of the live lines")
def _(t):
    ids = [t.pair(f"S{i:02}", "ok") for i in range(12)]
    t.pair("S90", "failed")
    status, shown = Terminal(t, "run", t.raw, "-o", t.out, columns=90, rows=10).finish()
    expect(status, 1, "exit status")
    no_live_lines(shown)
    events = shown.partition("TASK ")[0]
    for task in [*ids, "S90/failed"]:
        expect(len(re.findall(rf"^.*\b{task}\b", events, re.M)), 1, f"event lines of {task}")
    expect_in("12 ok, 1 failed", "".join(shown.splitlines()[-5:]), "the last lines")


@test("live lines follow a resized window, and a Ctrl-C leaves a clean screen")
def _(t):
    ids = [t.pair(f"S{i}", "polite") for i in range(3)]
    terminal = Terminal(t, "run", t.raw, "-o", t.out, "--jobs", 3, columns=110, rows=20)
    for _ in ids:
        t.wait_worker("polite")
    for columns in (110, 60, 35, 100, 48, 110):
        terminal.resize(columns, 20)
        terminal.wait(lambda shown: all(len(re.findall(rf"^{task} ", shown, re.M)) == 1
                                        for task in ids) and re.search("(of |/)3 done", shown.splitlines()[-1]))
    terminal.type(b"\x03")
    status, shown = terminal.finish()
    expect(status, 4, "exit status")
    no_live_lines(shown)
    expect_in("Run the same command again to continue", shown)


@test("more tasks than rows: as many as fit, and how many more")
def _(t):
    for i in range(9):
        t.pair(f"S{i}", "polite")
    terminal = Terminal(t, "run", t.raw, "-o", t.out, "--jobs", 9, columns=90, rows=6)
    for _ in range(9):
        t.wait_worker("polite")
    terminal.wait(lambda shown: "and 6 more running" in shown)
    terminal.type(b"\x03")
    status, shown = terminal.finish()
    expect(status, 4, "exit status")
    no_live_lines(shown)


@test("a terminal stopped with Ctrl-S does not stop the supervision")
def _(t):
    t.pair("S1", "polite")
    t.pair("S2", "gate")
    terminal = Terminal(t, "run", t.raw, "-o", t.out, "--jobs", 2, "--timeout", "1h")
    t.wait_worker("polite")
    t.wait_worker("gate")
    terminal.wait(lambda shown: "of 2 done" in shown)
    terminal.type(b"\x13")
    t.open_gate()
    t.wait_ledger(lambda record: record["event"] == "task_end" and record["task"] == "S2/gate")
    terminal.process.send_signal(signal.SIGINT)
    t.wait_ledger(lambda record: record["event"] == "attempt_end" and
                  record["task"] == "S1/polite")
    terminal.type(b"\x11")
    status, shown = terminal.finish()
    expect(status, 4, "exit status")
    no_live_lines(shown)


@test("TERM=dumb gets plain lines, NO_COLOR no colours, a pipe neither")
def _(t):
    t.pair("S1", "ok")
    t.pair("S2", "failed")
    dumb = Terminal(t, "run", t.raw, "-o", t.out, term="dumb")
    dumb.finish()
    assert "\033" not in dumb.raw, dumb.raw
    plain = Terminal(t, "run", t.raw, "-o", t.out, "--redo", NO_COLOR="1")
    plain.finish()
    assert not plain.screen.coloured, plain.raw
    del t.env["NO_COLOR"]
    coloured = Terminal(t, "run", t.raw, "-o", t.out, "--redo")
    coloured.finish()
    assert coloured.screen.coloured, coloured.raw
    ran = t.run("run", t.raw, "-o", t.out, "--redo")
    assert "\033" not in ran.stdout + ran.stderr, ran
    expect(len([line for line in ran.stderr.splitlines() if "S2/failed" in line]), 1,
           "event lines of a task on a pipe")


@test("--quiet says nothing on stderr while it runs; --json is JSON alone on stdout")
def _(t):
    t.pair("S1", "ok")
    ran = t.run("run", t.raw, "-o", t.out, "--quiet")
    expect((ran.returncode, ran.stderr), (0, ""), "exit status and stderr")
    ran = t.run("run", t.raw, "-o", t.out, "--redo", "--json")
    expect(json.loads(ran.stdout), t.summary(), "--json and summary.json")


run_tests()
