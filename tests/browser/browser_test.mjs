/* The browser tests' harness: TAP, a Chromium, and pages whose every word is heard.
 *
 *     test("it opens", async (t) => {
 *         const page = await t.open("small");
 *         equal(await page.textContent("h1"), "...", "the headline");
 *     });
 *     await runTests();
 *
 * A page that says anything on the console, throws, breaks its policy or asks for anything but the
 * files that a test allows fails the test that opened it. Waiting is waiting for what is to be seen. */
import {execFileSync} from "node:child_process";
import {existsSync, mkdtempSync, rmSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import path from "node:path";
import {fileURLToPath, pathToFileURL} from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const build = path.resolve(here, "../..", process.env.BUILD || "build");
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];
export const SLOW = Number(process.env.TIMEOUT_FACTOR || "1");

const tests = [];

export function test(description, run) {
    tests.push({description, run});
}

export function check(condition, what) {
    if (!condition)
        throw new Error(what);
}

export function equal(actual, wanted, what) {
    const [got, asked] = [JSON.stringify(actual), JSON.stringify(wanted)];
    check(got === asked, `${what}: got ${got}, wanted ${asked}`);
}

function skipAll(reason) {
    console.log(`1..0 # SKIP ${reason}`);
    process.exit(0);
}

function findBrowser() {
    const places = (process.env.PATH || "").split(":").filter((place) => place);
    for (const name of process.env.CHROMIUM ? [process.env.CHROMIUM] : PROGRAMS)
        for (const place of path.isAbsolute(name) ? [""] : places)
            if (existsSync(path.join(place, name)))
                return path.join(place, name);
    return skipAll("no Chromium: install chromium, or name one in CHROMIUM");
}

function loadPlaywright() {
    try {
        return createRequire(path.join(build, "browser", "x.js"))("playwright-core");
    } catch (error) {
        return skipAll("no playwright-core: npm's registry could not be reached (see make check-browser)");
    }
}

class Case {
    constructor(browser, folder) {
        Object.assign(this, {browser, folder, said: [], requests: [], contexts: []});
    }
    /* options: context options of Playwright, and hash, which is added to the address. */
    async open(night, {hash = "", ...options} = {}) {
        const context = await this.browser.newContext({viewport: {width: 1280, height: 900}, ...options});
        this.contexts.push(context);
        context.setDefaultTimeout(30000 * SLOW);
        const page = await context.newPage();
        await page.addInitScript(() => document.addEventListener("securitypolicyviolation",
            (event) => console.error("policy: " + event.violatedDirective + " " + event.blockedURI)));
        page.on("console", (message) => this.said.push(message.text()));
        page.on("pageerror", (error) => this.said.push(String(error)));
        page.on("dialog", (dialog) => {
            this.said.push("dialog: " + dialog.message());
            dialog.dismiss();
        });
        page.on("request", (request) => {
            if (!request.url().startsWith("data:"))
                this.requests.push(request.url());
        });
        this.address = pathToFileURL(path.join(this.folder, night, "report.html")).href;
        await page.goto(this.address + hash, {waitUntil: "commit"});
        await page.waitForSelector(".body .row, .tasks .count");
        return page;
    }
    async close() {
        for (const context of this.contexts)
            await context.close();
    }
    /* After the test: only files below the night's folder were asked for. */
    judge() {
        const folder = this.address.slice(0, this.address.lastIndexOf("/") + 1);
        const elsewhere = this.requests.filter((url) => !url.startsWith(folder));
        equal(elsewhere, [], "requests that left");
        equal(this.said.filter((text) => !(this.expected || []).some((part) => text.includes(part))), [], "what the console said");
    }
}

export async function runTests() {
    const {chromium} = loadPlaywright();
    const program = findBrowser();
    const folder = mkdtempSync(path.join(tmpdir(), "registrar-browser-"));
    let browser = null, failed = 0;
    try {
        execFileSync("python3", [path.join(here, "nights.py"), folder], {stdio: ["ignore", "inherit", "inherit"]});
        browser = await chromium.launch({executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage"], timeout: 60000 * SLOW});
        console.log(`1..${tests.length}`);
        for (const [i, {description, run}] of tests.entries()) {
            const t = new Case(browser, folder);
            try {
                await run(t);
                t.judge();
                console.log(`ok ${i + 1} - ${description}`);
            } catch (error) {
                failed++;
                console.log(`not ok ${i + 1} - ${description}`);
                console.log(String(error.stack || error).replace(/^/gm, "# "));
            }
            await t.close();
        }
    } finally {
        if (browser)
            await browser.close();
        rmSync(folder, {recursive: true, force: true});
    }
    process.exit(failed > 0 ? 1 : 0);
}
