/* SPDX-License-Identifier: Apache-2.0 */
/* For admins: what is set up and is it well? And the audit log: who did what, each row chained to the one before. */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"

/* A table's head from a list of column names; a name that starts with '#' is of numbers. */
static void table_begin(GString *out, const char *caption, const char *const *columns)
{
	html(out, "<table class=\"cards\"><caption class=\"hidden\">%s</caption><thead><tr>", caption);
	for (; *columns; columns++)
		html(out, "<th scope=\"col\" class=\"%s\">%s</th>", **columns == '#' ? "num" : "",
		        **columns == '#' ? *columns + 1 : *columns);
	g_string_append(out, "</tr></thead><tbody>");
}

static void cell(GString *out, const char *label, const char *text)
{
	html(out, "<td data-label=\"%s\">%s</td>", label, text && *text ? text : "–");
}

static void names_cell(GString *out, const char *label, const json_t *names, const char *none)
{
	html(out, "<td data-label=\"%s\">", label);
	size_t i;
	json_t *name;
	json_array_foreach(names, i, name)
		html(out, "%s%s", i ? ", " : "", json_string_value(name));
	html(out, "%s</td>", json_array_size(names) ? "" : none);
}

static void time_cell(GString *out, const PageView *view, const char *label, const char *time)
{
	html(out, "<td data-label=\"%s\">", label);
	html_time(out, time, view->now_us);
	g_string_append(out, "</td>");
}

static void table_end(GString *out)
{
	g_string_append(out, "</tbody></table>");
	frame_section_end(out);
}

static void repos(GString *out, const PageView *view, const json_t *all)
{
	static const char *const columns[] = { "Repo", "Address", "Network", "Default branch", "Webhook", NULL };
	if (!json_is_array(all))
		return;
	frame_section(out, "repos", "Repos");
	table_begin(out, "Repos", columns);
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		const char *name = json_get_string(one, "name", "");
		g_string_append(out, "<tr><th scope=\"row\"><a");
		html_href(out, "/%s", name);
		html(out, ">%s</a></th>", name);
		html(out, "<td data-label=\"Address\"><code class=\"long\">%s</code></td>", json_get_string(one, "url", ""));
		cell(out, "Network", json_get_string(one, "network", NULL));
		cell(out, "Default branch", json_get_string(one, "default_branch", NULL));
		html(out, "<td data-label=\"Webhook\">%s</td></tr>", json_is_true(json_object_get(one, "has_secret")) ?
		                                                             "secret set" :
		                                                             "no secret: deliveries are refused");
	}
	g_string_append(out, "</tbody></table><p class=\"soft\">Webhooks go to</p>");
	frame_command(out, "%s/webhooks/github", view->base_url ? view->base_url : "");
	frame_section_end(out);
}

static void environments(GString *out, const json_t *all)
{
	static const char *const columns[] = { "Environment", "Repo", "Reviewers", "#Approvals", "Author may approve", "Expires after",
		NULL };
	if (!json_is_array(all))
		return;
	frame_section(out, "environments", "Environments");
	if (json_array_size(all) == 0) {
		g_string_append(out, "<p>None is protected. A job that names an environment runs without a gate until one is.</p>");
		frame_command(out, "assay env set production --repo OWNER/NAME --reviewers NAME --approvals 1");
		frame_section_end(out);
		return;
	}
	table_begin(out, "Environments and their rules", columns);
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		html(out, "<tr><th scope=\"row\">%s</th>", json_get_string(one, "name", ""));
		cell(out, "Repo", json_get_string(one, "repo", NULL));
		names_cell(out, "Reviewers", json_object_get(one, "reviewers"), "every reviewer");
		html(out, "<td class=\"num\" data-label=\"Approvals\">%" PRId64 "</td>", json_get_int(one, "approvals", 1));
		cell(out, "Author may approve", json_is_true(json_object_get(one, "self_review")) ? "yes" : "no");
		g_string_append(out, "<td data-label=\"Expires after\">");
		if (json_get_int(one, "expires_s", 0) > 0)
			html_span(out, json_get_int(one, "expires_s", 0) * 1000000);
		else
			g_string_append(out, "<span class=\"soft\">the configuration's gates.expire</span>");
		g_string_append(out, "</td></tr>");
	}
	table_end(out);
}

