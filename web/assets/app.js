/* SPDX-License-Identifier: Apache-2.0 */
/* What lives: relative times, copied hashes, pages that change under the eye, logs that grow. All of it works without. */
"use strict";
(() => {
	const $ = (selector, root = document) => root.querySelector(selector);
	const all = (selector, root = document) => [...root.querySelectorAll(selector)];

	/* Relative times, in the words that the server uses. */
	const span = (s) => s < 60 ? Math.floor(s) + " s" : s < 5400 ? Math.floor(s / 60) + " min" :
		s < 172800 ? Math.floor(s / 3600) + " h" : s < 5184000 ? Math.floor(s / 86400) + " days" :
		s < 63072000 ? Math.floor(s / 2592000) + " months" : Math.floor(s / 31536000) + " years";
	const tick = () => {
		for (const time of all("time[datetime]")) {
			const ago = (Date.now() - Date.parse(time.dateTime)) / 1000;
			if (!/ago$|^in |^just/.test(time.textContent) || isNaN(ago)) continue;
			const text = ago < 0 ? "in " + span(-ago) : ago < 5 ? "just now" : span(ago) + " ago";
			if (text !== time.textContent) time.textContent = text;
		}
	};
	setInterval(() => document.hidden || tick(), 20000);

	/* A short hash is copied whole; a command has a button. */
	document.addEventListener("copy", (event) => {
		const node = getSelection().anchorNode;
		const digest = node && node.parentElement && node.parentElement.closest("[data-whole]");
		if (digest && getSelection().toString().trim() === digest.textContent) {
			event.clipboardData.setData("text/plain", digest.dataset.whole);
			event.preventDefault();
		}
	});
	const copyButtons = () => {
		if (!navigator.clipboard) return;
		for (const box of all("[data-copy]")) {
			if ($("button", box)) continue;
			const button = document.createElement("button");
			button.className = "copy";
			button.textContent = "Copy";
			button.onclick = () => navigator.clipboard.writeText($("code", box).textContent)
				.then(() => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); });
			box.append(button);
		}
	};

	/* Brings `old` to what `fresh` is, touching only what differs: scroll, focus, open folds and half-written text stay. */
	const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
	const morph = (old, fresh) => {
		if (old.nodeType !== 1) {
			if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
			return;
		}
		if (old.matches("input, textarea, select, .log[data-stream]")) return;
		const fold = old.nodeName === "DETAILS";
		for (const { name, value } of [...fresh.attributes])
			if (old.getAttribute(name) !== value && !(fold && name === "open")) old.setAttribute(name, value);
		for (const { name } of [...old.attributes])
			if (!fresh.hasAttribute(name) && !(fold && name === "open")) old.removeAttribute(name);
		let at = old.firstChild;
		for (const next of [...fresh.childNodes]) {
			let match = at;
			while (match && !alike(match, next)) match = match.nextSibling;
			if (!match) { old.insertBefore(next, at); continue; }
			while (at !== match) { const gone = at; at = at.nextSibling; gone.remove(); }
			morph(match, next);
			at = match.nextSibling;
		}
		while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
	};
	let busy = false, again = false;
	const refresh = async () => {
		if (busy) { again = true; return; }
		busy = true;
		try {
			const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
			if (answer.ok && !answer.redirected) {
				const page = new DOMParser().parseFromString(await answer.text(), "text/html");
				const count = $(".rooms"), fresh = $(".rooms", page);
				if (count && fresh) morph(count, fresh);
				if ($("main", page)) morph($("main"), $("main", page));
				copyButtons();
				tick();
			}
		} catch { /* the next change tries again */ }
		busy = false;
		if (again) { again = false; setTimeout(refresh, 500); }
	};
	let timer = 0;
	const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, 250); };
	const live = $("main[data-live]");
	if (live && window.EventSource) {
		const events = new EventSource("/api/v1/events");
		let opened = false;
		events.onopen = () => { if (opened) soon(); opened = true; };
		events.addEventListener("change", (event) => {
			let run = null;
			try { run = String(JSON.parse(event.data).run); } catch { return; }
			if (live.dataset.live === "any" || live.dataset.live === run) soon();
		});
		addEventListener("pagehide", () => events.close());
	}

	/* Terminal colours, as web/ansi.c draws them: by hue. */
	const named = [12, 0, 4, 2, 8, 10, 6, 14, 13, 0, 4, 2, 8, 10, 6, 14];
	const byRgb = (r, g, b) => {
		const most = Math.max(r, g, b), chroma = most - Math.min(r, g, b);
		if (chroma * 6 < most || most < 24) return most < 86 ? 12 : most < 171 ? 13 : 14;
		const hue = most === r ? 60 * (g - b) / chroma : most === g ? 120 + 60 * (b - r) / chroma : 240 + 60 * (r - g) / chroma;
		return Math.floor(((hue + 375) % 360) / 30);
	};
	const by256 = (n) => {
		const level = (x) => x ? 55 + 40 * x : 0, c = n - 16;
		return n < 16 ? named[n] : n < 232 ? byRgb(level(Math.floor(c / 36)), level(Math.floor(c / 6) % 6), level(c % 6)) :
			byRgb(8 + (n - 232) * 10, 8 + (n - 232) * 10, 8 + (n - 232) * 10);
	};
	let style = {};
	const flags = { 1: "w7", 2: "di", 3: "it", 4: "un", 7: "in", 9: "st" };
	const off = { 22: ["w7", "di"], 23: ["it"], 24: ["un"], 27: ["in"], 29: ["st"] };
	const select = (codes) => {
		for (let i = 0; i < codes.length; i++) {
			const c = codes[i], side = c === 38 || (c >= 30 && c < 40) || c >= 90 && c < 98 ? "f" : "b";
			if (c === 0) style = {};
			else if (flags[c]) style[flags[c]] = 1;
			else if (off[c]) off[c].forEach((name) => delete style[name]);
			else if (c === 38 || c === 48) {
				if (codes[i + 1] === 5) { style[side] = by256(codes[i + 2] || 0); i += 2; }
				else { style[side] = byRgb(codes[i + 2] || 0, codes[i + 3] || 0, codes[i + 4] || 0); i += 4; }
			} else if (c === 39 || c === 49) delete style[side];
			else if (c >= 30 && c < 48) style[side] = named[c % 10];
			else if (c >= 90 && c < 108) style[side] = named[8 + c % 10];
		}
	};
	const paint = (box, text) => {
		text = text.replace(/\r+$/, "").replace(/^.*\r/s, "").replace(/\x1b[\]P^_X].*?(\x07|\x1b\\|$)/gs, "");
		for (const part of text.split(/(\x1b\[[0-?]*[ -/]*[@-~])/)) {
			const sgr = /^\x1b\[([\d;:]*)m$/.exec(part);
			if (sgr) { select(sgr[1].split(/[;:]/).map(Number)); continue; }
			const plain = part.replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()*+#%]?.?|[\x00-\x08\x0b-\x1f\x7f]/g, "");
			if (!plain) continue;
			const names = Object.entries(style).filter(([name]) => name !== "f" || style.b === undefined).map(([name, value]) => name === "f" || name === "b" ? name + value : name);
			if (!names.length) { box.append(plain); continue; }
			const run = document.createElement("span");
			run.className = "a " + names.join(" ");
			run.append(plain);
			box.append(run);
		}
	};

	/* A live log: lines go behind the last one; the page follows while its end is in sight. */
	const log = $(".log[data-stream]");
	if (log && window.EventSource) {
		const LIMIT = 10000;
		let number = Number(log.dataset.line), group = null, waiting = [];
		const make = (name, className, parent) => {
			const node = document.createElement(name);
			node.className = className;
			parent.append(node);
			return node;
		};
		const place = () => group || all(".step > .lines", log).pop() || log;
		const add = (raw) => {
			const [, time, text] = /^(\d{4}-\S+Z) ?(.*)$/s.exec(raw) || [null, "", raw];
			const mark = /^##\[(\w+)\]/.exec(text), kind = mark ? mark[1] : "";
			number++;
			if (kind === "endgroup") { group = null; return; }
			if (kind === "group") {
				group = null;
				const fold = make("details", "fold", place());
				fold.open = true;
				const head = make("summary", "", fold);
				head.id = "L" + number;
				paint(head, text.slice(9));
				group = make("div", "lines", fold);
				return;
			}
			const line = make("div", "l" + (/^(error|warning|notice|command|debug)$/.test(kind) ? " " + kind : ""), place());
			line.id = "L" + number;
			const link = make("a", "n", line);
			link.href = "#" + line.id;
			link.tabIndex = -1;
			link.textContent = number;
			if (time) make("span", "t", line).textContent = time.slice(11, -1);
			paint(make("span", "x", line), line.classList.length > 1 ? text.slice(mark[0].length) : text);
		};
		const flush = () => {
			const follow = $("#follow"), lines = waiting;
			waiting = [];
			lines.forEach(add);
			const shown = log.getElementsByClassName("l");
			while (shown.length > LIMIT) shown[0].remove();
			if (follow && follow.checked) log.lastElementChild && log.scrollIntoView({ block: "end" });
		};
		const stream = new EventSource(log.dataset.stream);
		stream.addEventListener("log", (event) => {
			if (!waiting.length) requestAnimationFrame(flush);
			waiting.push(...event.data.split("\n"));
		});
		stream.addEventListener("end", () => { stream.close(); log.removeAttribute("data-stream"); soon(); });
		addEventListener("wheel", (event) => { const follow = $("#follow"); if (follow && event.deltaY < 0) follow.checked = false; },
			{ passive: true });
		addEventListener("pagehide", () => stream.close());
	}

	/* #L10-L20 marks a range; a fold that hides the line opens. */
	const range = () => {
		const ends = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash);
		all(".marked").forEach((line) => line.classList.remove("marked"));
		if (!ends) return;
		for (let at = Number(ends[1]), last = Math.min(Number(ends[2] || ends[1]), at + 2000); at <= last; at++) {
			const line = document.getElementById("L" + at);
			if (!line) continue;
			line.classList.add("marked");
			for (let fold = line.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
			if (at === Number(ends[1])) line.scrollIntoView({ block: "center" });
		}
	};
	document.addEventListener("click", (event) => {
		const link = event.target.closest("a.n"), now = /^#L(\d+)/.exec(location.hash);
		if (!link || !event.shiftKey || !now) return;
		event.preventDefault();
		const ends = [Number(now[1]), Number(link.textContent)].sort((a, b) => a - b);
		location.hash = "L" + ends[0] + "-L" + ends[1];
	});
	addEventListener("hashchange", range);
	copyButtons();
	tick();
	range();
})();
