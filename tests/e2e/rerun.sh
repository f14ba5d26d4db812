#!/bin/bash
# A run is run again: what failed and what needs it, one job, all of it; each attempt stays readable; through kill -9.
. "$(dirname "$0")/lib.sh"
mkdir "$work/flags"
chmod 777 "$work/flags"
printf 'jobs: 4\nsandbox:\n  mounts:\n    - {source: %s, target: /flags, writable: true}\n' "$work/flags" >"$work/assay.yml"
agent_start --config "$work/assay.yml"
repo_new acme/again
mkdir -p "$clone/.assay/workflows"
job() { run_json "$1" | jq -r --arg k "$2" ".jobs[] | select(.key == \$k) | .$3"; }
old() { "$ASSAY" runs show "$1" --attempt "$2" --json; }
wait_job() { # RUN KEY STATUS
	local i
	for i in $(seq 600); do [ "$(job "$1" "$2" status)" = "$3" ] && return 0; sleep 0.1; done
	die "job $2 is $(job "$1" "$2" status) and not $3"
}
"$ASSAY" secret set acme/again WORD --from-file <(printf first-secret-word)
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: push
jobs:
  data:
    runs-on: any
    outputs: {size: "${{ steps.s.outputs.size }}"}
    steps:
      - id: s
        run: echo "size=$GITHUB_RUN_ATTEMPT" >>"$GITHUB_OUTPUT"
      - run: echo kept >kept.txt
      - run: head -c 64M /dev/urandom >large
      - uses: actions/upload-artifact@v4
        id: up
        with: {name: kept, path: "kept.txt\nlarge"}
      - run: |
          echo "address=${{ steps.up.outputs.artifact-url }}"
          sha256sum large
  slow:
    runs-on: any
    steps:
      - run: while [ ! -e /flags/slow-may-end ]; do sleep 0.1; done
  test:
    needs: data
    runs-on: any
    strategy: {fail-fast: false, matrix: {v: [1, 2]}}
    steps:
      - run: |
          echo "::debug::the size is ${{ needs.data.outputs.size }}"
          echo "attempt $GITHUB_RUN_ATTEMPT ${{ github.run_attempt }} debug=$RUNNER_DEBUG size=${{ needs.data.outputs.size }}"
          echo "actor=$GITHUB_ACTOR=${{ github.actor }} by=$GITHUB_TRIGGERING_ACTOR=${{ github.triggering_actor }}"
          [ -n "${{ secrets.WORD }}" ] && printf %s "${{ secrets.WORD }}" | rev >&2
          echo "$GITHUB_RUN_ATTEMPT" >made.txt
      - uses: actions/upload-artifact@v4
        with: {name: "made-${{ matrix.v }}", path: made.txt}
      - run: test ${{ matrix.v }} = 1 || test -e /flags/two-works
  after:
    needs: test
    runs-on: any
    environment: production
    steps:
      - run: echo "after $GITHUB_RUN_ATTEMPT"
YML
"$ASSAY" user add alice --role reviewer
"$ASSAY" env set production --repo acme/again --reviewers alice
date >"$clone/n"; commit one; run=$(run_of "$(push)")
wait_job "$run" "test (2)" failure
wait_job "$run" after skipped
first=$(job "$run" "test (2)" id)
kept=$(job "$run" "test (1)" id)

