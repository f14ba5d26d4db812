#!/bin/bash
# A gate holds: against rejection, expiry, self-approval, strangers, a newer push, other evidence, and `if: always()`.
. "$(dirname "$0")/lib.sh"
agent_start
repo_new acme/gate
mkdir -p "$clone/.assay/workflows"
cat >"$clone/.assay/workflows/deploy.yml" <<'YML'
on: push
jobs:
  build:
    runs-on: any
    steps:
      - run: echo built
  release:
    needs: build
    runs-on: any
    environment: production
    steps:
      - run: echo RELEASED
  after:
    needs: release
    if: always()
    runs-on: any
    environment: production
    steps:
      - run: echo AFTER
  report:
    needs: release
    if: always()
    runs-on: any
    steps:
      - run: echo the release was ${{ needs.release.result }}
YML
"$ASSAY" user add alice --role reviewer
"$ASSAY" user add carol --role reviewer
"$ASSAY" user add bob --role admin
"$ASSAY" env set production --repo acme/gate --reviewers alice,bob
job() { run_json "$1" | jq -r --arg k "$2" ".jobs[] | select(.key == \$k) | .$3"; }

held() { # pushes something new; the run's id once its gate waits
	date +%N >"$clone/n"; commit "change $(cat "$clone/n")"
	local run; run=$(run_of "$(push "${1:-dave}")")
	wait_status "$run" waiting
	echo "$run"
}
wait_job() { # RUN KEY STATUS
	local i
	for i in $(seq 300); do [ "$(job "$1" "$2" status)" = "$3" ] && return 0; sleep 0.1; done
	die "job $2 is $(job "$1" "$2" status) and not $3"
}

run=$(held); gate=$(gate_of "$run")
as alice gate reject "$gate" --comment "not today" >/dev/null
wait_job "$run" release failure
expect "a rejected job fails by its gate" gate "$(job "$run" release cause)"
wait_job "$run" report success
wait_job "$run" after waiting
expect "always() does not jump the gate: it waits at its own" waiting "$(job "$run" after status)"
if "$ASSAY" runs log "$run" | grep -Eq 'RELEASED|AFTER'; then die "a step behind the gate ran"; fi
check "nothing behind the gate ran"
as alice gate reject "$(job "$run" after gate)" >/dev/null
wait_status "$run" failure
if as alice gate approve "$gate" 2>"$work/err"; then die "a rejected gate was approved"; fi
check "a decided gate stays decided: $(cat "$work/err")"

run=$(held bob); gate=$(gate_of "$run")
if as bob gate approve "$gate" 2>"$work/err"; then die "the author approved"; fi
check "the author may not approve: $(cat "$work/err")"
if as carol gate approve "$gate" 2>"$work/err"; then die "a reviewer of nothing approved"; fi
check "only the environment's reviewers may: $(cat "$work/err")"
if as alice gate approve "$gate" --evidence 0000000000000000000000000000000000000000000000000000000000000000 2>"$work/err"; then die "other evidence was approved"; fi
check "a verdict on other evidence is refused: $(cat "$work/err")"

newer=$(held); expect "a newer push voids the older gate" expired "$("$ASSAY" gate show "$gate" --json | jq -r .status)"
if as alice gate approve "$gate" 2>"$work/err"; then die "a stale gate was approved"; fi
check "and it cannot be approved any more: $(cat "$work/err")"
wait_job "$run" release failure
grep -q 'newer push' <<<"$(job "$run" release message)" || die "the job does not say why: $(job "$run" release message)"

gate=$(gate_of "$newer")
agent_kill
agent_start
expect "a gate outlives kill -9" waiting "$("$ASSAY" gate show "$gate" --json | jq -r .status)"
as alice gate approve "$gate" --comment yes >/dev/null
wait_job "$newer" release success
"$ASSAY" runs log "$newer" | grep >/dev/null RELEASED || die "the approved job did not run"
check "an approved job runs"

"$ASSAY" env set production --repo acme/gate --reviewers alice --expires 2
run=$(held); gate=$(gate_of "$run")
wait_job "$run" release failure
expect "an undecided gate expires" expired "$("$ASSAY" gate show "$gate" --json | jq -r .status)"
expect "and its job fails by it" gate "$(job "$run" release cause)"

"$ASSAY" env set production --repo acme/gate --reviewers alice,carol --approvals 2
run=$(held); gate=$(gate_of "$run")
as alice gate approve "$gate" >/dev/null
as alice gate approve "$gate" >/dev/null
expect "one person is one approval" waiting "$("$ASSAY" gate show "$gate" --json | jq -r .status)"
as carol gate approve "$gate" >/dev/null
expect "two people are two" approved "$("$ASSAY" gate show "$gate" --json | jq -r .status)"

"$ASSAY" env set production --repo acme/gate --reviewers alice --branches 'release/*'
date +%N >"$clone/n"; commit "change $(cat "$clone/n")"
run=$(run_of "$(push)")
wait_job "$run" release failure
expect "a branch that may not is refused" gate "$(job "$run" release cause)"
