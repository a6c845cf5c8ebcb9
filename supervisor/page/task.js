/* One task, in a dialog: what became of it and why, its pictures, its stages, what it cost. */

/* The task's block, which may not have arrived yet when a large page is still being read. */
async function readDetails(number) {
    if (!document.getElementById("task-" + number) && document.readyState === "loading")
        await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, {once: true}));
    const block = document.getElementById("task-" + number);
    const details = block ? JSON.parse(block.textContent) : {};
    details.pictures = details.pictures || [];
    for (const picture of details.pictures)
        picture.src = picture.data || besidePath(night.tasks[number].id, picture.name);
    return details;
}

/* Where the picture lies from here: the page stands in the output folder. */
function besidePath(id, name) {
    return [...id.split("/"), "qc", name].map(encodeURIComponent).join("/");
}

const WIDE = 1100; /* pixels: such a picture is read in the whole width */

class TaskDialog {
    constructor(neighbour) {
        this.neighbour = neighbour;
        this.title = make("h2", {id: "task-title"});
        this.previous = make("button", {type: "button", class: "quiet", title: "The task before (K)",
                                        onclick: () => this.go(-1)}, "Previous");
        this.next = make("button", {type: "button", class: "quiet", title: "The next task (J)",
                                    onclick: () => this.go(1)}, "Next");
        const close = make("button", {type: "button", class: "quiet", title: "Close (Esc)",
                                      onclick: () => this.dialog.close()}, "Close");
        this.body = make("div", {class: "task", tabindex: "-1", autofocus: true});
        this.dialog = make("dialog", {"aria-labelledby": "task-title"},
                           make("header", {}, this.title,
                                make("div", {class: "group"}, this.previous, this.next, close)),
                           this.body);
        this.dialog.addEventListener("close", () => this.leave());
        this.dialog.addEventListener("click", (event) => {
            if (event.target === this.dialog) /* beside it */
                this.dialog.close();
        });
        this.dialog.addEventListener("keydown", (event) => {
            const by = {j: 1, k: -1}[event.key];
            if (by && !event.ctrlKey && !event.metaKey && !event.altKey)
                this.go(by);
        });
        document.body.append(this.dialog);
    }
    async open(number) {
        const task = night.tasks[number];
        this.number = number;
        this.title.textContent = task.id;
        this.previous.disabled = this.neighbour(number, -1) < 0;
        this.next.disabled = this.neighbour(number, 1) < 0;
        if (!this.dialog.open)
            this.dialog.showModal();
        keepPlace("#task=" + encodeURIComponent(task.id));
        const details = await readDetails(number);
        if (this.number !== number)
            return; /* another was asked for meanwhile */
        this.closeViewers();
        this.body.replaceChildren(...this.makeParts(task, details));
        this.body.scrollTop = 0;
        (this.blink ? this.blink.frame : this.body).focus({preventScroll: true});
    }
    go(by) {
        const number = this.neighbour(this.number, by);
        if (number >= 0)
            this.open(number);
    }
    leave() {
        this.number = -1;
        this.closeViewers();
        this.body.replaceChildren();
        keepPlace("#");
    }
    closeViewers() {
        for (const viewer of this.viewers || [])
            viewer.close();
        this.viewers = [];
        this.blink = null;
    }
    view(options) {
        const viewer = new Viewer(options);
        this.viewers.push(viewer);
        return viewer;
    }
    makeParts(task, details) {
        return [make("p", {class: "reason"}, verdictLabel(task.verdict), " ", task.reason),
                this.makeBlink(details), this.makeOutcome(task, details), this.makePictures(task, details),
                this.makeStages(details), this.makeMemory(task, details), this.makeAttempts(task),
                this.makeLog(details), this.makeSettings(details)].filter((part) => part);
    }
    makeOutcome(task, details) {
        const transform = membersOf(details.transform), residual = membersOf(transform.residual_px);
        const error = membersOf(transform.error_px);
        const isMapped = transform.status === "aligned" || transform.status === "doubtful";
        const facts = [
            ["Model", isMapped && typeof transform.model === "string" && transform.model],
            ["Residual", "median" in residual && `${numberText(residual.median, 2)} px, 95 % below ${numberText(residual.p95, 2)} px, on ${plural(Number(residual.tiles), "tile")}`],
            ["Error in tissue", isMapped && "tissue" in error && `${numberText(error.tissue, 2)} px`],
            ["Scale", typeof task.scale === "number" && `${numberText(task.scale, 4)} (${task.scale_kind})`],
            ["Time", task.attempts > 0 && timeText(task.wall_s)],
            ["Memory", task.peak_bytes > 0 && `${sizeText(task.peak_bytes)}; ${sizeText(task.predicted_bytes)} predicted, ${sizeText(task.reserved_bytes)} reserved`],
            ["Map", isMapped && describeMap(transform.post_to_pre)],
        ].filter((fact) => fact[1]);
        const last = night.attempts.filter((a) => a.task === task.number).pop();
        const words = last && last.words ? last.words : [];
        return make("section", {class: "outcome"},
                    words.map((text) => make("p", {class: "soft"}, text[0].toUpperCase() + text.slice(1) + ".")),
                    make("dl", {class: "facts"}, facts.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)))),
                    adviceFor(task));
    }
    makeBlink(details) {
        const pictureOf = (name) => details.pictures.find((picture) => picture.name === name);
        const post = pictureOf("blink_post.png"), pre = pictureOf("blink_pre.png");
        if (!post || !pre)
            return null;
        this.blink = this.view({layers: [{src: post.src, title: "post"}, {src: pre.src, title: "aligned pre"}],
                                width: post.width, height: post.height});
        return make("section", {}, make("h3", {}, "Post and aligned pre, in turns"),
                    make("p", {class: "soft"}, "Where the map is right, nothing moves; only the stain changes."), this.blink.element);
    }
    makePictures(task, details) {
        const shown = details.pictures.filter((picture) => !picture.name.startsWith("blink_"));
        if (shown.length === 0)
            return details.pictures.length > 0 || !task.pair || task.attempts === 0 ? null
                : make("section", {}, make("h3", {}, "Pictures"), make("p", {class: "soft"}, "This task left no pictures."));
        const beside = details.pictures.filter((picture) => !picture.data).length;
        return make("section", {}, make("h3", {}, "Pictures"),
                    beside > 0 ? make("p", {class: "soft"}, `${plural(beside, "picture")} of ${countText(details.pictures.length)} are files in the folder beside this page, not in it.`) : null,
                    make("div", {class: "pictures"}, shown.map((picture) => this.makePicture(picture))));
    }
    makePicture(picture) {
        const image = make("img", {src: picture.src, alt: picture.title, loading: "lazy", width: picture.width, height: picture.height});
        const missing = () => image.replaceWith(make("div", {class: "missing"}, "The file is not there: ", make("code", {}, decodeURIComponent(picture.src))));
        image.addEventListener("error", picture.data ? () => image.replaceWith(make("div", {class: "missing"}, "This picture cannot be shown.")) : missing);
        const open = make("button", {type: "button", class: "picture", "aria-label": "Look closely: " + picture.title,
                                     onclick: () => this.lookAt(picture)}, image);
        return make("figure", {class: picture.width >= WIDE ? "wide" : null}, open, make("figcaption", {}, make("strong", {}, picture.title),
                    picture.says ? make("span", {class: "soft"}, picture.says) : null));
    }
    lookAt(picture) {
        const viewer = new Viewer({layers: [{src: picture.src, title: picture.title}], width: picture.width, height: picture.height});
        const close = make("button", {type: "button", class: "quiet", onclick: () => dialog.close()}, "Close");
        const dialog = make("dialog", {class: "wide", "aria-label": picture.title},
                            make("header", {}, make("h2", {}, picture.title), close),
                            make("div", {class: "task"}, viewer.element, picture.says ? make("p", {class: "soft"}, picture.says) : null));
        dialog.addEventListener("close", () => {
            viewer.close();
            dialog.remove();
        });
        document.body.append(dialog);
        dialog.showModal();
        viewer.frame.focus();
    }
    makeStages(details) {
        const stages = (Array.isArray(membersOf(details.result).stages) ? details.result.stages : [])
            .filter((stage) => typeof membersOf(stage).stage === "string");
        if (stages.length === 0)
            return null;
        const longest = Math.max(...stages.map((stage) => stage.wall_s || 0), 1e-9);
        const largest = Math.max(...stages.map((stage) => stage.peak_bytes || 0), 1);
        const bar = (share, kind) => {
            const part = make("div", {class: "part " + kind});
            part.style.width = 100 * share + "%";
            return make("div", {class: "meter"}, part);
        };
        const rows = stages.map((stage) => make("tr", {},
            make("th", {scope: "row"}, stage.stage, stage.resumed ? make("span", {class: "soft"}, " kept from before") : null),
            make("td", {class: "right"}, timeText(stage.wall_s)), make("td", {}, bar((stage.wall_s || 0) / longest, "time")),
            make("td", {class: "right"}, sizeText(stage.peak_bytes)), make("td", {}, bar((stage.peak_bytes || 0) / largest, "memory"))));
        return make("section", {}, make("h3", {}, "Stages"),
                    make("table", {class: "stages"}, make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "Stage"),
                         make("th", {scope: "col", colspan: "2"}, "Time"), make("th", {scope: "col", colspan: "2"}, "Memory held"))),
                         make("tbody", {}, rows)));
    }
    makeMemory(task, details) {
        const series = (details.memory || []).filter(([, points]) => points.length >= 6);
        if (series.length === 0)
            return null;
        const [number, points] = series[series.length - 1];
        return make("section", {}, make("h3", {}, "Memory over time", series.length > 1 || number > 1 ? make("span", {class: "soft"}, ` of attempt ${number}`) : null),
                    new TaskMemory(points, task).element);
    }
    makeAttempts(task) {
        const attempts = night.attempts.filter((attempt) => attempt.task === task.number);
        if (attempts.length < 2)
            return null;
        return make("section", {}, make("h3", {}, "Attempts"),
                    make("ol", {class: "attempts"}, attempts.map((attempt) => make("li", {value: attempt.number},
                         verdictLabel(attempt.verdict), ` ${timeText(attempt.wall)}, ${sizeText(attempt.peak)} of ${sizeText(attempt.reserved)} reserved`,
                         attempt.reason ? make("div", {class: "soft"}, attempt.reason) : null))));
    }
    makeLog(details) {
        return details.log ? make("section", {}, make("h3", {}, "End of the log"), make("pre", {tabindex: "0"}, details.log.join("\n"))) : null;
    }
    makeSettings(details) {
        const {params, inputs} = membersOf(details.result);
        if (!params || typeof params !== "object")
            return null;
        const lines = (Array.isArray(inputs) ? inputs : []).filter((input) => typeof membersOf(input).path === "string").map((input) => make("li", {}, make("code", {}, input.path), ` ${sizeText(input.size)}`));
        return make("section", {}, make("details", {}, make("summary", {}, "Inputs and parameters"), make("ul", {class: "inputs"}, lines),
                    make("p", {class: "params"}, Object.entries(params).map(([name, value]) => make("code", {}, `${name}=${value}`)))));
    }
}

