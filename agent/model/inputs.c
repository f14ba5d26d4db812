/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds are those of the language: string, boolean, number, choice, environment. An unknown name is an error. */
#include "agent/model/inputs.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/model/expr.h"

static json_t *default_of(const json_t *input, const char *type)
{
	json_t *value = json_object_get(input, "default");
	if (value && !json_is_null(value))
		return json_incref(value);
	if (strcmp(type, "boolean") == 0)
		return json_false();
	return strcmp(type, "number") == 0 ? json_null() : json_string("");
}

static bool is_option(const json_t *input, const char *text)
{
	size_t i = 0;
	json_t *option = NULL;
	json_array_foreach(json_object_get(input, "options"), i, option) {
		g_autofree char *one = expr_to_string(option);
		if (strcmp(one, text) == 0)
			return true;
	}
	return false;
}

static char *options_text(const json_t *input)
{
	GString *text = g_string_new(NULL);
	size_t i;
	json_t *option;
	json_array_foreach(json_object_get(input, "options"), i, option) {
		g_autofree char *one = expr_to_string(option);
		g_string_append_printf(text, "%s%s", i ? ", " : "", one);
	}
	return g_string_free(text, FALSE);
}

/** A value in the kind that its input declares. */
static json_t *typed(const char *name, const json_t *input, const char *type, const json_t *value, GError **error)
{
	g_autofree char *text = expr_to_string(value);
	if (strcmp(type, "boolean") == 0) {
		if (json_is_boolean(value) || strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
			return json_boolean(strcmp(text, "true") == 0);
		fail(error, ASSAY_ERROR_USER, "input '%s' is true or false, not '%s'", name, text);
		return NULL;
	}
	if (strcmp(type, "number") == 0) {
		double number = expr_to_number(value);
		if (json_is_null(value) || json_is_number(value))
			return json_incref((json_t *)value);
		if (number == number && *text)
			return number == (double)(json_int_t)number ? json_integer((json_int_t)number) : json_real(number);
		fail(error, ASSAY_ERROR_USER, "input '%s' is a number, not '%s'", name, text);
		return NULL;
	}
	if (strcmp(type, "choice") == 0 && *text && !is_option(input, text)) {
		g_autofree char *options = options_text(input);
		fail(error, ASSAY_ERROR_USER, "input '%s' cannot be '%s'; it is one of %s", name, text, options);
		return NULL;
	}
	return json_string(text);
}

static bool add_input(json_t *out, const char *name, const json_t *input, const json_t *given, GError **error)
{
	const char *type = json_get_string(input, "type", "string");
	const json_t *value = json_object_get(given, name);
	bool has_default = json_object_get(input, "default") != NULL;
	if (!value && !has_default && json_get_bool(input, "required", false))
		return fail(error, ASSAY_ERROR_USER, "input '%s' is required, but not given", name);
	g_autoptr(json_t) chosen = value ? json_incref((json_t *)value) : default_of(input, type);
	json_t *kept = typed(name, input, type, chosen, error);
	if (kept)
		json_object_set_new(out, name, kept);
	return kept != NULL;
}

json_t *inputs_complete(const json_t *declared, const json_t *given, const char *what, GError **error)
{
	g_autoptr(json_t) out = json_object();
	const char *name = NULL;
	json_t *input = NULL;
	json_object_foreach((json_t *)(uintptr_t)given, name, input)
		if (!json_object_get(declared, name)) {
			fail(error, ASSAY_ERROR_USER, "'%s' is not an input of workflow '%s'", name, what);
			return NULL;
		}
	json_object_foreach((json_t *)(uintptr_t)declared, name, input)
		if (!add_input(out, name, input, given, error))
			return NULL;
	return g_steal_pointer(&out);
}
