#!/bin/bash
# The job that comes next is made ready while all slots are taken. Nobody sees it: it knows what people did meanwhile, it is
# cancelled as any that waits, it runs once through kill -9, and not after a failure that ends its matrix.
. "$(dirname "$0")/lib.sh"
mkdir "$work/signal"
printf 'jobs: 1\nlog_level: debug\nsandbox:\n  mounts: [{source: %s, target: /signal}]\n' "$work/signal" >"$work/assay.yml"
agent_start --config "$work/assay.yml"
repo_new acme/next
mkdir -p "$clone/.assay/workflows"
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: {workflow_dispatch: {inputs: {name: {required: true}}}}
jobs:
  a:
    runs-on: any
    env: {S: "${{ secrets.S }}", N: "${{ inputs.name }}"}
    steps:
      - run: until [ -e "/signal/$N" ]; do sleep 0.02; done; echo "ran $N with ${#S} letters"
YML
cat >"$clone/.assay/workflows/m.yml" <<'YML'
on: workflow_dispatch
jobs:
  a:
    runs-on: any
    strategy: {matrix: {n: [bad, never]}}
    steps:
      - run: until [ -e /signal/matrix ]; do sleep 0.02; done; echo "ran ${{ matrix.n }}"; exit 1
YML
cat >"$clone/.assay/workflows/many.yml" <<'YML'
on: workflow_dispatch
jobs:
  a:
    runs-on: any
    strategy: {matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}
    steps:
      - run: echo
YML
commit workflows
git -C "$clone" push -q origin main
start() { # NAME: the id of its run
	run_of "$("$ASSAY" runs dispatch acme/next w.yml --ref main --input "name=$1" --json | jq -r .delivery)"
}
field() { run_json "$1" | jq -r ".jobs[0].$2"; }
running() { for _ in $(seq 600); do [ "$(field "$1" status)" = running ] && return 0; sleep 0.02; done; die "run $1 does not run"; }
says() { "$ASSAY" runs log "$1" | grep -c "$2" || :; }
secret() { printf %s "$1" >"$work/s"; "$ASSAY" secret set acme/next S --from-file "$work/s" >/dev/null; }

secret four
one=$(start one); running "$one"
two=$(start two)
secret sixsix
touch "$work/signal/one" "$work/signal/two"
wait_status "$one" success; wait_status "$two" success
expect "it knows a secret that was set after it was made ready" 1 "$(says "$two" 'ran two with 6 letters')"
expect "the one before it had its own" 1 "$(says "$one" 'ran one with 4 letters')"

one=$(start three); running "$one"
two=$(start four); three=$(start five)
"$ASSAY" runs cancel "$two" >/dev/null
expect "it is cancelled at once" "cancelled null" "$(field "$two" status) $(field "$two" started_at)"
touch "$work/signal/three" "$work/signal/four" "$work/signal/five"
wait_status "$one" success; wait_status "$three" success
expect "what came after it ran" 1 "$(says "$three" 'ran five')"
expect "and it did not" 0 "$(says "$two" 'ran four')"

one=$(start six); running "$one"
two=$(start seven)
agent_kill
agent_start --config "$work/assay.yml"
expect "after kill -9 it waits" queued "$(field "$two" status)"
touch "$work/signal/six"; wait_status "$one" success
running "$two"
agent_kill
touch "$work/signal/seven"
agent_start --config "$work/assay.yml"
wait_status "$two" success
expect "and runs once" 1 "$(says "$two" 'ran seven')"
expect "nothing was given up" 0 "$(run_json "$two" | jq '[.jobs[] | select(.status != "success")] | length')"

one=$(run_of "$("$ASSAY" runs dispatch acme/next m.yml --ref main --json | jq -r .delivery)")
running "$one"
touch "$work/signal/matrix"
wait_status "$one" failure
expect "a failure ends its matrix before it runs" "cancelled null" "$(run_json "$one" | jq -r '.jobs[1] | "\(.status) \(.started_at)"')"

made() { grep -c "what was made ready has its slot" "$work/log" || :; }
before=$(made)
one=$(run_of "$("$ASSAY" runs dispatch acme/next many.yml --ref main --json | jq -r .delivery)")
wait_status "$one" success
[ "$(made)" -gt "$before" ] || die "no job was ever made ready ahead of its slot"
check "of ten short jobs $(($(made) - before)) were made ready before"
expect "nothing is left in the folder of jobs" "" "$(jobs_left)"
