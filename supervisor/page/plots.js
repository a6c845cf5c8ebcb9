/* The night's plots: axes, and three figures over them. Each is an SVG that is drawn anew when its
 * width changes; many shapes of one colour are one path, so a thousand cost no more than ten. */

/* ---- axes ---- */

function niceStep(span, count, steps) {
    const rough = span / Math.max(1, count);
    if (steps)
        return steps.find((step) => step >= rough) || Math.ceil(rough / 86400) * 86400;
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough);
}

function ticksOf(low, high, step) {
    const ticks = [];
    for (let n = Math.ceil(low / step - 1e-6); n * step <= high + step * 1e-6; n++)
        ticks.push(n * step);
    return ticks;
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];

/* Times of day at round local times. */
function timeTicks(from, to, width) {
    const step = niceStep((to - from) / 1000, width / 90, TIME_STEPS) * 1000;
    const shift = new Date(from).getTimezoneOffset() * 60000;
    return ticksOf(from - shift, to - shift, step)
        .map((at) => ({at: at + shift, text: clockText(at + shift, step < 60000)}));
}

/* Bytes at round binary sizes. */
function sizeTicks(low, high, count) {
    let unit = 1;
    while (high / unit >= 1000)
        unit *= 1024;
    const step = niceStep((high - low) / unit, count) * unit;
    return ticksOf(low, high, step).map((at) => ({at, text: at > 0 ? sizeText(at) : "0"}));
}

/* ---- a figure ---- */

/* A figure with a tip that follows the pointer, or the arrow keys.
 *   draw(svg, box)   draws into box {left, top, right, bottom}; may be called again
 *   find(x, y)       what is there: {x, y, text, open}; null: nothing
 *   step(from, by)   the next thing for the keyboard; from may be null
 * A figure of this.attempts has both from
 *   spot(attempt)            the thing that stands for it
 *   distance(attempt, x, y)  in pixels; this.reach is where it ends */
class Figure {
    constructor(label, height, left) {
        this.height = height;
        this.left = left;
        this.svg = draw("svg", {role: "img", "aria-label": label, tabindex: "0"});
        this.tip = make("div", {class: "tip", hidden: true});
        this.element = make("div", {class: "figure"}, this.svg, this.tip);
        this.at = null;
        this.svg.addEventListener("pointermove", (event) => this.point(event));
        this.svg.addEventListener("pointerleave", () => this.show(null));
        this.svg.addEventListener("click", (event) => {
            this.point(event);
            if (this.at && this.at.open)
                this.at.open();
        });
        this.svg.addEventListener("keydown", (event) => this.key(event));
        this.svg.addEventListener("blur", () => this.show(null));
        new ResizeObserver(() => this.resize()).observe(this.element);
    }
    resize() {
        const width = Math.floor(this.element.clientWidth);
        if (width > 60 && width !== this.width) {
            this.width = width;
            this.render();
        }
    }
    render() {
        if (!this.width)
            return;
        this.svg.replaceChildren();
        this.svg.setAttribute("width", this.width);
        this.svg.setAttribute("height", this.height);
        this.box = {left: this.left, top: 8, right: this.width - 12, bottom: this.height - 24};
        this.draw(this.svg, this.box);
        this.cursor = draw("g", {class: "cursor"});
        this.svg.append(this.cursor);
        this.show(null);
    }
    point(event) {
        const rect = this.svg.getBoundingClientRect();
        this.show(this.find(event.clientX - rect.left, event.clientY - rect.top));
    }
    key(event) {
        const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (event.key === "Enter" && this.at && this.at.open)
            this.at.open();
        else if (event.key === "Escape" && this.at)
            this.show(null);
        else if (by)
            this.show(this.step(this.at, by) || this.at);
        else
            return;
        event.preventDefault();
    }
    find(x, y) {
        let best = null, least = this.reach;
        for (const attempt of this.attempts) {
            const distance = this.distance(attempt, x, y);
            if (distance < least) {
                least = distance;
                best = attempt;
            }
        }
        return best && this.spot(best);
    }
    step(at, by) {
        const next = this.attempts[at ? this.attempts.indexOf(at.attempt) + by : 0];
        return next && this.spot(next);
    }
    show(at) {
        this.at = at;
        this.tip.hidden = !at;
        if (!this.cursor)
            return;
        this.cursor.replaceChildren();
        this.svg.classList.toggle("opens", !!(at && at.open));
        if (!at)
            return;
        if (at.mark)
            this.cursor.append(at.mark());
        this.tip.replaceChildren(...at.text.map((line, i) => make(i ? "div" : "strong", {}, line)));
        const left = Math.max(0, Math.min(at.x + 14, this.width - this.tip.offsetWidth - 4));
        const above = at.y - this.tip.offsetHeight - 10;
        this.tip.style.left = left + "px";
        this.tip.style.top = (above < -20 ? at.y + 16 : above) + "px";
    }
}

