#!/bin/bash
# Workflows by the clock and by hand: schedules of the default branch, also missed ones; typed inputs by form, API and command
# line; events of one's own.
. "$(dirname "$0")/lib.sh"
agent_start
repo_new acme/clock
mkdir -p "$clone/.assay/workflows"
api() { curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x$1"; }
known() { api "/api/v1/repos/acme/clock/workflows"; }
wait_known() { # JQ-TEST: until the agent knows that of the workflows
	local i
	for i in $(seq 300); do [ "$(known | jq "$1")" = true ] && return 0; sleep 0.1; done
	known | jq . >&2
	die "the agent does not know: $1"
}
runs() { "$ASSAY" runs list --repo acme/clock --json | jq -r "$1"; }
wait_runs() { # JQ-FILTER COUNT
	local i
	for i in $(seq 300); do [ "$(runs "[.runs[] | select($1)] | length")" = "$2" ] && return 0; sleep 0.1; done
	runs . >&2
	die "there are not $2 runs with $1"
}
cat >"$clone/.assay/workflows/nightly.yml" <<'YML'
name: nightly
on:
  schedule:
    - cron: '30 3 * * MON-FRI'
    - {cron: '0 6 1 * *', timezone: Europe/Berlin}
jobs:
  night:
    runs-on: any
    steps:
      - run: echo "it is ${{ github.event.schedule }} on ${{ github.ref }} by ${{ github.event_name }}"
YML
cat >"$clone/.assay/workflows/hand.yml" <<'YML'
name: by hand
on:
  repository_dispatch: {types: [retrain]}
  workflow_dispatch:
    inputs:
      model: {description: 'Which <model>', type: choice, options: [small, large], default: small, required: true}
      rows: {type: number, default: 10}
      dry: {type: boolean, default: true}
      where: {type: environment}
      note: {required: true}
jobs:
  go:
    runs-on: any
    steps:
      - run: echo 'got ${{ toJSON(inputs) }} and ${{ toJSON(github.event.client_payload) }}' | tr -d '\n '
YML
commit one; push >/dev/null
wait_known '(.workflows | length) == 2'
expect "the default branch is known" refs/heads/main "$(known | jq -r .ref)"
expect "a schedule has its next time" 03:30:00 "$(known | jq -r '.workflows[] | select(.name == "nightly").schedule[] | select(.timezone == null).next_at' | sed 's/.*T//; s/\..*//')"
expect "another in its own zone" yes "$(known | jq -r '.workflows[] | select(.name == "nightly").schedule[] | select(.timezone == "Europe/Berlin").next_at' | grep -qE -- '-01T0[45]:00:00' && echo yes)"
expect "the command line lists both" 2 "$("$ASSAY" runs schedule --json | jq '.schedules | length')"
expect "inputs come in the file's order" "model rows dry where note" "$(known | jq -r '[.workflows[] | select(.name == "by hand").inputs[].name] | join(" ")')"
expect "nothing ran yet" 0 "$(runs '.runs | length')"

# Due while the agent was away: once, and it says so.
db() { sqlite3 "$data/assay.db" "$1"; }
agent_stop
db "UPDATE schedules SET next_at = (strftime('%s','now') - 3 * 86400) * 1000000 WHERE cron LIKE '30 3%'"
agent_start
wait_runs '.event == "schedule"' 1
run=$(runs '.runs[0].id')
wait_status "$run" success
expect "it knows its cron" yes "$("$ASSAY" runs log "$run" | grep -q 'it is 30 3 \* \* MON-FRI on refs/heads/main by schedule' && echo yes)"
expect "it says that it is late" yes "$(run_json "$run" | jq -r .title | grep -q '^nightly, due .*, late: the agent was not running then$' && echo yes)"
expect "its next time is to come" true "$(known | jq '.workflows[] | select(.name == "nightly").schedule[] | select(.timezone == null) | (.next_at > .last_at) and .last_at != null')"

# Due while the agent waits: its timer wakes it.
agent_stop
db "UPDATE schedules SET next_at = (strftime('%s','now') + 3) * 1000000 WHERE cron LIKE '30 3%'"
agent_start
expect "not before its time" 1 "$(runs '[.runs[] | select(.event == "schedule")] | length')"
wait_runs '.event == "schedule"' 2
wait_status "$(runs '.runs[0].id')" success
expect "in time" yes "$(runs '.runs[0].title' | grep -qE '^nightly, due [0-9: -]+ UTC$' && echo yes)"
agent_kill; agent_start
sleep 1
expect "kill -9 repeats nothing" 2 "$(runs '[.runs[] | select(.event == "schedule")] | length')"

# A push moves it; a workflow that is gone stops.
sed -i "s/30 3 \* \* MON-FRI/15 4 * * */; /Berlin/d" "$clone/.assay/workflows/nightly.yml"
commit two; push >/dev/null
wait_known '[.workflows[].schedule[].cron] == ["15 4 * * *"]'
check "a push changes the schedule"
git -C "$clone" checkout -q -b other; sed -i 's/15 4/16 4/' "$clone/.assay/workflows/nightly.yml"; commit other
git -C "$clone" push -q origin other; sha=$(git -C "$clone" rev-parse other)
body=$(jq -cn --arg a "$sha" '{ref:"refs/heads/other",before:"0000000000000000000000000000000000000000",after:$a,deleted:false,repository:{full_name:"acme/clock",name:"clock",default_branch:"main"},pusher:{name:"bob"},sender:{login:"bob"},head_commit:{id:$a,message:"x",author:{name:"bob"}},commits:[]}')
[ "$(post_github other-1 push "$body")" = 202 ] || die "the push of another branch"
for _ in $(seq 100); do [ "$(api '/api/v1/deliveries?repo=acme/clock' | jq -r '.deliveries[0].outcome')" = ignored ] && break; sleep 0.1; done
expect "another branch changes nothing" "15 4 * * *" "$(known | jq -r '[.workflows[].schedule[].cron] | join(",")')"
git -C "$clone" checkout -q main; git -C "$clone" rm -q .assay/workflows/nightly.yml; commit three; push >/dev/null
wait_known '[.workflows[].schedule[]] == []'
check "a workflow that is gone is not scheduled"

# By hand: the same words everywhere.
refused() { "$ASSAY" runs dispatch acme/clock hand.yml "$@" 2>&1 >/dev/null || :; }
expect "required" "assay: input 'note' is required, but not given" "$(refused)"
expect "unknown" "assay: 'x' is not an input of workflow '.assay/workflows/hand.yml'" "$(refused --input note=a --input x=1)"
expect "a choice" "assay: input 'model' cannot be 'huge'; it is one of small, large" "$(refused --input note=a --input model=huge)"
expect "a number" "assay: input 'rows' is a number, not 'many'" "$(refused --input note=a --input rows=many)"
expect "a boolean" "assay: input 'dry' is true or false, not 'perhaps'" "$(refused --input note=a --input dry=perhaps)"
expect "none of it ran" 0 "$(runs '[.runs[] | select(.event == "workflow_dispatch")] | length')"
"$ASSAY" runs dispatch acme/clock hand.yml --input note=a --input model=large --input rows=7 --wait >/dev/null 2>&1 || die "the dispatch failed"
expect "typed inputs" yes "$("$ASSAY" runs log "$(runs '.runs[0].id')" | grep -qF '{"dry":true,"model":"large","note":"a","rows":7,"where":""}' && echo yes)"
post() { curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" -o "$work/answer" -w '%{http_code}' -X POST "$@"; }
expect "the API says the same" "422 input 'note' is required, but not given" \
	"$(post -H 'Content-Type: application/json' -d '{"workflow":"hand.yml"}' http://x/api/v1/repos/acme/clock/dispatches) $(jq -r .detail "$work/answer")"

# The form, as a browser without JavaScript sends it.
printf 'a long password' >"$work/password"
"$ASSAY" user add dora --role developer --password-file "$work/password"
web() { curl -sS --noproxy '*' -b "$work/jar" -c "$work/jar" "$@"; }
web -o /dev/null --data-urlencode name=dora --data-urlencode "password=a long password" "$url/sign-in"
web "$url/acme/clock/workflows" >"$work/page"
expect "a select for the choice" yes "$(grep -q '<select name="input.model" required><option selected>small</option><option>large</option></select>' "$work/page" && echo yes)"
expect "its description, escaped" yes "$(grep -q 'Which &lt;model&gt; \*' "$work/page" && echo yes)"
expect "a box for the boolean" yes "$(grep -q '<input type="checkbox" name="input.dry" value="true" checked>' "$work/page" && echo yes)"
expect "a field for the number" yes "$(grep -q '<input name="input.rows" value="10" type="number" step="any"' "$work/page" && echo yes)"
csrf=$(grep -o 'name="csrf" value="[^"]*"' "$work/page" | head -1 | sed 's/.*value="//; s/"//')
form() { web -o "$work/answer" -w '%{http_code}' --data-urlencode "workflow=.assay/workflows/hand.yml" --data-urlencode ref=main "$@" "$url/acme/clock/workflows"; }
expect "without its token it is refused" 403 "$(form -d input.note=b)"
expect "what is missing is said on the page" "422 yes" "$(form -d "csrf=$csrf" -d input.model=large) $(grep -q 'input &#39;note&#39; is required, but not given' "$work/answer" && grep -q '<option selected>large</option>' "$work/answer" && echo yes)"
expect "a good one starts a run" 303 "$(form -d "csrf=$csrf" -d input.note=from-the-form -d input.model=large -d input.rows=2.5)"
wait_runs '.event == "workflow_dispatch"' 2
wait_status "$(runs '.runs[0].id')" success
expect "with what was ticked and what was not" yes "$("$ASSAY" runs log "$(runs '.runs[0].id')" | grep -qF '{"dry":false,"model":"large","note":"from-the-form","rows":2.5,"where":""}' && echo yes)"
expect "by whom" dora "$(runs '.runs[0].actor')"

# An event of one's own.
expect "repository_dispatch" 202 "$(post -H 'Content-Type: application/json' -d '{"event_type":"retrain","client_payload":{"day":3}}' http://x/api/v1/repos/acme/clock/dispatches)"
wait_runs '.event == "repository_dispatch"' 1
wait_status "$(runs '.runs[0].id')" success
expect "with its payload" yes "$("$ASSAY" runs log "$(runs '.runs[0].id')" | grep -qF '{"day":3}' && echo yes)"
