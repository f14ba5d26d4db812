#!/bin/bash
# The whole road on real data: a push, a run in sandboxes, a gate, an approval, a release; then a worse model is caught.
. "$(dirname "$0")/lib.sh"
agent_start
repo_new acme/digits
cp -r "$top/examples/digits/." "$clone"
"$ASSAY" user add alice --role reviewer
"$ASSAY" env set production --repo acme/digits --reviewers alice
commit "Read digits"
run=$(run_of "$(push)")
wait_status "$run" waiting
gate=$(gate_of "$run")
json=$("$ASSAY" gate show "$gate" --json)
expect "the gate waits for production" production "$(jq -r .environment <<<"$json")"
expect "its evidence passes the floor" pass "$(jq -r .evidence.verdict <<<"$json")"
expect "it is bound to the commit" "$(git -C "$clone" rev-parse main)" "$(jq -r .evidence.sha <<<"$json")"
[ "$(jq -r '.evidence.data | length' <<<"$json")" -ge 1 ] || die "the evidence names no data"
[ "$(jq -r .evidence.workflow_digest <<<"$json")" != null ] || die "the evidence names no workflow digest"
expect "no process runs while it waits" "" "$(jobs_left)"
as alice gate approve "$gate" --comment "first release" --evidence "$(jq -r .evidence_digest <<<"$json")" >/dev/null
wait_status "$run" success
show() { "$ASSAY" model show acme/digits/digits --json; }
release() { show | jq -r '[.versions[] | select(.aliases | index("production"))][0].version'; }
expect "digits 1 is the release" 1 "$(release)"
expect "its lineage names the commit" "$(git -C "$clone" rev-parse main)" "$(show | jq -r '.versions[-1].lineage.sha')"
expect "and the data" digits "$(show | jq -r '.versions[-1].lineage.data[0].name')"

(cd "$clone" && ./make-worse.sh >/dev/null)
worse=$(run_of "$(push)")
wait_status "$worse" waiting
gate=$(gate_of "$worse")
json=$("$ASSAY" gate show "$gate" --json)
expect "the worse model is caught" fail "$(jq -r .evidence.verdict <<<"$json")"
grep -q 'Worse than the release' <<<"$(jq -r .evidence.sentence <<<"$json")" || die "the sentence is '$(jq -r .evidence.sentence <<<"$json")'"
expect "the release beside it" 1 "$(jq -r .evidence.release.version <<<"$json")"
expect "and the commit that changed it" "Train on a twentieth of the rows: it is much faster" "$(jq -r '.evidence.changes.commits[0].title' <<<"$json")"
if as alice gate approve "$gate" --comment "looks fine" 2>"$work/err"; then die "approved without an override"; fi
grep -q override "$work/err" || die "the refusal does not say what to do: $(cat "$work/err")"
if as alice gate approve "$gate" --override 2>/dev/null; then die "an override without a comment"; fi
check "an approval against the evidence needs an override with a comment"
expect "it still waits" waiting "$("$ASSAY" gate show "$gate" --json | jq -r .status)"
expect "the release has not moved" 1 "$(release)"
as alice gate approve "$gate" --override --comment "we need the speed" >/dev/null
wait_status "$worse" success
expect "an explicit override releases" 2 "$(release)"
expect "and is called one" true "$("$ASSAY" gate show "$gate" --json | jq -r '.verdicts[0].override')"
"$ASSAY" audit list | grep >/dev/null gate.approve || die "the audit log does not know who approved"
check "the audit log knows who did what"
