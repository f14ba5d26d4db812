/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages: pure functions from the API's JSON (docs/api.md) to one whole HTML document. They read no store, know no
 * request and no clock; what differs from visit to visit arrives in the PageView.
 *
 * Whatever a page is given may have been written by a stranger; nothing of it reaches the page unescaped. A key that
 * is absent or of another type is drawn as unknown, never an error: a page always renders.
 *
 * Every page needs the headers
 *   Content-Type: text/html; charset=utf-8
 *   Content-Security-Policy: PAGE_POLICY
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** No inline style, no inline script, nothing from elsewhere, in nobody's frame. */
#define PAGE_POLICY                                                                                         \
	"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "      \
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

/** Log lines in one page_job document. */
#define PAGE_LOG_LINES 2000

/** Who looks, when, and from where. Borrowed; every text may be NULL. */
typedef struct PageView {
	const char *user;       /* NULL: nobody has signed in */
	const char *role;       /* viewer, developer, reviewer, admin */
	const char *csrf;       /* goes into every form as the field `csrf` */
	const char *path;       /* this page's address, with its query: "/acme/digits/runs/42?from=1" */
	const char *base_url;   /* "https://ci.example.org", for addresses that people copy; no slash at the end */
	const char *asset_css;  /* "/assets/style.0f3a….css" */
	const char *asset_phone; /* "/assets/phone.77b0….css", for screens of at most 720 px */
	const char *asset_js;   /* "/assets/app.91c2….js" */
	const char *asset_logo; /* "/assets/logo.7d41….svg", the tab's icon */
	const char *flash;      /* one sentence about what the visitor has just done */
	bool flash_failed;      /* that sentence tells of a refusal */
	int64_t now_us;
	int64_t gates_waiting; /* how many gates wait for this user */
} PageView;

/** GET /sign-in. data: {"link":secret|null,"error":text|null,"next":path|null}. Posts name, password or link, and next. */
void page_sign_in(GString *out, const PageView *view, const json_t *data);

/**
 * GET / and GET /{owner}/{repo}.
 *
 * @data     {"runs":[Run…],"next":key|null,"repo":name|null,"repos":[{"name"…}…],
 *           "filter":{"status","branch","workflow","event"}}; next goes back as ?after=
 */
void page_runs(GString *out, const PageView *view, const json_t *data);

/**
 * GET /{owner}/{repo}/workflows. Posts there: workflow, ref, input.NAME, csrf; what was refused is shown again.
 *
 * @data     as workflows_list, and "repo":name, "environments":[{"name"}…], "given":{"workflow","ref","inputs":{}}|absent
 */
void page_workflows(GString *out, const PageView *view, const json_t *data);

/**
 * GET /{owner}/{repo}/runs/{number}, ?attempt=N for an older one. Posts /runs/{id}/cancel and /runs/{id}/rerun (jobs, debug);
 * the buttons are there for a developer while they can be used.
 *
 * @data     Run, its "jobs" in full (Job), and "reports":[{"job","digest","report","at"}], "artifacts":[{"name","digest",
 *           "bytes","files"}], "data":[{"name","version","digest","job"}]; may have "tracking":[tracking_get…]
 */
void page_run(GString *out, const PageView *view, const json_t *data);

/**
 * GET /{owner}/{repo}/runs/{number}/jobs/{key}.
 *
 * The log's address takes ?from=LINE (the window starts there, lines count from 1), ?at=OFFSET (the window holds that
 * byte) and ?q=TEXT. Without one of them a window that holds the first line marked ##[error], else the last window.
 *
 * @data     {"job":Job,"log":{"lines":[{"number","offset","time":"2026-…Z","text"}…], "total_lines","from","ended":bool,
 *           "end_offset": the byte behind the last line of the window,
 *           "search":{"q","count","lines":[{"number","text"}…]}|absent}}
 */
void page_job(GString *out, const PageView *view, const json_t *data);

/** GET /gates. data: {"gates":[Gate…],"next","filter":{"status","repo"}}. */
void page_gates(GString *out, const PageView *view, const json_t *data);

/**
 * GET /gates/{id}. Posts /gates/{id}/verdict: verdict=approve|reject, comment, override_reason, evidence_digest, csrf.
 * An approval of evidence whose verdict is neither pass nor none is an override: override_reason must not be empty.
 *
 * @data     {"gate":Gate,"may_decide":bool,"why_not":text|null}
 */
void page_gate(GString *out, const PageView *view, const json_t *data);

/** GET /models. data: as models_list. */
void page_models(GString *out, const PageView *view, const json_t *data);
/** GET /models/{owner}/{repo}/{name}. data: as models_show. */
void page_model(GString *out, const PageView *view, const json_t *data);
/** GET /models/{owner}/{repo}/{name}/{version}. data: as models_get, with "repo" and "name". */
void page_model_version(GString *out, const PageView *view, const json_t *data);
/** GET /data. data: as datasets_list. */
void page_data(GString *out, const PageView *view, const json_t *data);
/** GET /data/{owner}/{repo}/{name}. data: as datasets_show; a version is at its address with #v13. */
void page_dataset(GString *out, const PageView *view, const json_t *data);
/** GET /audit. data: as audit_list; may have "verified":bool, the chain walked. */
void page_audit(GString *out, const PageView *view, const json_t *data);
/**
 * GET /admin. Each key may be absent, and its part of the page with it.
 *
 * @data     {"version","repos":[repos_get…],"environments":[environments_get…],"users":[people_get…],
 *           "deliveries":[…],"executors":[{"name","summary","available":bool,"why"}…],"slots":{"used","total"},
 *           "disk":[{"what","bytes"}…],"checks":[{"name","ok":bool,"detail"}…]}
 */
void page_admin(GString *out, const PageView *view, const json_t *data);
/** Any address that did not work. data: {"status":404,"title","detail","id": of the log line|null}. */
void page_error(GString *out, const PageView *view, const json_t *data);
