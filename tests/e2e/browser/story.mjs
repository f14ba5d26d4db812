// SPDX-License-Identifier: Apache-2.0
// The story: two people and the public at the pages, with and without JavaScript. browser.sh has set the stage.
import { assay, browser, check, expect, fail, look, looked, open, quiet, until, url } from "./look.mjs";

const repo = "acme/story";
const run = (id) => JSON.parse(assay("runs", "show", String(id), "--json"));
const start = async (workflow) => {
	const delivery = assay("runs", "dispatch", repo, workflow, "--ref", "main");
	return until(`${workflow} starts a run`, () => JSON.parse(assay("runs", "list", "--delivery", delivery, "--json")).runs[0]?.id);
};
const reaches = (id, status) => until(`run ${id} is ${status}`, () => {
	const now = run(id).status;
	if (now !== status && ["success", "failure", "cancelled"].includes(now)) fail(`run ${id} is ${now}, not ${status}\n${assay("runs", "log", String(id))}`);
	return now === status;
});
const gateOf = (id) => run(id).jobs.find((job) => job.gate)?.gate;
const text = (page) => page.locator("main").innerText();
const signIn = async (page, name, password = process.env.PASSWORD) => {
	await page.goto("/sign-in");
	await page.getByLabel("Name").fill(name);
	await page.getByLabel("Password").fill(password);
	await page.getByRole("button", { name: "Sign in" }).click();
	await page.waitForLoadState();
};
const signedIn = async (page) => (await page.context().cookies()).some((cookie) => cookie.name === "assay_session" && cookie.value);
const refused = /status of 4\d\d/;

async function signingIn() {
	const page = await open();
	await page.goto("/gates");
	expect("a stranger is led to the door", page.url().includes("/sign-in?next="));
	await look(page, "sign-in");
	await signIn(page, "alice", "wrong");
	expect("a wrong password is refused", !(await signedIn(page)) && /not right/.test(await page.locator("body").innerText()));
	await look(page, "sign-in-refused");
	quiet(page, refused);

	const link = assay("user", "link", "ada");
	await page.goto(link);
	await page.goto(link);
	expect("looking at a link changes nothing", !(await signedIn(page)));
	await look(page, "sign-in-link");
	await page.getByRole("button", { name: "Sign in with this link" }).click();
	await page.waitForLoadState();
	expect("its button signs in", await signedIn(page));
	const second = await open();
	await second.goto(link);
	await second.getByRole("button", { name: "Sign in with this link" }).click();
	await second.waitForLoadState();
	expect("the link is good once", !(await signedIn(second)));
	await second.context().close();
	quiet(page);
	return page;
}

async function watching(alice) {
	const id = await start("talk.yml");
	await until("the talk runs", () => run(id).jobs[0]?.status === "running");
	const { number, jobs } = run(id);
	await alice.goto(`/${repo}/runs/${number}/jobs/${jobs[0].key}`);
	let loads = 0;
	alice.on("load", () => loads++);
	const lines = () => alice.locator(".log .l", { hasText: /line \d+ of twelve/ }).count();
	const early = await until("the log speaks", lines);
	if (early >= 12) fail("the log was whole before anybody watched it");
	await look(alice, "job-running");
	await until("the log grows", async () => (await lines()) === 12);
	expect("a log grows under the eye, without a reload", loads === 0);
	await reaches(id, "waiting");
	await until("the page says how it ended", async () => /It succeeded/.test(await text(alice)));
	check("the page says how the job ended");
	await alice.reload();
	expect("read again, no line is missing or twice", (await lines()) === 12);
	await look(alice, "job");
	quiet(alice);
	return { id, number };
}

