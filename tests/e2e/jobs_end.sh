#!/bin/bash
# Every end has its cause and a sentence: exit, signal, timeout, cancel, a killed worker, an invalid file; a job leaves nothing.
. "$(dirname "$0")/lib.sh"
agent_start
repo_new acme/ends
mkdir -p "$clone/.assay/workflows"
workflow() { cat >"$clone/.assay/workflows/w.yml"; commit "$RANDOM$RANDOM"; run=$(run_of "$(push)"); }
cause() { run_json "$run" | jq -r '.jobs[0] | "\(.status) \(.cause)"'; }
message() { run_json "$run" | jq -r '.jobs[0].message // .message'; }
one() { printf 'on: push\njobs:\n  a:\n    runs-on: x\n%s\n    steps:\n      - run: |\n%s\n' "${2:-}" "$(sed 's/^/          /' <<<"$1")"; }

workflow < <(one "exit 3"); wait_status "$run" failure
expect "exit" "failure exit" "$(cause)"; check "$(message)"
workflow < <(one 'kill -SEGV $$'); wait_status "$run" failure
expect "signal" "failure signal" "$(cause)"; check "$(message)"
workflow < <(one 'echo waiting; sleep 600' '    timeout-minutes: 0.03'); wait_status "$run" failure 60
expect "timeout" "failure timeout" "$(cause)"; check "$(message)"
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: push
jobs:
  flaky:
    runs-on: x
    continue-on-error: ${{ matrix.v == 1 }}
    timeout-minutes: 0.05
    strategy: {matrix: {v: [1, 2]}}
    steps:
      - run: "if [ ${{ matrix.v }} = 1 ]; then sleep 600; fi; sleep 1"
  after:
    needs: flaky
    runs-on: x
    steps:
      - run: test ${{ needs.flaky.result }} = success
YML
commit "$RANDOM$RANDOM"; run=$(run_of "$(push)"); wait_status "$run" success 60
expect "a job's failure may be forgiven" "flaky (1) failure timeout|flaky (2) success null|after success null" \
	"$(run_json "$run" | jq -r '[.jobs[] | "\(.key) \(.status) \(.cause)"] | join("|")')"
workflow < <(one $'trap "" TERM INT\necho deaf\nwhile :; do sleep 1; done'); wait_status "$run" running
for _ in $(seq 100); do "$ASSAY" runs log "$run" 2>/dev/null | grep >/dev/null deaf && break; sleep 0.1; done
"$ASSAY" runs cancel "$run"
wait_status "$run" cancelled 60
expect "cancel always ends" "cancelled cancelled" "$(cause)"
workflow <<'END'
on: push
jobs:
  a:
    runs-on: x
    cancel-timeout-minutes: 0.03
    steps:
      - run: echo begun; sleep 600
      - if: always()
        run: echo cleaning; sleep 600
END
wait_status "$run" running
for _ in $(seq 100); do "$ASSAY" runs log "$run" 2>/dev/null | grep >/dev/null begun && break; sleep 0.1; done
"$ASSAY" runs cancel "$run"
wait_status "$run" cancelled 60
"$ASSAY" runs log "$run" | grep >/dev/null cleaning || die "no step ran after the cancellation"
check "cancel-timeout-minutes ends the steps that always run"
status=0; "$ASSAY" runs cancel "$run" 2>"$work/err" || status=$?
expect "what has ended cannot be cancelled" 3 $status