# While a sibling still runs: all of it may not, what failed may.
"$ASSAY" runs rerun "$run" 2>"$work/no" && die "all of a run that goes on was run again"
grep -q "has not ended; cancel it first" "$work/no" || die "it says why: $(cat "$work/no")"
check "all of a run that goes on is refused with the reason"
"$ASSAY" runs rerun "$run" --job slow 2>"$work/no" && die "a running job was run again"
grep -q "job 'slow' has not ended" "$work/no" || die "it says why: $(cat "$work/no")"
touch "$work/flags/two-works"
"$ASSAY" secret set acme/again WORD --from-file <(printf second-secret-word)
expect "what failed runs again while a sibling runs" "attempt 2" "$("$ASSAY" runs rerun "$run" --failed --debug)"
agent_kill
agent_start --config "$work/assay.yml"
check "kill -9 in the middle of it"
wait_job "$run" "test (2)" success
wait_job "$run" after waiting
second=$(job "$run" "test (2)" id)
[ "$first" != "$second" ] || die "the job is the same record"
expect "it is a new record" 2 "$(job "$run" "test (2)" attempt)"
expect "what succeeded is kept" "$kept" "$(job "$run" "test (1)" id)"
expect "with its outputs" yes "$("$ASSAY" runs log "$run" --job "test (2)" | grep -q 'attempt 2 2 debug=1 size=1' && echo yes)"
expect "debug is shown" yes "$("$ASSAY" runs log "$run" --job "test (2)" | grep -qF '##[debug]the size is 1' && echo yes)"
expect "with the secret of today" yes "$("$ASSAY" runs log "$run" --job "test (2)" | grep -q drow-terces-dnoces && echo yes)"
expect "the old log stays" yes "$("$ASSAY" runs log "$run" --attempt 1 --job "test (2)" | grep -q 'attempt 1 1 debug= size=1' && echo yes)"
actors() { "$ASSAY" runs log "$run" --attempt "$1" --job "test (2)" | grep -o 'actor=[^ $]*=[^ $]* by=[^ $]*=[^ $]*$' | tail -1; }
[ -n "$(actors 1)" ] || die "the log has no actor"
expect "the actor is the push's, the one who triggers it is who asked" "$(actors 1 | sed "s/by=.*/by=$(id -un)=$(id -un)/")" "$(actors 2)"
expect "of the first attempt both are one" "$(actors 1 | sed 's/ by.*//; s/actor/by/')" "$(actors 1 | sed 's/.* //')"
expect "the old job stays failed" failure "$(old "$run" 1 | jq -r '.jobs[] | select(.key == "test (2)") | .status')"
expect "and what it left out" skipped "$(old "$run" 1 | jq -r '.jobs[] | select(.key == "after") | .status')"
expect "the run goes on" waiting "$(run_json "$run" | jq -r .status | sed s/running/waiting/)"
gate=$(gate_of "$run")
as alice gate approve "$gate" --comment "good"
wait_job "$run" after success
touch "$work/flags/slow-may-end"
wait_status "$run" success
expect "the first attempt ended with its last job" failure "$(old "$run" 1 | jq -r .status)"
expect "and says why" "job 'test (2)': step 'Run test 2 = 1 || test -e /flags/two-works': it ended with exit code 1" "$(old "$run" 1 | jq -r .message)"
expect "both are listed" "1 failure null|2 success root" \
	"$(run_json "$run" | jq -r '[.attempts[] | "\(.attempt) \(.status) \(.actor)"] | join("|")' | sed "s/$(id -un)/root/")"
expect "the sibling ran once" 1 "$(job "$run" slow attempt)"

# One job with what needs it: the gate is asked anew, the old verdict does not count.
expect "one job runs again" "attempt 3" "$("$ASSAY" runs rerun "$run" --job "test (1)")"
wait_job "$run" after waiting
again=$(gate_of "$run")
[ "$again" != "$gate" ] || die "the old gate decides again"
check "a new gate waits"
expect "of two cells one is kept" "$second" "$(job "$run" "test (2)" id)"
as alice gate reject "$again" --comment "no"
wait_status "$run" failure
expect "an old approval let nothing through" gate "$(job "$run" after cause)"

