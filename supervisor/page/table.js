/* The table of all tasks: sorted, filtered, and only as many rows in the document as are seen. */

const ROW_HEIGHT = 34;

const byNumber = (key) => (task) => typeof task[key] === "number" && task[key] > 0 ? task[key] : null;
/* What needs a person most is the most. */
const NEED = ["ok", "waiting", "running", "cancelled", "lost", "stalled", "timeout", "oom-limit", "oom-machine",
              "killed", "crashed", "doubtful", "failed"];
const byVerdict = (task) => NEED.indexOf(task.verdict);

/* From a file's name on: its folders, which the task's name tells, would leave no room. */
function shortReason(reason) {
    const path = reason.match(/^\/.*?: /);
    return path ? reason.slice(path[0].lastIndexOf("/") + 1) : reason;
}

/* How far the peak was from what was predicted; null: not known. */
function forecastError(task) {
    return task.predicted_bytes > 0 && task.peak_bytes > 0 ? task.peak_bytes / task.predicted_bytes - 1
                                                           : null;
}

function signedPercent(share) {
    if (share === null)
        return NO_VALUE;
    const percent = Math.round(100 * share);
    return (percent > 0 ? "+" : percent < 0 ? "\u2212" : "") + Math.abs(percent) + "\u00a0%";
}

const COLUMNS = [
    {key: "id", title: "Task", sort: (task) => task.id, text: (task) => task.id},
    {key: "verdict", title: "Verdict", sort: byVerdict, cell: (task) => verdictLabel(task.verdict)},
    {key: "reason", title: "Reason", sort: (task) => shortReason(task.reason), text: (task) => shortReason(task.reason)},
    {key: "residual", title: "Residual", unit: "px", right: true, only: "residual",
     says: "median over tiles that the fit did not use", sort: byNumber("residual"),
     text: (task) => numberText(task.residual, 2)},
    {key: "scale", title: "Scale", right: true, only: "scale",
     says: "the background scale in use", sort: byNumber("scale"),
     text: (task) => numberText(task.scale, 4)},
    {key: "tries", title: "Tries", right: true, sort: byNumber("attempts"),
     text: (task) => task.attempts > 0 ? String(task.attempts) : NO_VALUE},
    {key: "time", title: "Time", right: true, sort: byNumber("wall_s"),
     text: (task) => task.attempts > 0 ? timeText(task.wall_s) : NO_VALUE},
    {key: "memory", title: "Memory", right: true, sort: byNumber("peak_bytes"),
     says: "the most that it held", text: (task) => sizeText(task.peak_bytes)},
    {key: "forecast", title: "Forecast", right: true, sort: forecastError,
     says: "measured against predicted memory", text: (task) => signedPercent(forecastError(task))},
];