/* A similarity's angle, magnification and shift, near enough for any map that is handed out. */
function describeMap(rows) {
    const [a, b, c, d] = [0, 1].flatMap((i) => [0, 1].map((j) => Number(membersOf(membersOf(rows)[i])[j])));
    if (![a, b, c, d].every(Number.isFinite))
        return null;
    const angle = Math.atan2(c - b, a + d) * 180 / Math.PI;
    const size = Math.sqrt(Math.abs(a * d - b * c));
    return `turned by ${angle.toFixed(2)}\u00b0, ${size.toFixed(4)} times the size${a * d - b * c < 0 ? ", mirrored" : ""}`;
}

/* What to type for this one task. */
function adviceFor(task) {
    const problem = night.problems.find((kind) => kind.tasks.includes(task.number));
    if (!problem && FAMILIES[task.verdict] === "ok")
        return null;
    const explain = night.about.batch ? `registrar explain ${quoted(task.id)} --batch ${quoted(night.about.batch)}`
                                      : `registrar explain ${quoted(task.id)} -o ${quoted(night.about.out)}`;
    return make("div", {class: "advice"},
                problem ? make("p", {}, make("strong", {}, "Next: "), problem.words) : null,
                problem && problem.command ? commandLine(problem.command) : null,
                make("p", {}, "The whole story of this task:"), commandLine(explain));
}

