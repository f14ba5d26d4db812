/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals, histories and bars; the graph of jobs is in svg_graph.c. Coordinates are printed with one decimal, always
 * with a point, whatever the locale.
 */
#include "web/svg.h"

#include <math.h>

#include "web/html.h"

#define INTERVAL_WIDTH 220.0
#define INTERVAL_HEIGHT 57.0 /* a row of the table, so that the lines run through it */

void svg_interval(GString *out, const SvgInterval *row)
{
	double unit = row->margin > 0 ? row->margin : 1;
	double sign = row->lower_is_better ? -1 : 1;
	double half = INTERVAL_WIDTH / 2, middle = INTERVAL_HEIGHT / 2;
	double scale = (half - 8) / (row->reach > 0 ? row->reach : 1);
	double at = row->value * sign / unit * scale;
	double from = (row->lower_is_better ? -row->high : row->low) / unit * scale;
	double to = (row->lower_is_better ? -row->low : row->high) / unit * scale;
	double edge = half - 4;
	bool beyond_left = from < -edge, beyond_right = to > edge;
	from = CLAMP(from, -edge, edge);
	to = CLAMP(to, -edge, edge);
	at = CLAMP(at, -edge, edge);
	html(out, "<svg class=\"forest %s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" preserveAspectRatio=\"xMidYMid slice\" "
	          "aria-labelledby=\"fp%u ft%u\">"
	          "<title id=\"fp%u\">%s: difference with its interval</title><desc id=\"ft%u\">%s</desc>",
	        row->colour, INTERVAL_WIDTH, INTERVAL_HEIGHT, row->id, row->id, row->id, row->name, row->id, row->text);
	if (row->margin > 0) {
		double line = CLAMP(-scale, -edge, edge);
		html(out, "<rect class=\"allowed\" x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%.0f\"/>", half + line, edge - line,
		        INTERVAL_HEIGHT);
		html(out, "<path class=\"margin\" d=\"M%.1f 0V%.0f\"/>", half + line, INTERVAL_HEIGHT);
	}
	html(out, "<path class=\"zero\" d=\"M%.1f 0V%.0f\"/>", half, INTERVAL_HEIGHT);
	if (!isnan(from) && !isnan(to)) {
		html(out, "<path class=\"span\" d=\"M%.1f %.1fH%.1f", half + from, middle, half + to);
		if (beyond_left)
			html(out, "m%.1f -4l-5 4 5 4", from - to + 5);
		else
			html(out, "M%.1f %.1fv8", half + from, middle - 4);
		if (beyond_right)
			html(out, "M%.1f %.1fl5 4 -5 4", half + to - 5, middle - 4);
		else
			html(out, "M%.1f %.1fv8", half + to, middle - 4);
		g_string_append(out, "\"/>");
	}
	if (!isnan(at))
		html(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>", half + at, middle);
	g_string_append(out, "</svg>");
}

void svg_bar(GString *out, int64_t duration_us, int64_t usual_us, int64_t longest_us, const char *colour)
{
	double longest = (double)MAX(MAX(longest_us, usual_us), MAX(duration_us, 1));
	double width = 56;
	g_string_append(out, "<svg class=\"gauge ");
	html_text(out, colour);
	html(out, "\" viewBox=\"0 0 %.0f 8\" aria-hidden=\"true\"><path class=\"track\" d=\"M0 4H%.0f\"/>", width, width);
	html(out, "<path class=\"fill\" d=\"M0 4H%.1f\"/>", MAX((double)duration_us / longest * width, 1.5));
	if (usual_us > 0)
		html(out, "<path class=\"usual\" d=\"M%.1f 0V8\"/>", (double)usual_us / longest * (width - 1));
	g_string_append(out, "</svg>");
}

/* A round step that gives three or four lines in the range (Heckbert, "Nice numbers for graph labels", 1990). */
static double nice_step(double range)
{
	double rough = range / 3;
	double power = pow(10, floor(log10(rough)));
	double fraction = rough / power;
	return (fraction < 1.5 ? 1 : fraction < 3 ? 2 : fraction < 7 ? 5 : 10) * power;
}

static void history_table(GString *out, const char *name, const SvgPoint *points, size_t count, int decimals)
{
	html(out, "<details class=\"numbers\"><summary>The numbers</summary><table><caption class=\"hidden\">%s by version"
	          "</caption><thead><tr><th scope=\"col\">Version</th><th scope=\"col\" class=\"num\">%s</th></tr></thead><tbody>",
	        name, name);
	for (size_t i = 0; i < count; i++) {
		html(out, "<tr><th scope=\"row\">%s%s</th><td class=\"num\">", points[i].label, points[i].marked ? " (release)" : "");
		html_number(out, points[i].value, decimals, false);
		if (!isnan(points[i].low) && !isnan(points[i].high)) {
			g_string_append(out, " <span class=\"soft\">");
			html_number(out, points[i].low, decimals, false);
			g_string_append(out, " to ");
			html_number(out, points[i].high, decimals, false);
			g_string_append(out, "</span>");
		}
		g_string_append(out, "</td></tr>");
	}
	g_string_append(out, "</tbody></table></details>");
}

void svg_history(GString *out, const char *name, const SvgPoint *points, size_t count, unsigned id)
{
	double low = INFINITY, high = -INFINITY;
	for (size_t i = 0; i < count; i++) {
		low = fmin(low, fmin(points[i].value, isnan(points[i].low) ? points[i].value : points[i].low));
		high = fmax(high, fmax(points[i].value, isnan(points[i].high) ? points[i].value : points[i].high));
	}
	if (count < 2 || !isfinite(low) || !isfinite(high))
		return;
	if (high - low < 1e-9) {
		low -= 0.5;
		high += 0.5;
	}
	const double width = 560, height = 190, left = 52, right = 16, top = 14, bottom = 30;
	double step = nice_step(high - low);
	double floor_value = floor(low / step) * step, ceiling = ceil(high / step) * step;
	double per_x = (width - left - right) / (double)(count - 1);
	double per_y = (height - top - bottom) / (ceiling - floor_value);
	int decimals = html_decimals(step) > 0 ? html_decimals(step) : 0;
	html(out, "<figure class=\"plot\"><figcaption>%s</figcaption><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
	          "aria-labelledby=\"hp%u hd%u\"><title id=\"hp%u\">%s by version</title><desc id=\"hd%u\">",
	        name, width, height, id, id, id, name, id);
	html(out, "%zu versions, from ", count);
	html_number(out, points[0].value, decimals, false);
	g_string_append(out, " to ");
	html_number(out, points[count - 1].value, decimals, false);
	g_string_append(out, ". The table below has every number.</desc>");
	for (double value = floor_value; value <= ceiling + step / 2; value += step) {
		double y = height - bottom - (value - floor_value) * per_y;
		html(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"axis end\" x=\"%.1f\" y=\"%.1f\">", left, y,
		        width - right, left - 8, y + 4);
		html_number(out, value, CLAMP(decimals - 1, 0, 6), false);
		g_string_append(out, "</text>");
	}
	g_string_append(out, "<path class=\"line\" d=\"");
	for (size_t i = 0; i < count; i++)
		html(out, "%c%.1f %.1f", i ? 'L' : 'M', left + per_x * (double)i,
		        height - bottom - (points[i].value - floor_value) * per_y);
	g_string_append(out, "\"/>");
	size_t every = (count + 11) / 12;
	for (size_t i = 0; i < count; i++) {
		double x = left + per_x * (double)i, y = height - bottom - (points[i].value - floor_value) * per_y;
		if (!isnan(points[i].low) && !isnan(points[i].high))
			html(out, "<path class=\"span\" d=\"M%.1f %.1fV%.1f\"/>", x,
			        height - bottom - (points[i].low - floor_value) * per_y,
			        height - bottom - (points[i].high - floor_value) * per_y);
		html(out, "<circle class=\"dot%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/>", points[i].marked ? " release" : "", x, y,
		        points[i].marked ? "5.5" : "3.5");
		if (i % every == 0 || i + 1 == count)
			html(out, "<text class=\"axis mid\" x=\"%.1f\" y=\"%.1f\">%s</text>", x, height - 8, points[i].label);
		if (points[i].marked)
			html(out, "<text class=\"axis mid strong\" x=\"%.1f\" y=\"%.1f\">release</text>",
			        CLAMP(x, left + 20, width - right - 20), y < top + 24 ? y + 20 : y - 11);
	}
	g_string_append(out, "</svg>");
	history_table(out, name, points, count, MAX(decimals, 3));
	g_string_append(out, "</figure>");
}
