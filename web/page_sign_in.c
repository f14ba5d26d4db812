/* SPDX-License-Identifier: Apache-2.0 */
/* The door: name and password, or the button that uses up a sign-in link; and the page of what did not work. */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"

void page_sign_in(GString *out, const PageView *view, const json_t *data)
{
	const char *link = json_get_string(data, "link", NULL);
	const char *error = json_get_string(data, "error", NULL);
	const char *next = json_get_string(data, "next", NULL);
	frame_begin(out, view, &(Frame){ .title = "Sign in", .body = "door" });
	g_string_append(out, "<svg class=\"logo\" aria-hidden=\"true\"><use href=\"#i-logo\"/></svg>"
	                     "<h1>Sign in to Assay</h1><p class=\"soft\">Nothing is released on hope.</p>");
	if (error) {
		g_string_append(out, "<p class=\"flash bad\" role=\"alert\">");
		frame_icon(out, "warning");
		html(out, "<span>%s</span></p>", error);
	}
	g_string_append(out, "<form method=\"post\" action=\"/sign-in\" class=\"stack\">");
	frame_csrf(out, view);
	if (next)
		html(out, "<input type=\"hidden\" name=\"next\" value=\"%s\">", next);
	if (link) {
		html(out, "<input type=\"hidden\" name=\"link\" value=\"%s\"><p>This link signs you in once. It is used up by "
		          "the button, not by looking at it.</p><button class=\"primary\">Sign in with this link</button></form>",
		        link);
	} else {
		g_string_append(out, "<label>Name<input name=\"name\" autocomplete=\"username\" autocapitalize=\"none\" "
		                     "spellcheck=\"false\" required autofocus></label>"
		                     "<label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" "
		                     "required></label><button class=\"primary\">Sign in</button></form>"
		                     "<p class=\"soft\">No password? An admin makes a link that is good once with "
		                     "<code>assay user link NAME</code>.</p>");
	}
	frame_end(out, view);
}

void page_error(GString *out, const PageView *view, const json_t *data)
{
	int64_t status = json_get_int(data, "status", 500);
	const char *title = json_get_string(data, "title", "Something failed");
	const char *id = json_get_string(data, "id", NULL);
	frame_begin(out, view, &(Frame){ .title = title, .body = "narrow" });
	html(out, "<p class=\"soft\">Error %" PRId64 "</p><h1>%s</h1><p class=\"lead\">%s</p>", status, title,
	        json_get_string(data, "detail", "The log has the cause."));
	if (id)
		html(out, "<p class=\"soft\">The log has more under <code>%s</code>.</p>", id);
	g_string_append(out, view->user ? "<p><a class=\"button\" href=\"/\">To the runs</a></p>" :
	                                  "<p><a class=\"button\" href=\"/sign-in\">Sign in</a></p>");
	frame_end(out, view);
}
