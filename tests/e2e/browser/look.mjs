// SPDX-License-Identifier: Apache-2.0
// A browser and a careful eye: opens pages, collects what the browser complains of, and looks at a page at two widths, in light
// and dark: no finding of axe-core, nothing wider than the screen; a picture of each look where ASSAY_SCREENSHOTS says.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url); // finds packages by NODE_PATH, which import does not
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const pictures = process.env.ASSAY_SCREENSHOTS;
if (pictures) mkdirSync(pictures, { recursive: true });

export const url = process.env.URL;
export const assay = (...words) => execFileSync(process.env.ASSAY, words, { encoding: "utf8" }).trim();
export const check = (claim) => console.log("  - " + claim);
export const fail = (why) => { throw new Error(why); };
export const expect = (claim, holds, got = "") => { if (!holds) fail(`${claim}: it does not${got === "" ? "" : `; got ${got}`}`); check(claim); };
export const until = async (claim, probe, seconds = 60) => {
	for (const end = Date.now() + seconds * 1000; Date.now() < end; await new Promise((go) => setTimeout(go, 50))) {
		const value = await probe();
		if (value) return value;
	}
	return fail(`${claim}: not within ${seconds} s`);
};

/** A browser; open() gives a page of a fresh visitor, whose complaints are in page.complaints. */
export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
export const open = async (options = {}) => {
	const context = await browser.newContext({ baseURL: url, reducedMotion: "reduce", viewport: { width: 1440, height: 900 }, ...options });
	const page = await context.newPage();
	page.setDefaultTimeout(15000);
	page.complaints = [];
	page.on("console", (message) => { if (["error", "warning"].includes(message.type())) page.complaints.push(message.text()); });
	page.on("pageerror", (error) => page.complaints.push(String(error)));
	return page;
};
/** What the browser said of this page; the answers to what was meant to fail are no complaint. */
export const quiet = (page, allowed = /^$/) => {
	const complaints = page.complaints.filter((text) => !allowed.test(text));
	page.complaints.length = 0;
	if (complaints.length) fail(`${page.url()}: the browser complains: ${complaints.join("; ")}`);
};

const seen = new Set();
/** Looks at the page as it is. `name` names the pictures. */
export const look = async (page, name) => {
	for (const width of [1440, 375])
		for (const colorScheme of ["light", "dark"]) {
			await page.setViewportSize({ width, height: width === 375 ? 812 : 900 });
			await page.emulateMedia({ colorScheme });
			const where = `${name} at ${width}, ${colorScheme}`;
			if (pictures) await page.screenshot({ path: join(pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
			const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
			if (wide > 0) fail(`${where}: wider than the screen by ${wide} px`);
			await page.evaluate(axe);
			const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
			if (violations.length)
				fail(`${where}: ${violations.map((v) => `${v.id} (${v.help}): ${v.nodes.map((n) => n.html + " " + n.failureSummary).join(" | ")}`).join("\n")}`);
		}
	await page.setViewportSize({ width: 1440, height: 900 });
	await page.emulateMedia({ colorScheme: "light" });
	seen.add(name);
};
export const looked = () => check(`${seen.size} pages, each at 1440 and 375 px, light and dark: no finding of axe-core, nothing too wide`);