static void people(GString *out, const PageView *view, const json_t *all)
{
	static const char *const columns[] = { "Name", "Role", "Password", "Since", NULL };
	if (!json_is_array(all))
		return;
	frame_section(out, "people", "People");
	table_begin(out, "People", columns);
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		html(out, "<tr><th scope=\"row\">%s</th>", json_get_string(one, "name", ""));
		cell(out, "Role", json_get_string(one, "role", NULL));
		cell(out, "Password", json_is_true(json_object_get(one, "has_password")) ? "set" : "none: token or link only");
		time_cell(out, view, "Since", json_get_string(one, "created_at", NULL));
		g_string_append(out, "</tr>");
	}
	table_end(out);
}

static void deliveries(GString *out, const PageView *view, const json_t *all)
{
	static const char *const columns[] = { "Outcome", "Forge", "Event", "Repo", "Delivery", "Received", NULL };
	if (!json_is_array(all))
		return;
	frame_section(out, "deliveries", "Last deliveries");
	if (json_array_size(all) == 0) {
		g_string_append(out, "<p class=\"soft\">No webhook has arrived yet.</p>");
		frame_section_end(out);
		return;
	}
	table_begin(out, "Webhooks as received", columns);
	size_t i;
	json_t *one;
	json_array_foreach(all, i, one) {
		g_string_append(out, "<tr><td data-label=\"Outcome\"><span>");
		frame_status(out, json_get_string(one, "outcome", "queued"));
		const char *message = json_get_string(one, "message", NULL);
		if (message && *message)
			html(out, "<span class=\"note\">%s</span>", message);
		g_string_append(out, "</span></td>");
		cell(out, "Forge", json_get_string(one, "forge", NULL));
		cell(out, "Event", json_get_string(one, "event", NULL));
		cell(out, "Repo", json_get_string(one, "repo", NULL));
		html(out, "<td data-label=\"Delivery\"><code class=\"long\">%s</code></td>", json_get_string(one, "delivery", ""));
		time_cell(out, view, "Received", json_get_string(one, "received_at", NULL));
		g_string_append(out, "</tr>");
	}
	table_end(out);
}

static void machine(GString *out, const json_t *data)
{
	const json_t *executors = json_object_get(data, "executors"), *checks = json_object_get(data, "checks");
	const json_t *slots = json_object_get(data, "slots"), *disk = json_object_get(data, "disk");
	if (!executors && !checks && !slots && !disk)
		return;
	frame_section(out, "machine", "This machine");
	g_string_append(out, "<ul class=\"checks\">");
	size_t i;
	json_t *one;
	if (json_is_object(slots))
		html(out, "<li class=\"run\"><strong>Slots</strong><span>%" PRId64 " of %" PRId64 " in use</span></li>",
		        json_get_int(slots, "used", 0), json_get_int(slots, "total", 0));
	json_array_foreach(executors, i, one) {
		bool available = json_is_true(json_object_get(one, "available"));
		html(out, "<li class=\"%s\"><strong>%s</strong><span>", available ? "good" : "off", json_get_string(one, "name", ""));
		frame_icon(out, available ? "success" : "skipped");
		html(out, " %s%s</span></li>", available ? "" : "not available: ",
		        available ? json_get_string(one, "summary", "available") : json_get_string(one, "why", "unknown"));
	}
	json_array_foreach(checks, i, one) {
		bool ok = json_is_true(json_object_get(one, "ok"));
		html(out, "<li class=\"%s\"><strong>%s</strong><span>", ok ? "good" : "bad", json_get_string(one, "name", ""));
		frame_icon(out, ok ? "success" : "failure");
		html(out, " %s</span></li>", json_get_string(one, "detail", ok ? "well" : "not well"));
	}
	json_array_foreach(disk, i, one) {
		html(out, "<li class=\"off\"><strong>%s</strong><span>", json_get_string(one, "what", ""));
		html_bytes(out, json_get_int(one, "bytes", 0));
		g_string_append(out, "</span></li>");
	}
	g_string_append(out, "</ul>");
	frame_section_end(out);
}