function timeAxis(svg, box, from, to) {
    const xOf = (at) => box.left + (at - from) / Math.max(1, to - from) * (box.right - box.left);
    for (const tick of timeTicks(from, to, box.right - box.left)) {
        const x = Math.round(xOf(tick.at)) + .5;
        svg.append(draw("path", {class: "grid", d: `M${x} ${box.top}V${box.bottom}`}),
                   draw("text", {class: "tick", x, y: box.bottom + 16, "text-anchor": "middle"},
                        tick.text));
    }
    return xOf;
}

function sizeAxis(svg, box, high) {
    const yOf = (bytes) => box.bottom - bytes / high * (box.bottom - box.top);
    for (const tick of sizeTicks(0, high, (box.bottom - box.top) / 32)) {
        const y = Math.round(yOf(tick.at)) + .5;
        svg.append(draw("path", {class: "grid", d: `M${box.left} ${y}H${box.right}`}),
                   draw("text", {class: "tick", x: box.left - 8, y: y + 4, "text-anchor": "end"},
                        tick.text));
    }
    return yOf;
}

function attemptText(attempt) {
    const task = night.tasks[attempt.task];
    const lines = [task.id, `${attempt.verdict}, ${timeText(attempt.wall)}` +
                            (attempt.number > 1 ? `, attempt ${attempt.number}` : "")];
    if (attempt.peak > 0)
        lines.push(`${sizeText(attempt.peak)} at most` +
                   (attempt.reserved > 0 ? ` of ${sizeText(attempt.reserved)} reserved` : ""));
    return lines;
}

/* ---- workers over time ---- */

/* Attempts on rows: each takes the first row that is free when it starts. */
function placeOnRows(attempts) {
    const free = [];
    for (const attempt of attempts) {
        let row = free.findIndex((until) => until <= attempt.start + 1);
        row = row < 0 ? free.length : row;
        free[row] = Math.max(attempt.end, attempt.start + 1);
        attempt.row = row;
    }
    return free.length;
}

class Timeline extends Figure {
    constructor(attempts, open) {
        const rows = placeOnRows(attempts);
        const pitch = rows <= 8 ? 24 : rows <= 24 ? 14 : 8;
        super("Tasks over workers; the arrow keys go from task to task", rows * pitch + 32, 34);
        Object.assign(this, {attempts, rows, pitch, open, reach: 4});
        this.from = Math.min(...attempts.map((attempt) => attempt.start));
        this.to = attempts.reduce((most, attempt) => Math.max(most, attempt.end), this.from + 1000);
    }
    draw(svg, box) {
        this.xOf = timeAxis(svg, box, this.from, this.to);
        const paths = {};
        for (const attempt of this.attempts) {
            const family = familyOf(attempt.verdict);
            const rect = this.rectOf(attempt);
            paths[family] = (paths[family] || "") +
                `M${rect.x.toFixed(1)} ${rect.y}h${rect.width.toFixed(1)}v${rect.height}h${(-rect.width).toFixed(1)}z`;
        }
        for (const family of ["ok", "left", "stopped", "doubtful", "failed"])
            if (paths[family])
                svg.append(draw("path", {class: "bar " + family, d: paths[family]}));
        for (let row = 0; row < this.rows && this.pitch >= 14; row++)
            svg.append(draw("text", {class: "tick", x: box.left - 8, "text-anchor": "end",
                                     y: box.top + (row + .5) * this.pitch + 4}, row + 1));
    }
    rectOf(attempt) {
        const x = this.xOf(attempt.start), end = this.xOf(attempt.end);
        const gap = end - x > 3 ? 1 : 0;
        return {x, y: this.box.top + attempt.row * this.pitch + 1, height: this.pitch - (this.pitch > 8 ? 4 : 2),
                width: Math.max(end - x - gap, .6)};
    }
    spot(attempt) {
        const rect = this.rectOf(attempt);
        return {attempt, x: rect.x + Math.min(rect.width, 40) / 2, y: rect.y,
                text: [...attemptText(attempt), clockText(attempt.start, true) + " to " + clockText(attempt.end, true)],
                open: () => this.open(attempt.task),
                mark: () => draw("rect", {x: rect.x - 1, y: rect.y - 1, width: rect.width + 2,
                                          height: rect.height + 2})};
    }
    distance(attempt, x, y) {
        if (attempt.row !== Math.floor((y - this.box.top) / this.pitch))
            return Infinity;
        const rect = this.rectOf(attempt);
        return Math.max(rect.x - x, x - rect.x - rect.width, 0);
    }
}

