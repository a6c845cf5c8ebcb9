"""The table that the benches fill: kept in a file, so that parts can be measured one at a time, and
printed for a terminal or for README."""
import json
import os
import platform
import time

MARKS = ("<!-- bench -->", "<!-- end of bench -->")
VERDICTS = {True: "pass", False: "MISSED", None: ""}


class Table:
    """Rows by part. Borrows parts: their names give the order."""

    def __init__(self, path, parts):
        self.path = path
        self.order = list(parts)
        self.name = ""
        self.rows = []
        self.parts = json.loads(path.read_text()) if path.exists() else {}

    def begin(self, name):
        """What follows is of this part."""
        self.name, self.rows = name, []

    def row(self, what, measured, wanted, met, command, value=None):
        """One figure: met is None where nothing was wanted; value is for other parts, as in
        value_of."""
        self.rows.append({"what": what, "measured": measured, "wanted": wanted, "met": met,
                          "command": command, "value": value})
        print(f"  {what}: {measured}{'' if met is not False else '   MISSED'}", flush=True)

    def end(self):
        """Keeps the part's rows in place of those of its last run. True: nothing was missed."""
        self.parts[self.name] = {"date": time.strftime("%Y-%m-%d"), "cpus": os.cpu_count(),
                                 "system": platform.release(), "rows": self.rows}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(self.parts, indent=1) + "\n")
        unfinished.replace(self.path)
        return all(row["met"] is not False for row in self.rows)

    def value_of(self, part, what):
        """The value of a row, from this run or an earlier one; LookupError when there is none."""
        for row in self.parts.get(part, {"rows": []})["rows"]:
            if row["what"] == what:
                return row["value"]
        raise LookupError(f"{part} has not measured {what}")

    def _measured_parts(self):
        return [(name, self.parts[name]) for name in self.order if name in self.parts]

    def print_text(self):
        head = ("part", "what", "measured", "wanted", "")
        lines = [(name if i == 0 else "", row["what"], row["measured"], row["wanted"],
                  VERDICTS[row["met"]])
                 for name, part in self._measured_parts() for i, row in enumerate(part["rows"])]
        widths = [max(map(len, column)) for column in zip(head, *lines)]
        print()
        for line in [head, *lines]:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
        rows = [row for _, part in self._measured_parts() for row in part["rows"]]
        print(f"\n{sum(row['met'] is True for row in rows)} pass, "
              f"{sum(row['met'] is False for row in rows)} missed; not measured yet: "
              f"{', '.join(name for name in self.order if name not in self.parts) or 'none'}")
        print("\nmeasured with:", *self._commands("  {name}: {command}"), sep="\n")

    def markdown(self):
        lines = ["| part | what | measured | wanted | |", "|---|---|---|---|---|"]
        for name, part in self._measured_parts():
            for i, row in enumerate(part["rows"]):
                cells = [name if i == 0 else "", row["what"], row["measured"], row["wanted"],
                         VERDICTS[row["met"]]]
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        days = sorted({part["date"] for _, part in self._measured_parts()})
        cpus = sorted({str(part["cpus"]) for _, part in self._measured_parts()})
        if days:
            lines += ["", f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))} with "
                      f"{' and '.join(cpus)} cores. What each part runs:", ""]
        return "\n".join(lines + self._commands("- {name}: `{command}`"))

    def put_into(self, path):
        """Replaces what stands between the marks."""
        head, begin, rest = path.read_text().partition(MARKS[0])
        _, end, tail = rest.partition(MARKS[1])
        if not begin or not end:
            raise SystemExit(f"bench: {path} lacks the marks {' and '.join(MARKS)}")
        path.write_text(f"{head}{begin}\n{self.markdown()}\n{end}{tail}")

    def _commands(self, form):
        return [form.format(name=name, command=command) for name, part in self._measured_parts()
                for command in dict.fromkeys(row["command"] for row in part["rows"])]