void page_admin(GString *out, const PageView *view, const json_t *data)
{
	const char *version = json_get_string(data, "version", NULL);
	frame_begin(out, view, &(Frame){ .title = "Admin", .section = "admin" });
	g_string_append(out, "<h1>Admin</h1><p class=\"lead\">");
	html_counted(out, (int64_t)json_array_size(json_object_get(data, "repos")), "repo");
	g_string_append(out, ", ");
	html_counted(out, (int64_t)json_array_size(json_object_get(data, "environments")), "protected environment");
	size_t persons = json_array_size(json_object_get(data, "users"));
	html(out, ", %zu %s.", persons, persons == 1 ? "person" : "people");
	if (version)
		html(out, " Assay %s.", version);
	g_string_append(out, "</p><p class=\"soft\">What is set here is set with the <code>assay</code> command, on this machine or with a "
	                     "token; each change is in the <a href=\"/audit\">audit log</a>.</p>");
	repos(out, view, json_object_get(data, "repos"));
	environments(out, json_object_get(data, "environments"));
	people(out, view, json_object_get(data, "users"));
	machine(out, data);
	deliveries(out, view, json_object_get(data, "deliveries"));
	frame_end(out, view);
}

void page_audit(GString *out, const PageView *view, const json_t *data)
{
	static const char *const columns[] = { "When", "Who", "Did", "To", "Detail", "Chain", NULL };
	const json_t *entries = json_object_get(data, "entries"), *verified = json_object_get(data, "verified");
	frame_begin(out, view, &(Frame){ .title = "Audit", .section = "audit" });
	g_string_append(out, "<h1>Audit</h1><p class=\"lead\">Who did what, newest first. ");
	if (json_is_true(verified))
		g_string_append(out, "The chain is whole: no row was changed or taken out.");
	else if (json_is_false(verified))
		g_string_append(out, "<strong class=\"bad\">The chain is broken: a row was changed or taken out.</strong>");
	else
		g_string_append(out, "Each row carries the hash of the one before it.");
	g_string_append(out, "</p>");
	if (json_array_size(entries) == 0) {
		g_string_append(out, "<p class=\"soft\">Nothing has been done yet.</p>");
		frame_end(out, view);
		return;
	}
	g_string_append(out, "<section aria-label=\"Entries\">");
	table_begin(out, "Audit log", columns);
	size_t i;
	json_t *one;
	json_array_foreach(entries, i, one) {
		html(out, "<tr id=\"entry-%" PRId64 "\">", json_get_int(one, "id", 0));
		time_cell(out, view, "When", json_get_string(one, "at", NULL));
		html(out, "<th scope=\"row\">%s</th>", json_get_string(one, "actor", "the agent"));
		cell(out, "Did", json_get_string(one, "action", NULL));
		cell(out, "To", json_get_string(one, "subject", NULL));
		g_string_append(out, "<td data-label=\"Detail\"><span class=\"detail\">");
		const json_t *detail = json_object_get(one, "detail");
		const char *key;
		json_t *value;
		size_t shown = 0;
		json_object_foreach((json_t *)(json_is_object(detail) ? detail : NULL), key, value) {
			if (json_is_null(value))
				continue;
			html(out, "%s%s ", shown++ ? ", " : "", key);
			if (strstr(key, "digest") && json_is_string(value))
				html_digest(out, json_string_value(value));
			else
				html_json(out, value);
		}
		g_string_append(out, "</span></td><td data-label=\"Chain\">");
		html_digest(out, json_get_string(one, "hash", NULL));
		g_string_append(out, "</td></tr>");
	}
	table_end(out);
	frame_next(out, view, data);
	frame_end(out, view);
}