# Artifacts: a newer attempt's replace by name, those of older attempts stay with them.
art() { curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x/api/v1/jobs/$1" | jq -r '.artifacts[].digest'; }
[ "$(art "$first")" != "$(art "$second")" ] || die "the artifacts of two attempts are one"
check "each attempt has its own artifact"

# People have them as zips, by the API and at the address that the step was told; the agent's memory does not grow with them.
get() { curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" -o "$work/got" -w '%{http_code}' "$@"; }
expect "an artifact can be downloaded" 200 "$(get "http://x/api/v1/runs/$run/artifacts/made-2?attempt=2")"
expect "with what the attempt made" 2 "$(unzip -p "$work/got" made.txt)"
expect "that of an older attempt too" "200 1" "$(get "http://x/api/v1/runs/$run/artifacts/made-2?attempt=1") $(unzip -p "$work/got" made.txt)"
expect "one that is not there is not found" 404 "$(get "http://x/api/v1/runs/$run/artifacts/none")"
told=$("$ASSAY" runs log "$run" --job data)
address=$(sed -n 's/.*address=//p' <<<"$told" | tail -1)
peak() { awk '/^VmHWM/ {print $2}' "/proc/$agent_pid/status"; }
before=$(peak)
expect "the step's address answers" 200 "$(get "${address/$url/http://x}")"
unzip -q -t "$work/got" >/dev/null || die "the zip is damaged"
sum=$(unzip -p "$work/got" large | sha256sum | cut -c1-64)
grep -qF "$sum" <<<"$told" || die "the large file came back as another: $sum"
check "64 MiB come back as they were"
[ $(($(peak) - before)) -lt 16384 ] || die "the agent's memory grew from $before to $(peak) KiB"
check "and never were in the agent's memory"
expect "the command line saves one" "$work/zips/made-2.zip" "$("$ASSAY" runs download "$run" made-2 --attempt 1 --dir "$work/zips")"
expect "of the attempt that was asked for" 1 "$(unzip -p "$work/zips/made-2.zip" made.txt)"
"$ASSAY" runs download "$run" --dir "$work/zips" >/dev/null
expect "and all of them" "kept.zip made-1.zip made-2.zip" "$(ls "$work/zips" | tr '\n' ' ' | sed 's/ $//')"
expect "in the newest attempt" 2 "$(unzip -p "$work/zips/made-2.zip" made.txt)"
if "$ASSAY" runs download "$run" none --dir "$work/zips" 2>"$work/err"; then die "one that is not there was saved"; fi
grep -q "404, not there" "$work/err" || die "the refusal does not say why: $(cat "$work/err")"
expect "and one that is not there leaves nothing" 3 "$(ls "$work/zips" | wc -l)"
page=$(curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x/$repo/runs/$(run_json "$run" | jq .number)")
grep -qF "/api/v1/runs/$run/artifacts/made-2?attempt=" <<<"$page" || die "the run's page has no link to its artifact"
check "the run's page links them"

# All of it, by API; then the audit knows who asked.
code() { curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" -o "$work/answer" -w '%{http_code}' -X POST -H 'Content-Type: application/json' -d "$2" "http://x/api/v1/runs/$1/rerun"; }
expect "the API runs all again" 202 "$(code "$run" '{"jobs":"all"}')"
expect "as attempt 4" 4 "$(jq .attempt "$work/answer")"
expect "a job of an older attempt is refused" 422 "$(code "$run" "{\"jobs\":[$first]}")"
expect "an unknown key is refused" 422 "$(code "$run" '{"job":1}')"
wait_job "$run" after waiting
expect "every job is new" 4 "$(run_json "$run" | jq '[.jobs[].attempt] | min')"
expect "outputs are new too" yes "$("$ASSAY" runs log "$run" --job "test (1)" | grep -q 'attempt 4 4 debug= size=4' && echo yes)"
"$ASSAY" runs cancel "$run"
wait_status "$run" cancelled
expect "who asked is audited" 3 "$(curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x/api/v1/audit" | jq '[.entries[] | select(.action == "run.rerun")] | length')"
expect "a viewer may not" 403 "$("$ASSAY" user add val --role viewer; "$ASSAY" token create val >"$work/t"; curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' -X POST -H "Authorization: Bearer $(cat "$work/t")" -H 'Content-Type: application/json' -d '{}' "$url/api/v1/runs/$run/rerun")"
expect "an attempt that is not there" 404 "$(curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" -o /dev/null -w '%{http_code}' "http://x/api/v1/runs/$run?attempt=9")"
expect "--wait waits for the end" 1 "$("$ASSAY" runs rerun "$run" --job data --wait >/dev/null 2>&1 & w=$!; wait_job "$run" after waiting; as alice gate reject "$(gate_of "$run")" --comment no >/dev/null; wait $w && echo 0 || echo 1)"

# A run's concurrency group is asked for again.
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: push
concurrency: one
jobs:
  a:
    runs-on: any
    steps:
      - run: while [ ! -e "/flags/end-$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT" ]; do sleep 0.1; done
YML
date +%N >"$clone/n"; commit two; one=$(run_of "$(push)"); touch "$work/flags/end-$one-1"; wait_status "$one" success
date +%N >"$clone/n"; commit three; two=$(run_of "$(push)"); wait_status "$two" running
"$ASSAY" runs rerun "$one" >/dev/null
expect "a re-run waits for its turn" queued "$(job "$one" a status)"
grep -q "waits for run" <<<"$(job "$one" a message)" || die "it says for what: $(job "$one" a message)"
touch "$work/flags/end-$two-1" "$work/flags/end-$one-2"
wait_status "$two" success
wait_status "$one" success
expect "and runs after it" 2 "$(job "$one" a attempt)"