/* ---- memory over time ---- */

/* Of all attempts together, in bins: what was reserved, and what was measured. Between the kept
 * samples, each the highest of its stretch, the line is straight. */
function sumMemory(attempts, from, to, bins) {
    const width = (to - from) / bins;
    const measured = new Float64Array(bins), reserved = new Float64Array(bins);
    for (const attempt of attempts) {
        const first = Math.max(0, Math.floor((attempt.start - from) / width));
        const last = Math.min(bins - 1, Math.floor((attempt.end - from) / width));
        const series = attempt.series || [];
        let at = 0;
        for (let bin = first; bin <= last; bin++) {
            const left = from + bin * width; /* one that ends and one that starts share a bin */
            const share = (Math.min(left + width, attempt.end) - Math.max(left, attempt.start)) / width;
            reserved[bin] += share * (attempt.reserved || 0);
            if (series.length < 4) {
                measured[bin] += share * (attempt.peak || 0);
                continue;
            }
            const begin = (from + bin * width - attempt.start) / 1000, end = begin + width / 1000;
            while (at + 2 < series.length && series[at + 2] < begin)
                at += 2;
            let highest = between(series, at, Math.max(0, (begin + end) / 2));
            for (let i = at; i < series.length && series[i] < end; i += 2)
                if (series[i] >= begin)
                    highest = Math.max(highest, series[i + 1]);
            measured[bin] += share * highest;
        }
    }
    return {measured, reserved};
}

/* The most that was reserved at any moment. */
function mostReserved(attempts) {
    const steps = attempts.flatMap((a) => [[a.start, a.reserved || 0], [Math.max(a.end, a.start), -(a.reserved || 0)]]);
    let now = 0, most = 0;
    for (const [, by] of steps.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
        now += by;
        most = Math.max(most, now);
    }
    return most;
}

function between(series, at, seconds) {
    while (at + 2 < series.length && series[at + 2] <= seconds)
        at += 2;
    if (at + 2 >= series.length || seconds <= series[at])
        return series[at + 1];
    const share = (seconds - series[at]) / (series[at + 2] - series[at]);
    return series[at + 1] + share * (series[at + 3] - series[at + 1]);
}

class MemoryPlot extends Figure {
    constructor(attempts, budget, bins) {
        super("Memory over time: measured, reserved, and the budget", 220, 72);
        Object.assign(this, {attempts, budget, bins: bins || 600});
        this.from = Math.min(...attempts.map((attempt) => attempt.start));
        this.to = attempts.reduce((most, attempt) => Math.max(most, attempt.end), this.from + 1000);
        this.sums = sumMemory(attempts, this.from, this.to, this.bins);
        this.most = Math.max(...this.sums.measured, ...this.sums.reserved, 1);
        /* a budget far above all would press the rest to the ground: it is told in words then */
        this.showsBudget = budget > 0 && budget < 4 * this.most;
    }
    draw(svg, box) {
        const high = 1.06 * Math.max(this.most, this.showsBudget ? this.budget : 0);
        this.xOf = timeAxis(svg, box, this.from, this.to);
        this.yOf = sizeAxis(svg, box, high);
        const steps = (values) => {
            let path = "";
            for (let bin = 0; bin < this.bins; bin++)
                path += `${bin ? "L" : "M"}${this.x(bin).toFixed(1)} ${this.yOf(values[bin]).toFixed(1)}` +
                        `H${this.x(bin + 1).toFixed(1)}`;
            return path;
        };
        const measured = steps(this.sums.measured);
        svg.append(draw("path", {class: "area", d: `${measured}V${box.bottom}H${box.left}z`}),
                   draw("path", {class: "line measured", d: measured}),
                   draw("path", {class: "line reserved", d: steps(this.sums.reserved)}));
        if (this.showsBudget) {
            const y = Math.round(this.yOf(this.budget)) + .5;
            svg.append(draw("path", {class: "line budget", d: `M${box.left} ${y}H${box.right}`}));
        }
    }
    x(bin) {
        return this.box.left + bin / this.bins * (this.box.right - this.box.left);
    }
    spot(bin) {
        const x = (this.x(bin) + this.x(bin + 1)) / 2;
        const when = this.from + (bin + .5) / this.bins * (this.to - this.from);
        const n = this.attempts.filter((a) => a.start <= when && a.end >= when).length;
        return {bin, x, y: this.yOf(this.sums.measured[bin]),
                text: [clockText(when, true), `${sizeText(this.sums.measured[bin])} measured`,
                       `${sizeText(this.sums.reserved[bin])} reserved`, plural(n, "task") + " at work"],
                mark: () => draw("path", {d: `M${x.toFixed(1)} ${this.box.top}V${this.box.bottom}`})};
    }
    find(x) {
        const bin = Math.floor((x - this.box.left) / (this.box.right - this.box.left) * this.bins);
        return bin >= 0 && bin < this.bins ? this.spot(bin) : null;
    }
    step(at, by) {
        const bin = at ? at.bin + by * 5 : 0;
        return bin >= 0 && bin < this.bins ? this.spot(bin) : null;
    }
}

