/* The page from top to bottom. */

/* ---- what is given, made handy ---- */

night.tasks.forEach((task, number) => task.number = number);
night.attempts = night.attempts.map(([task, run, number, started, wall, verdict, peak, predicted, reserved, stage, cpu, words, reason]) =>
    ({task, run, number, start: Date.parse(started), end: Date.parse(started) + 1000 * wall, wall, verdict, peak,
      predicted, reserved, stage, cpu, words, reason}));
{
    const series = new Map();
    for (const [task, attempts] of night.memory)
        for (const [number, points] of attempts)
            series.set(task + " " + number, points);
    for (const attempt of night.attempts)
        attempt.series = series.get(attempt.task + " " + attempt.number);
}

/* Runs that did something, the last one first. */
function runsWithAttempts() {
    const runs = new Map();
    for (const attempt of night.attempts)
        if (attempt.start > 0) {
            if (!runs.has(attempt.run))
                runs.set(attempt.run, []);
            runs.get(attempt.run).push(attempt);
        }
    return [...runs.entries()].sort((a, b) => b[0] - a[0]).map(([number, attempts]) => {
        attempts.sort((a, b) => a.start - b.start || a.task - b.task);
        return {number, attempts, record: night.runs[number - night.first_run] || {},
                from: attempts[0].start, to: attempts.reduce((most, attempt) => Math.max(most, attempt.end), 0)};
    });
}

function countVerdicts() {
    const counts = new Map(VERDICTS.map((verdict) => [verdict, 0]));
    for (const task of night.tasks)
        counts.set(task.verdict, (counts.get(task.verdict) || 0) + 1);
    return [...counts].filter(([, n]) => n > 0);
}

/* ---- the night in one line ---- */

function headline(counts) {
    const total = night.tasks.length;
    const ok = (counts.find(([verdict]) => verdict === "ok") || ["ok", 0])[1];
    const others = counts.filter(([verdict]) => verdict !== "ok").map(([verdict, n]) => `${countText(n)} ${IN_WORDS[verdict] || verdict}`);
    if (ok === total)
        return total === 1 ? "The one task is ok." : `All ${countText(total)} tasks are ok.`;
    const last = others.pop();
    return `${countText(ok)} of ${plural(total, "task")} ${ok === 1 ? "is" : "are"} ok, ` +
           (others.length > 0 ? others.join(", ") + " and " + last : last) + ".";
}

function makeHeader(runs, counts) {
    const place = make("span", {class: "place"}, night.about.batch ? `Batch ${night.about.batch} in ` : null, night.about.out);
    const facts = [];
    if (runs.length > 0) {
        const {from, to, record, attempts} = runs[0];
        const seconds = record.end && record.end.wall_s > 0 ? record.end.wall_s : (to - from) / 1000;
        const isShort = to - from < 600000;
        facts.push(dayFormat.format(new Date(from)), `${clockText(from, isShort)} to ${clockText(to, isShort)}, ${timeText(seconds)}`);
        if (record.jobs > 0)
            facts.push(plural(record.jobs, "worker"));
        facts.push(`at most ${sizeText(Math.max(...attempts.map((a) => a.peak)))} in one task`);
        if (record.end && record.end.interrupted)
            facts.push("interrupted");
    }
    const bar = make("div", {class: "share", role: "img", "aria-label": counts.map(([verdict, n]) => `${n} ${verdict}`).join(", ")});
    for (const [verdict, n] of counts) {
        const part = make("div", {class: "part " + familyOf(verdict), title: `${countText(n)} ${verdict}`});
        part.style.flexGrow = n;
        bar.append(part);
    }
    return make("header", {class: "top"},
                make("div", {class: "line"}, place, makeThemeSwitch()),
                make("h1", {}, headline(counts)), bar,
                make("p", {class: "soft"}, facts.map((fact, i) => [i ? " \u00b7 " : null, fact]).flat()));
}

/* ---- light and dark ---- */