marker=600.$$ # nobody else's
workflow < <(one "echo begun
sleep $marker"); wait_status "$run" running
for _ in $(seq 100); do "$ASSAY" runs log "$run" 2>/dev/null | grep >/dev/null begun && break; sleep 0.1; done
worker=$(for events in "$data"/jobs/*/events.jsonl; do # not one that has ended and is about to be swept up
	jq -rs 'if any(.type == "end") then empty else .[] | select(.type == "begin").pid end' "$events" 2>/dev/null || :
done)
children() { ps -eo pid=,args= | grep -c "[s]leep $marker" || :; }
kill -9 "$worker"
wait_status "$run" failure 30
expect "a killed worker is the agent's cause" "failure agent" "$(cause)"; check "$(message)"
for _ in $(seq 50); do [ "$(children)" = 0 ] && break; sleep 0.1; done
expect "and none of its processes is left" 0 "$(children)"

workflow <<<$'on: push\njobs:\n  a:\n    runs-on: x\n    nonsense: 1'; wait_status "$run" failure
expect "an invalid file is a failed run" invalid "$(run_json "$run" | jq -r .cause)"; check "$(run_json "$run" | jq -r .message)"
expect "no job left its folder" "" "$(jobs_left)"

# Limits of the agent's config: each is a cause with the key that raises it.
cat >"$work/limits.yml" <<'YML'
limits: {job_file: 1 MiB, job_open_files: 64, job_cpus: 0.25, job_time: 3 s}
YML
agent_stop; agent_start --config "$work/limits.yml"
workflow < <(one 'ulimit -n; head -c 2000000 /dev/zero >big'); wait_status "$run" failure
expect "a file too large" "failure limit" "$(cause)"
[[ $(message) == *"1.0"*"MiB"*limits.job_file* ]] || die "the sentence: $(message)"
"$ASSAY" runs log "$run" | grep >/dev/null '\b64$' || die "a process may have more than 64 open files"
check "its sentence names the limit and the key; open files are limited"
workflow < <(one 'end=$((SECONDS + 2)); while [ $SECONDS -lt $end ]; do :; done'); wait_status "$run" success
job=$(run_json "$run" | jq '.jobs[0].id')
full=$("$ASSAY" doctor --json | jq -r '.checks[] | select(.name == "cgroup") | .means | test("cpu")')
step=$(curl -sS --noproxy "*" --unix-socket "$ASSAY_SOCKET" "http://x/api/v1/jobs/$job" | jq ".steps[0]")
used=$(jq .cpu_us <<<"$step")
blocks=null; [ ! -e /proc/self/io ] || blocks=number
energy=null; [ ! -r /sys/class/powercap/intel-rapl:0/energy_uj ] || energy=number
expect "a step tells what was measured, and nothing else" "number number $blocks $blocks $energy" \
	"$(jq -r '[.cpu_us, .memory_peak_bytes, .read_bytes, .write_bytes, .energy_uj | type] | join(" ")' <<<"$step")"
[ "$full" != true ] || [ "$used" -lt 1000000 ] || die "a quarter of a CPU gave $used us in two seconds"
check "CPUs are limited where the host has the controller ($full), and the step tells its $used us"
workflow < <(one 'sleep 600' '    timeout-minutes: 60'); wait_status "$run" failure 60
expect "no workflow has more time than the agent allows" "failure timeout" "$(cause)"
[[ $(run_json "$run" | jq -r '.jobs[0].message') == *limits.job_time* || $(message) == *"longer than"* ]] || die "the sentence: $(message)"

# The doors of the intake.
body='{"ref":"refs/heads/main","repository":{"full_name":"acme/ends"}}'
code() { curl -sS --noproxy '*' -o "$work/answer" -w '%{http_code}' "$@"; }
h=(-H 'Content-Type: application/json' -H 'X-GitHub-Event: push')
expect "a wrong signature" 401 "$(code "$url/webhooks/github" "${h[@]}" -H 'X-GitHub-Delivery: d1' -H 'X-Hub-Signature-256: sha256=00' -d "$body")"
cp "$work/answer" "$work/first"
expect "an unknown repo, alike" 401 "$(code "$url/webhooks/github" "${h[@]}" -H 'X-GitHub-Delivery: d1' -H "X-Hub-Signature-256: sha256=$(sign '{"repository":{"full_name":"no/such"}}')" -d '{"repository":{"full_name":"no/such"}}')"
cmp -s "$work/first" "$work/answer" || { jq -S 'del(.instance)' "$work/first" >"$work/a"; jq -S 'del(.instance)' "$work/answer" >"$work/b"; cmp "$work/a" "$work/b" || die "the two 401 differ"; }
check "the two answers cannot be told apart"
head -c 27000000 /dev/zero >"$work/big"
expect "too large" 413 "$(code "$url/webhooks/github" "${h[@]}" -H 'Expect:' -H 'X-GitHub-Delivery: d1' -H 'X-Hub-Signature-256: sha256=00' --data-binary "@$work/big" 2>/dev/null || :)"
ping='{"zen":"x","repository":{"full_name":"acme/ends"}}'
expect "first time" 202 "$(post_github same ping "$ping")"
expect "again" 200 "$(post_github same ping "$ping")"
