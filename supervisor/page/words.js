"use strict";
/* Figures as people read them, and the making of elements. Nothing here makes markup of text: what
 * comes from files only ever becomes text nodes and attributes. */

const night = JSON.parse(document.getElementById("data").textContent);

/* ---- figures ---- */

const NO_VALUE = "\u2013"; /* an en dash */

/* "480 MiB", as registrar prints it. */
function sizeText(bytes) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    if (!(bytes > 0))
        return NO_VALUE;
    while (bytes >= 1000 && unit < units.length - 1) {
        bytes /= 1024;
        unit++;
    }
    return bytes.toFixed(bytes >= 9.95 || unit === 0 ? 0 : 1) + "\u00a0" + units[unit];
}

/* "0.8 s", "42 s", "3 min 05 s", "1 h 02 min" */
function timeText(seconds) {
    if (!(seconds >= 0))
        return NO_VALUE;
    if (seconds < 10)
        return seconds.toFixed(1) + "\u00a0s";
    const whole = Math.round(seconds);
    const two = (n) => String(n).padStart(2, "0");
    if (whole < 60)
        return whole + "\u00a0s";
    if (whole < 3600)
        return Math.floor(whole / 60) + "\u00a0min\u00a0" + two(whole % 60) + "\u00a0s";
    return Math.floor(whole / 3600) + "\u00a0h\u00a0" + two(Math.floor(whole % 3600 / 60)) +
           "\u00a0min";
}

function countText(n) {
    return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

function plural(n, word) {
    return countText(n) + " " + word + (n === 1 ? "" : "s");
}

function numberText(value, digits) {
    return typeof value === "number" ? value.toFixed(digits) : NO_VALUE;
}

/* Times of day are the reader's own; the year is told only where it is not obvious. */
const clockFormat = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit"});
const secondFormat =
    new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit", second: "2-digit"});
const dayFormat =
    new Intl.DateTimeFormat("en-GB", {weekday: "long", day: "numeric", month: "long", year: "numeric"});

function clockText(ms, withSeconds) {
    return (withSeconds ? secondFormat : clockFormat).format(new Date(ms));
}

/* ---- verdicts ---- */

/* Families share a colour and a mark; the words tell the rest. */
const FAMILIES = {
    "ok": "ok", "doubtful": "doubtful", "failed": "failed", "crashed": "failed",
    "timeout": "stopped", "stalled": "stopped", "oom-limit": "stopped", "oom-machine": "stopped",
    "killed": "stopped", "cancelled": "left", "lost": "left", "running": "left", "waiting": "left",
};
const VERDICTS = Object.keys(FAMILIES);
const MARKS = { /* in a square of 10 */
    "ok": "M5 1a4 4 0 1 0 0 8a4 4 0 1 0 0-8z",
    "doubtful": "M5 .5L9.8 9.2H.2z",
    "failed": "M1.9.5L5 3.6 8.1.5 9.5 1.9 6.4 5l3.1 3.1-1.4 1.4L5 6.4 1.9 9.5.5 8.1 3.6 5 .5 1.9z",
    "stopped": "M1 1h8v8H1z",
    "left": "M1 4h8v2H1z",
};

/* What follows a number: "3 over the time limit". */
const IN_WORDS = {
    "timeout": "over the time limit", "oom-limit": "over the memory limit",
    "oom-machine": "killed when memory ran out", "waiting": "not begun", "running": "still running",
};

function familyOf(verdict) {
    return FAMILIES[verdict] || "left";
}

/* ---- elements ---- */

/* make("button", {class: "quiet", onclick: f}, "text", child, ...); null children are left out. */
function make(tag, attributes, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
        if (name.startsWith("on"))
            element.addEventListener(name.slice(2), value);
        else if (value !== null && value !== undefined && value !== false)
            element.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity))
        if (child !== null && child !== undefined)
            element.append(child);
    return element;
}

function markOf(verdict) {
    const family = familyOf(verdict);
    return draw("svg", {class: "mark " + family, viewBox: "0 0 10 10", "aria-hidden": "true"},
                draw("path", {d: MARKS[family]}));
}

function verdictLabel(verdict) {
    return make("span", {class: "verdict " + familyOf(verdict)}, markOf(verdict), verdict);
}

/* A command with a button that copies it. */
function commandLine(command) {
    const said = make("span", {class: "said", role: "status"});
    const text = make("code", {}, command);
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(command);
        } catch (error) { /* not allowed here: selecting it is the next best */
            getSelection().selectAllChildren(text);
            if (!document.execCommand("copy")) {
                said.textContent = "selected";
                return;
            }
        }
        said.textContent = "copied";
        setTimeout(() => said.textContent = "", 1500);
    };
    return make("div", {class: "command"}, text,
                make("button", {class: "quiet", type: "button", onclick: copy}, "Copy"), said);
}

/* A word for a shell, as registrar quotes it. */
function quoted(word) {
    return /^[A-Za-z0-9_@%+=:,.\/-]+$/.test(word) ? word : "'" + word.replace(/'/g, "'\\''") + "'";
}

/* Of files that anybody may have written: what is no object has no members. */
function membersOf(value) {
    return value && typeof value === "object" ? value : {};
}

function settled(wait, call) {
    let timer = 0;
    return (...all) => {
        clearTimeout(timer);
        timer = setTimeout(() => call(...all), wait);
    };
}