/* ---- predicted against measured ---- */

class Scatter extends Figure {
    constructor(attempts, open) {
        super("Predicted against measured memory", 300, 72);
        this.attempts = attempts;
        this.reach = 12;
        this.open = open;
        const all = attempts.flatMap((attempt) => [attempt.predicted, attempt.peak]);
        this.low = all.reduce((least, value) => Math.min(least, value), Infinity);
        this.high = all.reduce((most, value) => Math.max(most, value), 0);
        this.isLog = this.high > 6 * this.low;
        if (this.isLog) {
            this.low /= 1.2;
            this.high *= 1.2;
        } else {
            const pad = (this.high - this.low) * .1 + this.high * .02;
            this.low = Math.max(0, this.low - pad);
            this.high += pad;
        }
    }
    ticks() {
        if (!this.isLog)
            return sizeTicks(this.low, this.high, 5);
        const ticks = [];
        const few = this.high / this.low > 200;
        for (let at = 1; at < this.high; at *= few ? 16 : 2)
            if (at >= this.low)
                ticks.push({at, text: sizeText(at)});
        return ticks;
    }
    draw(svg, box) {
        const share = (v) => this.isLog ? Math.log(v / this.low) / Math.log(this.high / this.low)
                                        : (v - this.low) / (this.high - this.low);
        const side = Math.min(box.right - box.left, 640);
        this.xOf = (v) => box.left + share(v) * side;
        this.yOf = (v) => box.bottom - 14 - share(v) * (box.bottom - 14 - box.top);
        const bottom = box.bottom - 14, right = box.left + side;
        for (const tick of this.ticks()) {
            const x = Math.round(this.xOf(tick.at)) + .5, y = Math.round(this.yOf(tick.at)) + .5;
            svg.append(draw("path", {class: "grid", d: `M${x} ${box.top}V${bottom}M${box.left} ${y}H${right}`}),
                       draw("text", {class: "tick", x, y: bottom + 16, "text-anchor": "middle"}, tick.text),
                       draw("text", {class: "tick", x: box.left - 8, y: y + 4, "text-anchor": "end"}, tick.text));
        }
        svg.append(draw("path", {class: "line diagonal",
                                 d: `M${this.xOf(this.low)} ${this.yOf(this.low)}L${this.xOf(this.high)} ${this.yOf(this.high)}`}),
                   draw("text", {class: "tick title", x: right, y: bottom + 32, "text-anchor": "end"}, "predicted"),
                   draw("text", {class: "tick title", x: box.left + 6, y: box.top + 8}, "measured"));
        const dots = {};
        for (const attempt of this.attempts) {
            const kind = attempt.reserved > 0 && attempt.peak > attempt.reserved ? "over" : "within";
            dots[kind] = (dots[kind] || "") +
                `M${this.xOf(attempt.predicted).toFixed(1)} ${this.yOf(attempt.peak).toFixed(1)}h0`;
        }
        for (const kind of ["within", "over"])
            if (dots[kind])
                svg.append(draw("path", {class: "dots " + kind, d: dots[kind]}));
    }
    spot(attempt) {
        const x = this.xOf(attempt.predicted), y = this.yOf(attempt.peak);
        return {attempt, x, y, open: () => this.open(attempt.task),
                text: [night.tasks[attempt.task].id, `${sizeText(attempt.predicted)} predicted`,
                       `${sizeText(attempt.peak)} measured`, `${sizeText(attempt.reserved)} reserved`],
                mark: () => draw("circle", {cx: x, cy: y, r: 6})};
    }
    distance(attempt, x, y) {
        return Math.hypot(this.xOf(attempt.predicted) - x, this.yOf(attempt.peak) - y);
    }
}
