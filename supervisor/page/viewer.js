/* Looking at pictures closely: one, or two of the same frame that take turns (a blink comparator).
 * What differs between the two moves or flashes; the eye finds it better than any figure does. */

const BLINK_MS = 600; /* below three flashes a second (WCAG 2.3.1) */
const MOST_ZOOM = 32;

/* options: {layers: [{src, title}], width, height, blinks} */
class Viewer {
    constructor(options) {
        Object.assign(this, options);
        this.scale = 0; /* screen pixels per picture pixel; 0: as large as fits */
        this.x = this.y = 0; /* of the picture's middle, from the frame's */
        this.front = 0;
        this.swipe = .5;
        this.mode = this.layers.length > 1 ? "flicker" : "one";
        this.images = this.layers.map((layer) => make("img", {src: layer.src, alt: layer.title, draggable: "false"}));
        this.label = make("span", {class: "which"});
        this.divider = make("div", {class: "divider", hidden: true});
        this.frame = make("div", {class: "frame", tabindex: "0", role: "group",
                                  "aria-label": this.ariaLabel()},
                          this.images, this.divider, this.label);
        this.element = make("div", {class: "viewer"}, this.makeControls(), this.frame);
        this.frame.style.aspectRatio = `${this.width} / ${Math.max(this.height, this.width / 2.4)}`;
        this.listen();
        this.setMode(this.mode);
        if (this.layers.length > 1 && !matchMedia("(prefers-reduced-motion: reduce)").matches)
            this.play(true);
        this.observer = new ResizeObserver(() => this.place());
        this.observer.observe(this.frame);
    }
    ariaLabel() {
        const keys = "plus and minus zoom, the arrow keys move, 0 shows all";
        return this.layers.length > 1 ? `Blink comparator: space changes the picture, P plays, ${keys}`
                                      : `${this.layers[0].title}: ${keys}`;
    }
    makeControls() {
        const button = (text, says, onclick) =>
            make("button", {type: "button", class: "quiet", title: says, onclick}, text);
        const zoom = make("div", {class: "group"},
                          button("\u2212", "Smaller (-)", () => this.zoom(1 / 1.5)),
                          button("+", "Larger (+)", () => this.zoom(1.5)),
                          button("Fit", "All of it (0)", () => this.fit()),
                          button("1:1", "One pixel for one (1)", () => this.zoomTo(1)));
        this.told = make("span", {class: "zoom"});
        zoom.append(this.told);
        if (this.layers.length < 2)
            return make("div", {class: "controls"}, zoom);
        this.modes = ["flicker", "swipe", "difference"].map((mode) =>
            make("button", {type: "button", class: "quiet", "aria-pressed": "false", "data-mode": mode,
                            title: {flicker: "In turns (F)", swipe: "Beside each other (S)",
                                    difference: "Where they differ, light (D)"}[mode],
                            onclick: () => this.setMode(mode)}, mode[0].toUpperCase() + mode.slice(1)));
        this.playing = button("Play", "Change by itself (P)", () => this.play(!this.timer));
        this.other = button("Change", "The other picture (space)", () => this.turn());
        this.slider = make("input", {type: "range", min: "0", max: "100", value: "50", "aria-label": "Where the pictures meet",
                                     oninput: () => this.setSwipe(this.slider.value / 100)});
        return make("div", {class: "controls"},
                    make("div", {class: "group", role: "group", "aria-label": "How to compare"}, this.modes),
                    make("div", {class: "group"}, this.playing, this.other, this.slider), zoom);
    }
    /* ---- comparing ---- */
    setMode(mode) {
        this.mode = mode;
        if (mode !== "flicker")
            this.play(false);
        for (const button of this.modes || [])
            button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
        if (this.modes) {
            this.playing.hidden = this.other.hidden = mode !== "flicker";
            this.slider.hidden = mode !== "swipe";
        }
        this.show();
    }
    show() {
        const [below, above] = this.images;
        if (above) {
            above.style.visibility = this.mode !== "flicker" || this.front === 1 ? "visible" : "hidden";
            above.style.mixBlendMode = this.mode === "difference" ? "difference" : "normal";
            below.style.visibility = "visible";
        }
        this.label.textContent = this.mode === "flicker" ? this.layers[this.front].title
                               : this.mode === "difference" ? "difference" : "";
        this.label.hidden = this.label.textContent === "";
        this.place();
    }
    turn() {
        if (this.mode !== "flicker")
            this.setMode("flicker");
        this.front = 1 - this.front;
        this.show();
    }
    play(wanted) {
        clearInterval(this.timer);
        this.timer = 0;
        if (wanted) {
            if (this.mode !== "flicker")
                this.setMode("flicker");
            this.timer = setInterval(() => {
                if (this.element.isConnected)
                    this.turn();
                else
                    this.close();
            }, BLINK_MS);
        }
        if (this.playing)
            this.playing.textContent = this.timer ? "Pause" : "Play";
    }
    setSwipe(share) {
        this.swipe = Math.max(0, Math.min(1, share));
        this.slider.value = String(100 * this.swipe);
        this.place();
    }
    close() {
        clearInterval(this.timer);
        this.observer.disconnect();
    }
    /* ---- zooming and moving ---- */
    fitScale() {
        return Math.min(this.frame.clientWidth / this.width, this.frame.clientHeight / this.height);
    }
    scaleNow() {
        return this.scale || this.fitScale();
    }
    fit() {
        this.scale = this.x = this.y = 0;
        this.place();
    }
    zoomTo(scale, atX, atY) {
        const before = this.scaleNow();
        const now = Math.max(this.fitScale(), Math.min(MOST_ZOOM, scale));
        const x = atX || 0, y = atY || 0; /* from the frame's middle; stays where it is */
        this.x = x + (this.x - x) * now / before;
        this.y = y + (this.y - y) * now / before;
        this.scale = now <= this.fitScale() ? 0 : now;
        this.place();
    }
    zoom(factor, x, y) {
        this.zoomTo(this.scaleNow() * factor, x, y);
    }
    move(dx, dy) {
        this.x += dx;
        this.y += dy;
        this.place();
    }
    place() {
        const scale = this.scaleNow();
        if (!(scale > 0))
            return;
        const width = this.width * scale, height = this.height * scale;
        const across = Math.max(0, (width - this.frame.clientWidth) / 2);
        const down = Math.max(0, (height - this.frame.clientHeight) / 2);
        this.x = Math.max(-across, Math.min(across, this.x));
        this.y = Math.max(-down, Math.min(down, this.y));
        const left = (this.frame.clientWidth - width) / 2 + this.x;
        const top = (this.frame.clientHeight - height) / 2 + this.y;
        for (const image of this.images) {
            image.style.width = width + "px";
            image.style.height = height + "px";
            image.style.transform = `translate(${left}px, ${top}px)`;
            image.classList.toggle("pixels", scale >= 3);
        }
        this.placeDivider(left, width);
        this.told.textContent = (100 * scale).toFixed(0) + "\u00a0%";
        this.frame.dataset.zoom = scale.toFixed(3);
    }
    placeDivider(left, width) {
        const above = this.images[1];
        this.divider.hidden = this.mode !== "swipe";
        if (!above)
            return;
        const at = this.swipe * this.frame.clientWidth; /* the frame's, so that it is always seen */
        above.style.clipPath = this.mode === "swipe"
            ? `inset(0 0 0 ${Math.max(0, Math.min(width, at - left))}px)` : "none";
        this.divider.style.left = at + "px";
    }
    /* ---- mouse, touch and keys ---- */
    listen() {
        const frame = this.frame;
        frame.addEventListener("wheel", (event) => {
            const rect = frame.getBoundingClientRect();
            this.zoom(1.0015 ** -event.deltaY, event.clientX - rect.left - rect.width / 2,
                      event.clientY - rect.top - rect.height / 2);
            event.preventDefault();
        }, {passive: false});
        frame.addEventListener("pointerdown", (event) => {
            frame.setPointerCapture(event.pointerId);
            this.drag = {x: event.clientX, y: event.clientY,
                         isSwipe: this.mode === "swipe" && event.target === this.divider};
        });
        frame.addEventListener("pointermove", (event) => {
            if (!this.drag)
                return;
            if (this.drag.isSwipe)
                this.setSwipe((event.clientX - frame.getBoundingClientRect().left) / frame.clientWidth);
            else
                this.move(event.clientX - this.drag.x, event.clientY - this.drag.y);
            this.drag.x = event.clientX;
            this.drag.y = event.clientY;
        });
        for (const end of ["pointerup", "pointercancel"])
            frame.addEventListener(end, () => this.drag = null);
        frame.addEventListener("dblclick", (event) => {
            const rect = frame.getBoundingClientRect();
            if (this.scale)
                this.fit();
            else
                this.zoom(4, event.clientX - rect.left - rect.width / 2, event.clientY - rect.top - rect.height / 2);
        });
        frame.addEventListener("keydown", (event) => this.key(event));
    }
    key(event) {
        const compares = this.layers.length > 1;
        const keys = {
            "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5),
            "0": () => this.fit(), "1": () => this.zoomTo(1),
            "ArrowLeft": () => this.move(60, 0), "ArrowRight": () => this.move(-60, 0),
            "ArrowUp": () => this.move(0, 60), "ArrowDown": () => this.move(0, -60),
        };
        if (compares)
            Object.assign(keys, {
                " ": () => { this.play(false); this.turn(); }, "p": () => this.play(!this.timer),
                "f": () => this.setMode("flicker"), "s": () => this.setMode("swipe"),
                "d": () => this.setMode("difference"),
                "[": () => this.setSwipe(this.swipe - .02), "]": () => this.setSwipe(this.swipe + .02),
            });
        const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
        if (!act)
            return;
        act();
        event.preventDefault();
        event.stopPropagation();
    }
}