async function deciding(alice, talk) {
	await alice.goto("/");
	await look(alice, "runs");
	await alice.goto(`/${repo}`);
	await look(alice, "repo");
	await alice.goto(`/${repo}/runs/${talk.number}`);
	await look(alice, "run-waiting");
	await alice.goto("/gates");
	await look(alice, "gates");
	await alice.goto(`/gates/${gateOf(talk.id)}`);
	expect("a gate without a comparison says so", /Nothing was compared/.test(await text(alice)));
	await look(alice, "gate-nothing-compared");
	await alice.getByLabel("Comment").fill("The talk was fine");
	await alice.getByRole("button", { name: "Approve" }).click();
	await until("the gate says it is approved", async () => /approved/i.test(await text(alice)));
	await reaches(talk.id, "success");
	expect("an approved job runs", assay("runs", "log", String(talk.id)).includes("RELEASED"));
	quiet(alice);

	const judged = await start("judge.yml");
	await reaches(judged, "waiting");
	await alice.goto(`/gates/${gateOf(judged)}`);
	expect("the evidence says what is worse", /worse than the release/i.test(await text(alice)));
	await look(alice, "gate-fails");
	await alice.locator("button[value=approve]").click();
	expect("the browser asks for the reason", (await alice.locator("textarea:invalid").count()) === 1 && run(judged).status === "waiting");
	await alice.evaluate(() => { document.querySelector("form[action*=verdict]").noValidate = true; });
	await alice.locator("button[value=approve]").click();
	await until("the refusal is told", async () => /needs a reason/.test(await alice.locator(".flash.bad").innerText().catch(() => "")));
	expect("without a reason the agent refuses, in words", run(judged).status === "waiting");
	await look(alice, "gate-refused");
	quiet(alice, refused);

	await alice.goto(`/gates/${gateOf(judged)}`);
	const reached = async (what) => {
		for (let presses = 0; presses < 80; presses++) {
			await alice.keyboard.press("Tab");
			const found = await alice.evaluate((what) => {
				const at = document.activeElement, style = getComputedStyle(at);
				return at.matches(what) && (style.outlineStyle !== "none" || style.boxShadow !== "none" ? "seen" : "unseen");
			}, what);
			if (found) return found;
		}
		return "never";
	};
	expect("Tab reaches the reason, and shows it", (await reached("textarea[name=override_reason]")) === "seen");
	await alice.keyboard.type("We need it by night");
	expect("Tab reaches approve, and shows it", (await reached("button[value=approve]")) === "seen");
	await alice.keyboard.press("Enter");
	await until("the gate is approved", async () => /against the evidence: an override/.test(await text(alice)));
	expect("the override is called one, with its reason", /We need it by night/.test(await text(alice)));
	await look(alice, "gate-overridden");
	await reaches(judged, "success");
	check("approved by the keyboard alone, the job runs");
	await alice.goto(`/${repo}/runs/${run(judged).number}`);
	await look(alice, "run-judged");
	await alice.goto(`/${repo}/runs/${run(judged).number}/jobs/compare`);
	await look(alice, "job-compare");

	const again = await start("judge.yml");
	await reaches(again, "waiting");
	await alice.goto(`/gates/${gateOf(again)}`);
	await look(alice, "gate-with-release");
	await alice.getByLabel("Comment").fill("Not worse again, please");
	await alice.locator("button[value=reject]").click();
	await until("the gate says it is rejected", async () => /rejected/i.test(await text(alice)));
	await reaches(again, "failure");
	await look(alice, "gate-rejected");
	const broken = await start("fail.yml");
	await reaches(broken, "failure");
	await alice.goto(`/${repo}/runs/${run(broken).number}`);
	await look(alice, "run-failed");
	await alice.locator("main a", { hasText: "Break (loudly)" }).first().click();
	await alice.waitForURL(/\/jobs\//);
	expect("a job's page says why it failed", /exit code 3/.test(await text(alice)));
	await look(alice, "job-failed");
	quiet(alice);
}

async function reading(ada) {
	for (const [name, address] of [["models", "/models"], ["model", `/models/${repo}/cats`], ["model-version", `/models/${repo}/cats/1`],
		["data", "/data"], ["dataset", `/data/${repo}/cats`], ["audit", "/audit"], ["admin", "/admin"]]) {
		const answer = await ada.goto(address);
		expect(`${address} answers`, answer.status() === 200, answer.status());
		await look(ada, name);
	}
	expect("the first version is the release", /production/.test(await (await ada.goto(`/models/${repo}/cats`), text(ada))));
	expect("the audit log names who decided", /alice/.test(await (await ada.goto("/audit"), text(ada))));
	quiet(ada);
	await ada.goto("/no/such/page");
	await look(ada, "error");
	quiet(ada, refused);
}

async function viewing() {
	const id = await start("talk.yml");
	const vera = await open();
	await signIn(vera, "vera");
	await until("the talk runs", () => run(id).jobs[0]?.status === "running");
	await vera.goto(`/${repo}/runs/${run(id).number}`);
	expect("a viewer cannot cancel", (await vera.getByRole("button", { name: /cancel/i }).count()) === 0);
	await reaches(id, "waiting");
	await vera.goto(`/gates/${gateOf(id)}`);
	expect("a viewer sees the evidence and no button", (await vera.locator("button[name=verdict]").count()) === 0);
	await look(vera, "gate-viewer");
	quiet(vera);
	expect("and no audit log", (await vera.goto("/audit")).status() === 403);
	await vera.context().close();
	return id;
}

/** By hand, from a form of typed inputs; then what it told. */
async function startingByHand(alice) {
	await until("the agent knows the workflows", async () => {
		await alice.goto(`/${repo}/workflows`);
		return /tell/.test(await text(alice));
	});
	const form = alice.locator("form", { has: alice.locator("[name='input.note']") });
	await alice.locator("details", { has: form }).locator("summary").click();
	await look(alice, "workflows");
	expect("a schedule says when it is due", /30 3 \* \* MON-FRI Europe\/Berlin next/.test(await text(alice)));
	await form.getByRole("button", { name: "Run" }).click();
	expect("the browser asks for what is required", (await form.locator("input:invalid").count()) === 1);
	await form.getByLabel("Why").fill("A look at the summary");
	await form.getByLabel("Which model").selectOption("large");
	await form.getByLabel("Only show").uncheck();
	await form.getByRole("button", { name: "Run" }).click();
	await alice.waitForURL(/done=dispatch/);
	const id = await until("the form starts a run", () => JSON.parse(assay("runs", "list", "--repo", repo, "--workflow", "tell", "--json")).runs[0]?.id);
	await reaches(id, "success");
	await alice.goto(`/${repo}/runs/${run(id).number}`);
	const shown = await text(alice);
	expect("its summary is a table with what the form gave", /Training of large/.test(shown) && (await alice.locator(".prose table td").count()) === 8 && /A look at the summary/.test(shown));
	await alice.locator(".prose summary").click();
	await look(alice, "run-told");
	await alice.locator(".notes a").first().click();
	await alice.waitForURL(/#L\d+$/);
	expect("an annotation leads to its line", /comparison of integers/.test(await alice.locator(".l:target").innerText()));
	await look(alice, "job-told");
	quiet(alice);
}

async function runningAgain(alice) {
	const id = await start("fail.yml");
	await reaches(id, "failure");
	const { number } = run(id);
	await alice.goto(`/${repo}/runs/${number}`);
	await alice.getByLabel("debug output").check();
	await alice.getByRole("button", { name: "Run failed jobs again" }).click();
	await alice.waitForURL(/done=rerun/);
	await until("the second attempt fails too", () => run(id).attempt === 2 && run(id).status === "failure");
	await alice.goto(`/${repo}/runs/${number}`);
	expect("the page says who ran it again", /alice ran the failed jobs again with debug output/.test(await text(alice)));
	await look(alice, "run-attempt-2");
	await alice.getByRole("link", { name: "Attempt 1" }).click();
	expect("an older attempt has no buttons", (await alice.getByRole("button", { name: /again/ }).count()) === 0);
	await look(alice, "run-attempt-1");
	await alice.locator("main a", { hasText: "Break (loudly)" }).first().click();
	await alice.waitForURL(/attempt=1/);
	await look(alice, "job-attempt-1");
	await alice.getByRole("link", { name: "Attempt 2" }).click();
	await alice.getByRole("button", { name: "Run this job again" }).click();
	await alice.waitForURL(/done=rerun/);
	await until("one job runs again", () => run(id).attempt === 3 && run(id).status === "failure");
	expect("the other is kept", run(id).jobs.map((job) => job.attempt).sort().join() === "2,3");
	quiet(alice);
}

/** The same without JavaScript, on a phone: sign in, read the log, approve. */
async function withoutScripts(id) {
	const page = await open({ javaScriptEnabled: false, viewport: { width: 375, height: 812 } });
	await signIn(page, "alice");
	expect("without JavaScript: signs in", await signedIn(page));
	const { number, jobs } = run(id);
	await page.goto(`/${repo}/runs/${number}/jobs/${jobs[0].key}`);
	expect("without JavaScript: reads the log", (await page.getByText(/line \d+ of twelve/).count()) === 12);
	await page.goto(`/gates/${gateOf(id)}`);
	await page.getByRole("button", { name: "Approve" }).click();
	await until("the gate says it is approved", async () => /approved/i.test(await text(page)));
	check("without JavaScript: approves");
	await reaches(id, "success");
	await page.locator("header summary").click();
	await page.getByRole("button", { name: "Sign out" }).click();
	await page.waitForURL(/\/sign-in/);
	expect("signs out", !(await signedIn(page)) && page.url().includes("/sign-in"));
	await page.goto("/");
	expect("and is a stranger again", page.url().includes("/sign-in"));
	await page.context().close();
}

try {
	const ada = await signingIn();
	const alice = await open();
	await signIn(alice, "alice");
	expect("a password signs in", await signedIn(alice));
	const talk = await watching(alice);
	await deciding(alice, talk);
	await startingByHand(alice);
	await runningAgain(alice);
	await reading(ada);
	await withoutScripts(await viewing());
	looked();
} catch (error) {
	console.log(`FAILED: ${error.stack || error}`);
	process.exitCode = 1;
} finally {
	await browser.close();
}