function makeThemeSwitch() {
    const names = {auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark"};
    const order = Object.keys(names);
    let theme = "auto";
    try {
        theme = localStorage.getItem("registrar-theme") || "auto";
    } catch (error) { /* not kept here */
    }
    const button = make("button", {type: "button", class: "quiet theme", onclick: () => set(order[(order.indexOf(theme) + 1) % 3])});
    const set = (name) => {
        theme = order.includes(name) ? name : "auto";
        button.textContent = names[theme];
        if (theme === "auto")
            delete document.documentElement.dataset.theme;
        else
            document.documentElement.dataset.theme = theme;
        try {
            localStorage.setItem("registrar-theme", theme);
        } catch (error) { /* as above */
        }
    };
    set(theme);
    return button;
}

/* ---- what needs attention ---- */

const FEW = 5; /* of one kind, spelled out; a button shows them all */

/* The task's overlay, put in when it comes into sight: the eye may know at once what no figure told. */
function makeGlance(number, open) {
    const task = night.tasks[number];
    if (task.pictures === 0)
        return null;
    const glance = make("div", {class: "glance"}, "\u00a0");
    const seen = new IntersectionObserver(async (entries) => {
        if (!entries.some((entry) => entry.isIntersecting))
            return;
        seen.disconnect();
        const {pictures} = await readDetails(number);
        const overlay = pictures.find((picture) => picture.name === "overlay.png");
        glance.replaceChildren(overlay ? make("button", {type: "button", class: "picture", "aria-label": "Look at " + task.id, onclick: () => open(number)},
                                              make("img", {src: overlay.src, alt: "overlay of " + task.id, width: overlay.width, height: overlay.height})) : "");
    });
    seen.observe(glance);
    return glance;
}

function makeProblem(problem, open, showAll) {
    const reasons = new Map(); /* what happened to several in the same way is told once */
    for (const number of problem.tasks) {
        const reason = night.tasks[number].reason || "no reason was recorded";
        reasons.set(reason, [...(reasons.get(reason) || []), number]);
    }
    const link = (number) => make("button", {type: "button", class: "link", onclick: () => open(number)}, night.tasks[number].id);
    const ids = (numbers) => [...numbers.slice(0, FEW).map((number, i) => [i ? ", " : null, link(number)]),
                              numbers.length > FEW ? ` and ${countText(numbers.length - FEW)} more` : null];
    const shown = [...reasons].slice(0, FEW);
    const list = make("ul", {class: "problems"}, shown.map(([reason, numbers]) =>
        make("li", {}, make("span", {}, ids(numbers)), make("span", {class: "why"}, reason, makeGlance(numbers[0], open)))));
    const verdict = night.tasks[problem.tasks[0]].verdict;
    const rest = problem.tasks.length - shown.reduce((n, [, numbers]) => n + Math.min(numbers.length, FEW), 0);
    return make("section", {class: "problem"},
                make("h3", {}, markOf(verdict), `${countText(problem.tasks.length)} ${problem.title}`), list,
                rest > 0 ? make("button", {type: "button", class: "quiet more", onclick: () => showAll(verdict)},
                                `All ${countText(problem.tasks.length)} in the table`) : null,
                make("div", {class: "next"}, make("p", {}, make("strong", {}, "Next: "), problem.words),
                     problem.command ? commandLine(problem.command) : null));
}

function makeAttention(open, showAll) {
    const left = night.tasks.filter((task) => task.verdict === "waiting" || task.verdict === "running").length;
    const pressure = night.about.pressure && night.about.pressure.shortage;
    const last = night.runs[night.runs.length - 1] || {};
    if (night.problems.length === 0 && left === 0 && !pressure)
        return null;
    return part("attention", "Needs attention",
                night.problems.map((problem) => makeProblem(problem, open, showAll)),
                pressure ? make("section", {class: "problem"}, make("h3", {}, markOf("killed"), "Memory ran short"), make("p", {}, pressure)) : null,
                left > 0 ? make("section", {class: "problem"}, make("h3", {}, markOf("waiting"), `${countText(left)} not done`),
                                make("div", {class: "next"}, make("p", {}, "The same command goes on where this run stopped:"),
                                     last.command ? commandLine(last.command) : null)) : null);
}

/* ---- the night ---- */

function legend(...entries) {
    return make("div", {class: "legend"}, entries.map(([kind, text]) => make("span", {}, make("i", {class: kind}), text)));
}

function makeNight(runs, open) {
    if (runs.length === 0)
        return null;
    const timeline = make("div"), memory = make("div");
    const show = ({attempts, record}) => {
        const families = [...new Set(attempts.map((attempt) => familyOf(attempt.verdict)))];
        const names = {ok: "ok", doubtful: "doubtful", failed: "failed or crashed", stopped: "stopped or killed", left: "lost or cancelled"};
        const line = new Timeline(attempts, open);
        const plot = new MemoryPlot(attempts, record.budget_bytes || 0);
        const over = attempts.filter((attempt) => attempt.number > 1).length;
        timeline.replaceChildren(
            make("p", {class: "soft"}, `${plural(attempts.length, "attempt")} on ${plural(line.rows, "worker")}${over > 0 ? `, ${countText(over)} of them not the first of their task` : ""}.`),
            line.element, legend(...families.map((family) => ["box " + family, names[family]])));
        memory.replaceChildren(
            make("p", {class: "soft"}, `At most ${sizeText(Math.max(...plot.sums.measured))} measured and ${sizeText(mostReserved(attempts))} reserved` +
                 (plot.budget > 0 ? `, of a budget of ${sizeText(plot.budget)}.` : ".")),
            plot.element,
            legend(["box measured", "measured"], ["stroke reserved", "reserved"], ...(plot.showsBudget ? [["stroke budget", "budget"]] : [])));
    };
    show(runs[0]);
    const choice = runs.length < 2 ? null : make("select", {"aria-label": "Which run", onchange: (event) => show(runs[event.target.selectedIndex])},
        runs.map((run) => make("option", {}, `${dayFormat.format(new Date(run.from))}, ${clockText(run.from)}: ${plural(run.attempts.length, "attempt")}`)));
    return [part("timeline", "Workers over time", choice ? make("p", {}, choice) : null, timeline),
            part("memory", "Memory over time", memory)];
}

function makeForecasts(open) {
    const attempts = night.attempts.filter((attempt) => attempt.predicted > 0 && attempt.peak > 0);
    if (attempts.length < 2)
        return null;
    const errors = attempts.map((a) => Math.abs(a.peak / a.predicted - 1)).sort((a, b) => a - b);
    const over = attempts.filter((a) => a.reserved > 0 && a.peak > a.reserved).length;
    return part("forecast", "Predicted and measured memory",
                make("p", {class: "soft"}, `Half of the forecasts are within ${Math.ceil(100 * errors[errors.length >> 1])} % of what was measured. ` +
                     (over > 0 ? `${countText(over)} of ${plural(attempts.length, "attempt")} held more than was reserved.`
                               : "No attempt held more than was reserved.")),
                new Scatter(attempts, open).element,
                legend(["dot within", "an attempt"], ...(over > 0 ? [["dot over", "more than reserved"]] : []), ["stroke diagonal", "as predicted"]));
}

/* ---- sweeps ---- */

/* Tasks that differ in what stands behind "@" alone. */
function sweepsOf(tasks) {
    const groups = new Map();
    for (const task of tasks) {
        const at = task.id.lastIndexOf("@");
        if (at <= 0)
            continue;
        const base = task.id.slice(0, at);
        if (!groups.has(base))
            groups.set(base, []);
        groups.get(base).push({task, variant: task.id.slice(at + 1)});
    }
    return [...groups].filter(([, variants]) => variants.length > 1);
}

function makeSweep([base, variants], open) {
    const residuals = variants.filter(({task}) => typeof task.residual === "number").map(({task}) => numberText(task.residual, 3));
    const best = new Set(residuals).size > 1 ? residuals.reduce((least, each) => Number(each) < Number(least) ? each : least) : null;
    const row = (title, text, classOf) => make("tr", {}, make("th", {scope: "row"}, title),
        variants.map(({task}) => make("td", {class: classOf ? classOf(task) : null}, text(task))));
    const choice = make("select", {"aria-label": "Which picture to compare", hidden: true});
    const pictures = make("tr", {}, make("th", {scope: "row", class: "choice"}, choice));
    const load = async () => {
        const all = [];
        for (const {task} of variants)
            all.push(task.pictures > 0 ? (await readDetails(task.number)).pictures.filter((picture) => !picture.name.startsWith("blink_")) : []);
        const titles = new Map(all.flat().map((picture) => [picture.name, picture.title]));
        const show = (name) => pictures.replaceChildren(pictures.firstChild, ...variants.map(({task}, i) => {
            const picture = all[i].find((each) => each.name === name);
            return make("td", {}, picture ? make("button", {type: "button", class: "picture", "aria-label": "Look at " + task.id, onclick: () => open(task.number)},
                                                 make("img", {src: picture.src, alt: `${picture.title} of ${task.id}`, width: picture.width, height: picture.height})) : NO_VALUE);
        }));
        choice.append(...[...titles].map(([name, title]) => make("option", {value: name}, title)));
        choice.addEventListener("change", () => show(choice.value));
        choice.hidden = titles.size === 0;
        if (titles.size > 0)
            show(choice.value);
    };
    const details = make("details", {class: "sweep"},
        make("summary", {}, make("strong", {}, base), make("span", {class: "soft"}, ` ${plural(variants.length, "variant")}`)),
        make("div", {class: "wide"}, make("table", {}, make("thead", {}, make("tr", {}, make("td", {}), variants.map(({task, variant}) =>
            make("th", {scope: "col"}, make("button", {type: "button", class: "link", onclick: () => open(task.number)}, variant))))),
            make("tbody", {}, row("Verdict", (task) => verdictLabel(task.verdict)), row("Residual, px", (task) => numberText(task.residual, 3), (task) => numberText(task.residual, 3) === best ? "best" : null),
                 row("Scale", (task) => numberText(task.scale, 4)), row("Time", (task) => task.attempts > 0 ? timeText(task.wall_s) : NO_VALUE),
                 row("Memory", (task) => sizeText(task.peak_bytes)), pictures))));
    details.addEventListener("toggle", load, {once: true});
    return details;
}

function makeSweeps(open) {
    const sweeps = sweepsOf(night.tasks);
    return sweeps.length === 0 ? null : part("variants", "Variants side by side", sweeps.map((sweep) => makeSweep(sweep, open)));
}

/* ---- all of it ---- */

function part(id, title, ...children) {
    return make("section", {id, "aria-labelledby": id + "-title"}, make("h2", {id: id + "-title"}, title), children);
}

function makeNotes() {
    const pictures = night.tasks.reduce((n, task) => n + task.pictures, 0);
    const beside = night.tasks.filter((task) => task.pictures > 0 && task.embedded < 2).length;
    const notes = night.notes.filter(([, text]) => text !== "a new ledger");
    return make("footer", {},
                notes.length > 0 ? make("details", {}, make("summary", {}, plural(notes.length, "note") + " in the ledger"),
                                        make("ul", {class: "notes"}, notes.map(([time, text]) => make("li", {}, make("time", {datetime: time}, clockText(Date.parse(time), true)), " ", text)))) : null,
                make("p", {class: "soft"}, `Made by registrar ${night.about.registrar} on ${dayFormat.format(new Date(night.about.made))}, ${clockText(Date.parse(night.about.made))}. ` +
                     (pictures === 0 ? "" : beside === 0 ? `All ${plural(pictures, "picture")} are in this file. `
                         : `${plural(beside, "task")} ${beside === 1 ? "has" : "have"} pictures that are not in this file (${sizeText(night.about.embedded_bytes)} are): they are read from the folder beside it. `) +
                     "It asks no network for anything."));
}

{
    const runs = runsWithAttempts();
    const counts = countVerdicts();
    const dialog = new TaskDialog((number, by) => table.neighbour(number, by));
    const open = (number) => dialog.open(number);
    const table = new TaskTable(night.tasks, open);
    const showAll = (verdict) => {
        table.showOnly(verdict);
        document.getElementById("tasks").scrollIntoView();
        table.scroller.focus({preventScroll: true});
    };
    const parts = [makeAttention(open, showAll), part("tasks", "Tasks", table.element), makeNight(runs, open),
                   makeForecasts(open), makeSweeps(open)].flat().filter((each) => each);
    const main = document.getElementById("page");
    main.append(makeHeader(runs, counts),
                make("nav", {"aria-label": "On this page"}, parts.map((each) => make("a", {href: "#" + each.id}, each.firstChild.textContent))),
                ...parts, makeNotes());
    table.paint(true);
    const asked = decodeURIComponent(location.hash).match(/^#task=(.+)$/);
    const task = asked && night.tasks.find((each) => each.id === asked[1]);
    if (task)
        open(task.number);
}