/* The samples of one attempt, seconds from its start. */
class TaskMemory extends Figure {
    constructor(points, task) {
        super("Memory of the task over time", 160, 72);
        this.points = points;
        this.task = task;
        this.end = Math.max(points[points.length - 2], .001);
        this.most = 1;
        for (let i = 1; i < points.length; i += 2)
            this.most = Math.max(this.most, points[i]);
        this.lines = [["predicted", task.predicted_bytes], ["reserved", task.reserved_bytes]]
            .filter(([, bytes]) => bytes > 0 && bytes < 3 * this.most);
    }
    draw(svg, box) {
        const yOf = sizeAxis(svg, box, 1.08 * Math.max(this.most, ...this.lines.map(([, bytes]) => bytes)));
        const xOf = (seconds) => box.left + seconds / this.end * (box.right - box.left);
        const step = niceStep(this.end, (box.right - box.left) / 90, this.end > 20 ? TIME_STEPS : null);
        for (const at of ticksOf(0, this.end, step))
            svg.append(draw("text", {class: "tick", x: xOf(at), y: box.bottom + 16, "text-anchor": "middle"},
                            this.end > 20 && at > 0 ? timeText(at) : +at.toFixed(3) + "\u00a0s"));
        let path = "";
        for (let i = 0; i < this.points.length; i += 2)
            path += `${i ? "L" : "M"}${xOf(this.points[i]).toFixed(1)} ${yOf(this.points[i + 1]).toFixed(1)}`;
        svg.append(draw("path", {class: "area", d: `${path}V${box.bottom}H${xOf(this.points[0]).toFixed(1)}z`}),
                   draw("path", {class: "line measured", d: path}));
        for (const [name, bytes] of this.lines) {
            const y = Math.round(yOf(bytes)) + .5;
            svg.append(draw("path", {class: "line " + (name === "reserved" ? "reserved" : "diagonal"), d: `M${box.left} ${y}H${box.right}`}),
                       draw("text", {class: "tick", x: name === "reserved" ? box.right : box.left + 6, y: y - 4,
                                     "text-anchor": name === "reserved" ? "end" : "start"}, name));
        }
        Object.assign(this, {xOf, yOf});
    }
    spot(i) {
        const x = this.xOf(this.points[i]), y = this.yOf(this.points[i + 1]);
        return {i, x, y, text: [sizeText(this.points[i + 1]), "after " + timeText(this.points[i])],
                mark: () => draw("circle", {cx: x, cy: y, r: 4})};
    }
    find(x) {
        let best = 0;
        for (let i = 0; i < this.points.length; i += 2)
            if (Math.abs(this.xOf(this.points[i]) - x) < Math.abs(this.xOf(this.points[best]) - x))
                best = i;
        return this.spot(best);
    }
    step(at, by) {
        const i = at ? at.i + 2 * by : 0;
        return i >= 0 && i < this.points.length ? this.spot(i) : null;
    }
}

/* The address names what is open, so that it can be passed on and found again. */
function keepPlace(hash) {
    try {
        history.replaceState(null, "", hash === "#" ? location.pathname + location.search : hash);
    } catch (error) { /* a viewer without addresses */
    }
}
