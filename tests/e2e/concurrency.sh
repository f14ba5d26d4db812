#!/bin/bash
# Concurrency groups and max-parallel hold: who waits says for what, runs later, or gives way; also through kill -9.
. "$(dirname "$0")/lib.sh"
printf 'jobs: 4\n' >"$work/assay.yml"
agent_start --config "$work/assay.yml"
repo_new acme/turns
mkdir -p "$clone/.assay/workflows"
workflow() { cat >"$clone/.assay/workflows/w.yml"; }
pushed() { date +%N >"$clone/n"; commit "change $(cat "$clone/n")"; run_of "$(push)"; }
job() { run_json "$1" | jq -r --arg k "$2" ".jobs[] | select(.key == \$k) | .$3"; }
wait_job() { # RUN KEY STATUS
	local i
	for i in $(seq 300); do [ "$(job "$1" "$2" status)" = "$3" ] && return 0; sleep 0.1; done
	die "job $2 is $(job "$1" "$2" status) and not $3"
}
number() { run_json "$1" | jq -r .number; }

# A run's group: the second waits and says for what; a newer one takes its place; the newest runs.
workflow <<'YML'
on: push
concurrency: Deploy-${{ github.ref_name }}
jobs:
  a:
    runs-on: any
    steps:
      - run: sleep 10
  b:
    needs: a
    runs-on: any
    steps:
      - run: echo "run b"
YML
first=$(pushed); wait_status "$first" running
second=$(pushed); third=$(pushed)
expect "an older run that waits gives way" cancelled "$(run_json "$second" | jq -r .status)"
expect "and says to whom" "a newer run took its place in the concurrency group 'Deploy-main'" "$(job "$second" a message)"
expect "the newest waits" queued "$(run_json "$third" | jq -r .status)"
expect "and says for what" "waits for run $(number "$first"), which holds the concurrency group 'Deploy-main'" "$(job "$third" a message)"
agent_kill
agent_start --config "$work/assay.yml"
expect "it waits on after kill -9" queued "$(run_json "$third" | jq -r .status)"
wait_status "$first" success
wait_status "$third" success
check "and runs when the first has ended"
expect "its message went" null "$(job "$third" a message)"
expect "not before" true "$(jq -n --arg a "$(run_json "$first" | jq -r .finished_at)" --arg b "$(run_json "$third" | jq -r .started_at)" '$a <= $b')"

# cancel-in-progress; the group's name in other letters.
workflow <<'YML'
on: push
concurrency: {group: DEPLOY-main, cancel-in-progress: true}
jobs:
  a:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - run: if [ "$(cat n)" = long ]; then sleep 600; fi
YML
echo long >"$clone/n"; commit long; first=$(run_of "$(push)"); wait_status "$first" running
second=$(pushed)
wait_status "$first" cancelled 60
expect "a run in progress is cancelled" cancelled "$(job "$first" a cause)"
expect "and says why" "a newer run took its place in the concurrency group 'DEPLOY-main'" "$(job "$first" a message)"
wait_status "$second" success

# queue: max keeps all, in order; here of jobs, whose group waits alone.
workflow <<'YML'
on: push
jobs:
  free:
    runs-on: any
    steps:
      - run: echo free
  a:
    runs-on: any
    concurrency: {group: one, queue: max}
    steps:
      - run: sleep 6
YML
first=$(pushed); wait_job "$first" a running
second=$(pushed); third=$(pushed)
expect "a job waits for a job" "waits for job 'a' of run $(number "$first"), which holds the concurrency group 'one'" "$(job "$second" a message)"
expect "the third waits for its turn" "waits for its turn in the concurrency group 'one'" "$(job "$third" a message)"
wait_job "$third" free success
check "what has no group does not wait"
"$ASSAY" runs cancel "$first"
wait_status "$second" success
wait_status "$third" success
expect "they run one after the other" true "$(jq -n --arg a "$(job "$second" a finished_at)" --arg b "$(job "$third" a started_at)" '$a <= $b')"

# A job at a gate holds its group.
"$ASSAY" user add alice --role reviewer
"$ASSAY" env set production --repo acme/turns --reviewers alice
workflow <<'YML'
on: [push, workflow_dispatch]
jobs:
  release:
    runs-on: any
    environment: ${{ github.event_name == 'push' && 'production' || 'test' }}
    concurrency: release
    steps:
      - run: echo released
YML
first=$(pushed); wait_status "$first" waiting
gate=$(gate_of "$first")
second=$(run_of "$("$ASSAY" runs dispatch acme/turns w.yml --json | jq -r .delivery)")
expect "what waits at a gate holds its group" "waits for job 'release' of run $(number "$first"), which holds the concurrency group 'release'" \
	"$(job "$second" release message)"
as alice gate approve "$gate" >/dev/null
wait_status "$first" success
wait_status "$second" success
check "and frees it when it has run"

# A group that the run itself holds would never be free.
workflow <<'YML'
on: push
concurrency: own
jobs:
  a:
    runs-on: any
    concurrency: OWN
    steps:
      - run: echo never
YML
first=$(pushed); wait_status "$first" failure
grep -q "held by its own run" <<<"$(job "$first" a message)" || die "it says $(job "$first" a message)"
check "a group that its own run holds is refused"

# max-parallel: never two at once.
workflow <<'YML'
on: push
jobs:
  m:
    runs-on: any
    strategy: {max-parallel: 1, matrix: {n: [1, 2, 3]}}
    steps:
      - run: echo "begin $(date +%s%N)"; sleep ${{ matrix.n == 1 && 8 || 0.5 }}; echo "end $(date +%s%N)"
YML
first=$(pushed)
wait_job "$first" "m (1)" running
expect "the others say what they wait for" "waits for a job of its matrix to end (max-parallel: 1)" "$(job "$first" "m (3)" message)"
wait_status "$first" success
for n in 1 2 3; do "$ASSAY" runs log "$first" --job "m ($n)"; done | sed -n 's/^[^ ]* \(begin\|end\) \([0-9]*\)$/\2 \1/p' | sort -n | awk '{print $2}' | tr '\n' ' ' >"$work/order"
expect "never two at once" "begin end begin end begin end " "$(cat "$work/order")"