class TaskTable {
    constructor(tasks, open) {
        this.tasks = tasks;
        this.open = open;
        this.sorting = {column: COLUMNS[1], down: true};
        this.verdicts = new Set();
        this.words = [];
        this.active = -1;
        this.columns = COLUMNS.filter((column) => !column.only ||
                                                  tasks.some((task) => typeof task[column.only] === "number"));
        this.element = make("div", {class: "tasks"}, this.makeFilters(), this.makeTable());
        new ResizeObserver(() => this.paint()).observe(this.scroller);
        this.update();
    }
    makeFilters() {
        this.search = make("input", {type: "search", placeholder: "Filter by name or reason",
                                     "aria-label": "Filter by name or reason", spellcheck: "false",
                                     oninput: settled(60, () => this.setWords(this.search.value))});
        this.count = make("span", {class: "count", role: "status"});
        const counts = new Map();
        for (const task of this.tasks)
            counts.set(task.verdict, (counts.get(task.verdict) || 0) + 1);
        this.chips = VERDICTS.filter((verdict) => counts.has(verdict)).map((verdict) =>
            make("button", {class: "chip", type: "button", "aria-pressed": "false",
                            "data-verdict": verdict, onclick: () => this.toggle(verdict)},
                 markOf(verdict), verdict, make("span", {class: "n"}, countText(counts.get(verdict)))));
        return make("div", {class: "filters"}, this.search,
                    make("div", {class: "chips", role: "group", "aria-label": "Verdicts"},
                         counts.size > 1 ? this.chips : []), this.count);
    }
    makeTable() {
        this.heads = this.columns.map((column) => {
            const button = make("button", {type: "button", title: column.says,
                                           onclick: () => this.sortBy(column)}, column.title,
                                column.unit ? make("span", {class: "unit"}, " " + column.unit) : null,
                                make("span", {class: "arrow", "aria-hidden": "true"}));
            return make("div", {role: "columnheader", class: this.classOf(column)}, button);
        });
        this.head = make("div", {role: "row", class: "row head", "aria-rowindex": "1"}, this.heads);
        this.body = make("div", {role: "rowgroup", class: "body"});
        this.scroller = make("div", {class: "scroller", tabindex: "0", role: "table", "aria-label": "Tasks",
                                     "aria-colcount": this.columns.length,
                                     onkeydown: (event) => this.key(event)}, this.head, this.body);
        this.scroller.addEventListener("scroll", () => this.paint(), {passive: true});
        const longest = this.tasks.reduce((most, task) => Math.max(most, task.id.length), 0);
        this.scroller.style.setProperty("--id", Math.max(130, Math.min(8.6 * longest + 18, 340)) + "px");
        this.scroller.classList.toggle("plain", !this.columns.some((column) => column.only));
        return this.scroller;
    }
    classOf(column) {
        return "c-" + column.key + (column.right ? " right" : "");
    }
    setWords(text) {
        this.words = text.toLowerCase().split(/\s+/).filter((word) => word);
        this.update();
    }
    toggle(verdict) {
        if (!this.verdicts.delete(verdict))
            this.verdicts.add(verdict);
        this.update();
    }
    showOnly(verdict) {
        this.verdicts = new Set([verdict]);
        this.update();
    }
    sortBy(column) {
        const isSame = this.sorting.column === column;
        const startsDown = column.right || column.key === "verdict";
        this.sorting = {column, down: isSame ? !this.sorting.down : startsDown};
        this.update();
    }
    matches(task) {
        const text = this.words.length > 0 ? (task.id + " " + task.reason).toLowerCase() : "";
        return (this.verdicts.size === 0 || this.verdicts.has(task.verdict)) &&
               this.words.every((word) => text.includes(word));
    }
    /* What is not known comes last in either order; ties stay in the batch's order. */
    update() {
        const {column, down} = this.sorting;
        const keyed = this.tasks.filter((task) => this.matches(task))
                          .map((task) => ({task, key: column.sort(task)}));
        const sign = down ? -1 : 1;
        keyed.sort((a, b) => {
            if (a.key === null || b.key === null)
                return (a.key === null) - (b.key === null);
            const order = typeof a.key === "string" ? collator.compare(a.key, b.key) : a.key - b.key;
            return sign * order || a.task.number - b.task.number;
        });
        this.rows = keyed.map((entry) => entry.task);
        this.columns.forEach((each, i) => this.heads[i].setAttribute("aria-sort",
            each !== column ? "none" : down ? "descending" : "ascending"));
        for (const chip of this.chips)
            chip.setAttribute("aria-pressed", String(this.verdicts.has(chip.dataset.verdict)));
        this.count.textContent = this.rows.length === this.tasks.length
            ? plural(this.tasks.length, "task")
            : `${countText(this.rows.length)} of ${plural(this.tasks.length, "task")}`;
        this.body.style.height = this.rows.length * ROW_HEIGHT + "px";
        this.scroller.setAttribute("aria-rowcount", this.rows.length + 1);
        this.active = -1;
        this.scroller.scrollTop = 0;
        this.paint(true);
    }
    paint(isNew) {
        const top = Math.max(0, this.scroller.scrollTop - 4 * ROW_HEIGHT);
        const first = Math.floor(top / ROW_HEIGHT);
        const last = Math.min(this.rows.length,
                              first + Math.ceil((this.scroller.clientHeight || 600) / ROW_HEIGHT) + 8);
        if (!isNew && first === this.first && last === this.last)
            return;
        Object.assign(this, {first, last});
        const rows = [];
        for (let i = first; i < last; i++)
            rows.push(this.makeRow(i));
        this.body.replaceChildren(...rows);
        this.markActive();
    }
    makeRow(i) {
        const task = this.rows[i];
        const cells = this.columns.map((column) => {
            const text = column.text ? column.text(task) : null;
            return make("div", {role: "cell", class: this.classOf(column),
                                title: text && text.length > 12 ? text : null},
                        column.cell ? column.cell(task) : text);
        });
        const row = make("div", {role: "row", class: "row", id: "row-" + i, "aria-rowindex": i + 2,
                                 "data-task": task.number, onclick: () => this.open(task.number)}, cells);
        row.style.top = i * ROW_HEIGHT + "px";
        return row;
    }
    markActive() {
        for (const row of this.body.children)
            row.classList.toggle("active", row.id === "row-" + this.active);
        if (this.active >= 0)
            this.scroller.setAttribute("aria-activedescendant", "row-" + this.active);
        else
            this.scroller.removeAttribute("aria-activedescendant");
    }
    moveTo(i) {
        this.active = Math.max(0, Math.min(this.rows.length - 1, i));
        const room = this.scroller.clientHeight - ROW_HEIGHT; /* below the heading */
        const top = this.active * ROW_HEIGHT;
        if (top < this.scroller.scrollTop)
            this.scroller.scrollTop = top;
        else if (top + ROW_HEIGHT > this.scroller.scrollTop + room)
            this.scroller.scrollTop = top + ROW_HEIGHT - room;
        this.paint();
        this.markActive();
    }
    key(event) {
        if (event.target !== this.scroller || event.ctrlKey || event.metaKey || event.altKey)
            return;
        const page = Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 2;
        const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page};
        if (event.key in steps)
            this.moveTo(this.active + steps[event.key]);
        else if (event.key === "Home")
            this.moveTo(0);
        else if (event.key === "End")
            this.moveTo(this.rows.length - 1);
        else if (event.key === "Enter" && this.active >= 0)
            this.open(this.rows[this.active].number);
        else
            return;
        event.preventDefault();
    }
    /* The task before or after that one, as the table stands; -1: none. */
    neighbour(number, by) {
        const i = this.rows.findIndex((task) => task.number === number);
        const next = i >= 0 ? this.rows[i + by] : undefined;
        return next ? next.number : -1;
    }
}

const collator = new Intl.Collator("en", {numeric: true});
