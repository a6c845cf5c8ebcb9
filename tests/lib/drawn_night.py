"""An output folder as a night leaves it, written by hand: a ledger, summary.json, and of each task
what a worker writes. Nothing runs, so a thousand tasks take a second, and names and texts can be
such as no worker would write.

    night = Night(folder)
    night.task("S1/DAPI", pictures={"overlay.png": png(40, 30)})
    night.task("S1/SYTO", verdict="failed", reason="no common structure")
    night.close()
"""
import datetime
import json
import os
import struct
import zlib

BEGIN = datetime.datetime(2026, 11, 21, 20, 0, tzinfo=datetime.timezone.utc)
MIB = 1 << 20


def png(width, height, grey=lambda x, y: (x ^ y) & 255):
    """A grey picture."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + bytes(grey(x, y) & 255 for x in range(width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def when(seconds):
    """So many seconds into the night, as the ledger has times."""
    at = BEGIN + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


class Night:
    """jobs workers take the tasks in turn."""

    def __init__(self, folder, jobs=4, budget=8 << 30, command=None, batch=None):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.command = command or f"registrar run raw -o {self.folder}"
        self.free = [0.1] * jobs
        self.records = []
        self.listed = []
        self.budget = budget
        self.batch = batch

    def task(self, task_id, verdict="ok", reason="median 0.10 px on 90 of 95 test tiles", wall=30.0,
             peak=400 * MIB, predicted=410 * MIB, reserved=450 * MIB, files=True, pictures=None,
             evidence=None, **results):
        worker = self.free.index(min(self.free))
        start = self.free[worker]
        self.free[worker] = start + wall + 0.1
        forecast = {"predicted_bytes": predicted, "basis": "headers", "basis_attempts": 3,
                    "reserved_bytes": reserved, "kind": "align", "size": 750000000}
        self.records += [
            (start, "attempt_start", {"task": task_id, "attempt": 1, "pid": 1, "start_ticks": 1,
                                      "token": "t", **forecast}),
            (start + wall, "attempt_end",
             {"task": task_id, "attempt": 1, "verdict": verdict, "reason": reason,
              "evidence": evidence or {"exit_status": 0}, "started": when(start), "wall_s": wall,
              "cpu_s": wall, "peak_rss_bytes": peak, "min_rss_bytes": MIB, "stage": "warp", **forecast}),
            (start + wall, "task_end", {"task": task_id, "verdict": verdict, "reason": reason,
                                        "attempts": 1, "wall_s": wall, "peak_rss_bytes": peak,
                                        "cause": "input" if verdict == "failed" else ""})]
        self.listed.append({"id": task_id, "verdict": verdict, "attempts": 1, "wall_s": wall,
                            "peak_rss_bytes": peak, "reason": reason})
        if files:
            self._write_files(task_id, verdict, wall, peak, pictures or {}, results)

    def waiting(self, task_id):
        """One that was not begun."""
        self.listed.append({"id": task_id, "verdict": "waiting", "attempts": 0, "wall_s": 0.0,
                            "peak_rss_bytes": 0, "reason": ""})

    def path(self, task_id, name):
        return os.path.join(self.folder, task_id, name)

    def _write_files(self, task_id, verdict, wall, peak, pictures, results):
        os.makedirs(self.path(task_id, ""), exist_ok=True)
        stages = [{"stage": stage, "resumed": False, "wall_s": wall * share,
                   "peak_bytes": int(peak * share), "rss_bytes": peak}
                  for stage, share in (("search", 0.2), ("refine", 0.5), ("warp", 0.3))]
        self._write_json(task_id, "result.json",
                         {"version": 1, "task": task_id, "scale": results.get("scale", 1.25),
                          "scale_kind": "moffat", "stages": stages, "params": {"pad": 0},
                          "inputs": [{"path": f"raw/{task_id}_pre.tif", "size": 7560328}]})
        status = "aligned" if verdict == "ok" else verdict
        self._write_json(task_id, "transform.json",
                         {"version": 1, "status": status, "model": "similarity",
                          "post_to_pre": [[1.03, -0.14, 74.4], [0.14, 1.03, -151.1], [0, 0, 1]],
                          "residual_px": {"median": results.get("residual", 0.1), "p95": 0.3, "tiles": 90}})
        with open(self.path(task_id, "memory.csv"), "w") as file:
            file.write("seconds,resident_bytes,anonymous_bytes,file_bytes,swap_bytes,attempt\n")
            for i in range(200):
                level = peak if i == 137 else int(peak * (0.3 + 0.4 * (i % 20) / 20))
                file.write(f"{wall * i / 199:.4f},{level},{level // 2},{level // 2},0,1\n")
        with open(self.path(task_id, "log.txt"), "w") as file:
            file.write(f"=== {task_id}, attempt 1 ===\n{verdict}\n")
        if not pictures:
            return
        os.makedirs(self.path(task_id, "qc"), exist_ok=True)
        for name, data in pictures.items():
            with open(self.path(task_id, "qc/" + name), "wb") as file:
                file.write(data)
        self._write_json(task_id, "qc/qc.json", {"version": 1, "pictures": [
            {"name": name, "title": name[:-4], "says": f"How to read {name}.",
             "width": 1, "height": 1} for name in pictures]})

    def _write_json(self, task_id, name, value):
        with open(self.path(task_id, name), "w") as file:
            json.dump(value, file, indent=1)

    def close(self, interrupted=False):
        end = max(self.free)
        start = {"state": "start", "id": "r1", "version": "0.1.0", "out": self.folder,
                 "command": self.command, "cwd": "/", "tasks": len(self.listed),
                 "jobs": len(self.free), "threads": 2, "budget_bytes": self.budget}
        records = [(0, "note", {"text": "a new ledger", "ledger_id": "a" * 32}), (0, "batch", start),
                   *sorted(self.records, key=lambda record: record[0]),
                   (end, "batch", {"state": "end", "id": "r1", "interrupted": interrupted, "wall_s": end})]
        with open(os.path.join(self.folder, "ledger.jsonl"), "w") as file:
            for seq, (seconds, event, members) in enumerate(records, 1):
                text = json.dumps({"v": 1, "seq": seq, "time": when(seconds), "boot": "b", "event": event,
                                   "synced": seq - 1, **members}, separators=(",", ":"),
                                  ensure_ascii=False)[:-1]
                file.write(f'{text},"crc":"{zlib.crc32(text.encode()):08x}"}}\n')
        with open(os.path.join(self.folder, "summary.json"), "w") as file:
            lines = ",\n  ".join(json.dumps(task) for task in self.listed)
            file.write('{\n "version": 1,\n "tasks": [\n  ' + lines + '\n ],\n "counts": {},\n "wall_s": 1\n}\n')
