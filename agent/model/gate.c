/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What opens a gate. Called by the daemon's gatekeeper and by the page that shows who may decide, so that both
 * always say the same.
 */
#include "agent/model/gate.h"

#include <fnmatch.h>
#include <string.h>

#include "agent/base/json.h"

bool gate_is_held(const json_t *rules)
{
	return json_array_size(json_object_get(rules, "reviewers")) > 0;
}

static const char *short_ref(const char *ref)
{
	static const char *const prefixes[] = {"refs/heads/", "refs/tags/", "refs/"};
	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (g_str_has_prefix(ref, prefixes[i]))
			return ref + strlen(prefixes[i]);
	return ref;
}

bool gate_branch_allowed(const json_t *rules, const char *ref)
{
	const json_t *branches = json_object_get(rules, "branches");
	if (json_array_size(branches) == 0)
		return true;
	size_t i;
	json_t *pattern;
	json_array_foreach(branches, i, pattern) {
		const char *text = json_string_value(pattern);
		if (text && ref && fnmatch(text, short_ref(ref), 0) == 0)
			return true;
	}
	return false;
}

GateState gate_decide(const json_t *rules, const json_t *verdicts, const char *evidence_digest)
{
	int64_t needed = MAX(json_get_int(rules, "approvals", 1), 1);
	int64_t given = 0;
	size_t i;
	json_t *verdict;
	json_array_foreach(verdicts, i, verdict) {
		if (g_strcmp0(json_get_string(verdict, "evidence_digest", NULL), evidence_digest) != 0)
			continue;
		if (g_strcmp0(json_get_string(verdict, "verdict", NULL), "reject") == 0)
			return GATE_REJECTED;
		given++;
	}
	return given >= needed ? GATE_APPROVED : GATE_WAITING;
}

bool gate_may_decide(const json_t *rules, const char *user, const char *author, const char **out_why)
{
	bool listed = false;
	size_t i;
	json_t *reviewer;
	json_array_foreach(json_object_get(rules, "reviewers"), i, reviewer)
		listed = listed || g_strcmp0(json_string_value(reviewer), user) == 0;
	if (!listed) {
		*out_why = "only this environment's reviewers may decide";
		return false;
	}
	if (!json_get_bool(rules, "self_review", false) && author && g_ascii_strcasecmp(author, user) == 0) {
		*out_why = "who caused the run may not approve it";
		return false;
	}
	return true;
}

bool gate_needs_override(const char *evidence_verdict)
{
	return g_strcmp0(evidence_verdict, "fail") == 0 || g_strcmp0(evidence_verdict, "inconclusive") == 0;
}
