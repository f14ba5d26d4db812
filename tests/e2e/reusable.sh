#!/bin/bash
# Reusable workflows: inputs, secrets, outputs, nesting, a matrix of calls, a gate inside, cancel, what is refused and where.
. "$(dirname "$0")/lib.sh"
mkdir -p "$work/elsewhere/far"
printf 'jobs: 4\nactions:\n  sources: ["file://%s/elsewhere/{repo}.git"]\n' "$work" >"$work/assay.yml"
agent_start --config "$work/assay.yml"
repo_new acme/calls
flows=$clone/.github/workflows
mkdir -p "$flows"
pushed() { date +%N >"$clone/n"; commit "change $(cat "$clone/n")"; run_of "$(push)"; }
job() { run_json "$1" | jq -r --arg k "$2" ".jobs[] | select(.key == \$k) | .$3"; }
log_of() { "$ASSAY" runs log "$1" --job "$2"; }
printf 'first-secret' >"$work/s"; "$ASSAY" secret set acme/calls FIRST --from-file "$work/s"
printf 'other-secret' >"$work/s"; "$ASSAY" secret set acme/calls OTHER --from-file "$work/s"
printf 'vault-of-production' >"$work/s"

# A nested call, and a matrix of calls with values of an earlier job.
cat >"$flows/top.yml" <<'YML'
name: top
on: push
env: {TOP: top}
jobs:
  data:
    runs-on: any
    outputs: {places: "${{ steps.p.outputs.places }}"}
    steps:
      - id: p
        run: echo 'places=["eu","us"]' >>"$GITHUB_OUTPUT"
  deploy:
    needs: data
    strategy:
      matrix: {place: "${{ fromJSON(needs.data.outputs.places) }}"}
    uses: ./.github/workflows/deploy.yml
    with: {place: "${{ matrix.place }}", count: 3}
    secrets: {key: "${{ secrets.FIRST }}"}
  after:
    needs: deploy
    runs-on: any
    steps:
      - run: echo "deployed to ${{ needs.deploy.outputs.url }}, ${{ needs.deploy.result }}"
YML
cat >"$flows/deploy.yml" <<'YML'
name: deploy
on:
  workflow_call:
    inputs:
      place: {type: string, required: true}
      count: {type: number, default: 1}
      dry: {type: boolean}
    secrets: {key: {required: true}, spare: }
    outputs:
      url: {value: "${{ jobs.put.outputs.url }}?dry=${{ inputs.dry }}"}
jobs:
  check:
    uses: ./.github/workflows/check.yml
    secrets: inherit
  put:
    needs: check
    runs-on: any
    outputs: {url: "${{ steps.u.outputs.url }}"}
    steps:
      - run: echo "top is [$TOP], github.workflow is ${{ github.workflow }}, this is ${{ job.workflow_file_path }} and ${{ github.job }}"
      - run: test "${{ secrets.key }}" = first-secret && test -z "${{ secrets.OTHER }}" && test -z "${{ secrets.FIRST }}" && echo "only what was handed on"
      - id: u
        run: echo "url=https://${{ inputs.place }}/${{ inputs.count }}/${{ needs.check.outputs.said }}" >>"$GITHUB_OUTPUT"
YML
cat >"$flows/check.yml" <<'YML'
on:
  workflow_call:
    outputs: {said: {value: "${{ jobs.look.outputs.said }}"}}
jobs:
  look:
    runs-on: any
    outputs: {said: "${{ steps.s.outputs.said }}"}
    steps:
      - id: s
        run: echo "said=$(test "${{ secrets.KEY }}" = first-secret && test -z "${{ secrets.OTHER }}" && echo yes)" >>"$GITHUB_OUTPUT"
YML
run=$(pushed); wait_status "$run" success
expect "jobs are named by their callers" "after|data|deploy (eu)|deploy (eu) / check|deploy (eu) / check / look|deploy (eu) / put|deploy (us)|deploy (us) / check|deploy (us) / check / look|deploy (us) / put" \
	"$(run_json "$run" | jq -r '[.jobs[].name] | sort | join("|")')"
expect "called jobs name their caller" "deploy (eu) / check" "$(job "$run" "deploy (eu) / check / look" caller)"
log_of "$run" after | grep -Eq 'deployed to https://(eu|us)/3/yes\?dry=false, success' || die "the outputs did not come back"
check "outputs come back through two calls"
log_of "$run" "deploy (us) / put" >"$work/put"
grep -q 'top is \[\], github.workflow is top, this is .github/workflows/deploy.yml and put' "$work/put" || die "contexts of a called job: $(cat "$work/put")"
check "env is not passed on, the github context is"
grep -q 'only what was handed on' "$work/put" || die "secrets of a called job"
check "secrets reach called jobs only as handed on"

expect "the log of a call is that of its jobs" "== deploy (us) / check / look ==|== deploy (us) / put ==" "$(log_of "$run" "deploy (us)" | grep '^== ' | paste -sd '|')"
expect "runs show lists them below it" "deploy (us) / check / look" "$("$ASSAY" runs show "$run" | grep -A2 'deploy (us)  ' | tail -1 | sed 's/^[0-9]* *//; s/  .*//')"

# What is refused, and where.
cat >"$flows/top.yml" <<'YML'
on: push
jobs:
  c:
    uses: ./.github/workflows/ring.yml
YML
cat >"$flows/ring.yml" <<'YML'
on: workflow_call
jobs:
  d: {uses: ./.github/workflows/back.yml}
YML
cat >"$flows/back.yml" <<'YML'
on: workflow_call
jobs:
  e: {uses: ./.github/workflows/ring.yml}
YML
run=$(pushed)
expect "a circle is refused with its chain" ".github/workflows/top.yml:4:11: in the called workflow .github/workflows/back.yml:3:13: The workflow calls itself: .github/workflows/ring.yml → .github/workflows/back.yml → .github/workflows/ring.yml" \
	"$(run_json "$run" | jq -r .message)"
rm "$flows/ring.yml" "$flows/back.yml"
printf 'on: push\njobs:\n  c:\n    uses: ./.github/workflows/deploy.yml\n    with: {place: x, count: many}\n    secrets: inherit\n' >"$flows/top.yml"
run=$(pushed)
expect "a value of another type is refused" ".github/workflows/top.yml:5:29: Unexpected value 'many': the input 'count' is a number" "$(run_json "$run" | jq -r .message)"
out=$(cd "$clone" && "$ASSAY" validate --format json .github/workflows/top.yml) && die "validate let it pass"
expect "and by assay validate" 29 "$(jq '.errors[0].column' <<<"$out")"

# Workflows of other repos: one that the agent knows, from its mirror, and one that it does not, from actions.sources.
mkdir -p "$work/lib/.github/workflows"
cat >"$work/lib/.github/workflows/lib.yml" <<'YML'
on: {workflow_call: {inputs: {who: {type: string}}, outputs: {said: {value: "${{ jobs.inner.outputs.said }}"}}}}
jobs:
  inner:
    uses: ./.github/workflows/inner.yml
    with: {who: "${{ inputs.who }}"}
YML
cat >"$work/lib/.github/workflows/inner.yml" <<'YML'
on: {workflow_call: {inputs: {who: {type: string}}, outputs: {said: {value: "${{ jobs.say.outputs.said }}"}}}}
jobs:
  say:
    runs-on: any
    outputs: {said: "${{ steps.s.outputs.said }}"}
    steps:
      - id: s
        run: echo "said=${{ inputs.who }} in ${{ github.repository }} by ${{ job.workflow_repository }} at ${{ job.workflow_sha == github.job_workflow_sha }}" >>"$GITHUB_OUTPUT"
YML
mine=$clone mine_bare=$bare mine_secret=$(cat "$work/webhook-secret")
repo_new acme/shared
cp -r "$work/lib/.github" "$clone/"; commit lib; git -C "$clone" tag v1
sed -i 's/said=/said=newer /' "$clone/.github/workflows/inner.yml"; commit newer; git -C "$clone" push -q origin main v1
git clone -q --bare "$bare" "$work/elsewhere/far/shared.git"
repo=acme/calls clone=$mine bare=$mine_bare; printf '%s\n' "$mine_secret" >"$work/webhook-secret"
cat >"$flows/top.yml" <<'YML'
on: push
jobs:
  known:
    uses: acme/shared/.github/workflows/lib.yml@v1
    with: {who: one}
  far:
    uses: far/shared/.github/workflows/lib.yml@main
    with: {who: two}
  told:
    needs: [known, far]
    runs-on: any
    steps: [{run: 'echo "${{ needs.known.outputs.said }}; ${{ needs.far.outputs.said }}"'}]
YML
run=$(pushed); wait_status "$run" success
log_of "$run" told | grep -q 'one in acme/calls by acme/shared at true; newer two in acme/calls by far/shared at true' || die "other repos: $(log_of "$run" told)"
check "workflows of other repos, at their refs, with what they call beside them"
expect "a job says of which file and commit it is" "acme/shared .github/workflows/inner.yml $(git -C "$work/acme-shared" rev-parse v1)" \
	"$(curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x/api/v1/jobs/$(job "$run" 'known / inner / say' id)" | jq -r '.workflow_file | "\(.repository) \(.path) \(.sha)"')"
sed -i 's/lib.yml@main/none.yml@main/' "$flows/top.yml"
run=$(pushed)
expect "a file that is not there is refused" ".github/workflows/top.yml:7:11: The called workflow 'far/shared/.github/workflows/none.yml@main' cannot be read" "$(run_json "$run" | jq -r .message | cut -d: -f1-4)"

# Failure, if, continue-on-error, fail-fast across calls; the whole chain of needs.
cat >"$flows/top.yml" <<'YML'
on: push
jobs:
  bad:
    uses: ./.github/workflows/mixed.yml
    with: {word: no}
  forgiven:
    uses: ./.github/workflows/mixed.yml
    with: {word: maybe}
  off:
    if: github.ref == 'refs/heads/other'
    uses: ./.github/workflows/mixed.yml
    with: {word: no}
  between:
    needs: bad
    runs-on: any
    steps: [{run: echo never}]
  rescue:
    needs: between
    if: failure()
    runs-on: any
    steps: [{run: 'echo "after ${{ needs.between.result }}"'}]
  late:
    needs: off
    if: always()
    runs-on: any
    steps: [{run: 'echo "off was ${{ needs.off.result }}"'}]
  later:
    needs: late
    runs-on: any
    steps: [{run: echo never}]
YML
cat >"$flows/mixed.yml" <<'YML'
on: {workflow_call: {inputs: {word: {type: string}}}}
jobs:
  one:
    continue-on-error: ${{ inputs.word == 'maybe' }}
    runs-on: any
    steps: [{run: exit 3}]
  two:
    needs: one
    runs-on: any
    steps: [{run: echo two}]
  always:
    needs: one
    if: always()
    runs-on: any
    steps: [{run: echo always}]
YML
run=$(pushed); wait_status "$run" failure; mixed=$run
states=$(run_json "$run" | jq -r '[.jobs[] | "\(.key)=\(.status)"] | sort | join(" ")')
expect "results cross the call" "bad / always=success bad / one=failure bad / two=skipped bad=failure between=skipped forgiven / always=success forgiven / one=failure forgiven / two=success forgiven=success late=success later=skipped off=skipped rescue=success" "$states"
expect "the run names the job that failed" "job 'bad / one'" "$(run_json "$run" | jq -r .message | cut -d: -f1)"
expect "and the call its job" "its job 'bad / one' failed" "$(job "$run" bad message)"

# Turns: a matrix of calls goes one after the other (max-parallel), stops at the first failure, and a called file's own
# concurrency group is asked for; one that its caller holds already is an error, not a wait for ever.
cat >"$flows/top.yml" <<'YML'
on: push
jobs:
  m:
    strategy: {max-parallel: 1, matrix: {n: [1, 2, 3]}}
    uses: ./.github/workflows/turn.yml
    with: {n: "${{ matrix.n }}", group: "x-${{ matrix.n }}"}
  dead:
    concurrency: same
    uses: ./.github/workflows/turn.yml
    with: {n: 4, group: other, inner: SAME}
  one:
    uses: ./.github/workflows/turn.yml
    with: {n: 5, group: pair}
  two:
    uses: ./.github/workflows/turn.yml
    with: {n: 6, group: Pair}
YML
cat >"$flows/turn.yml" <<'YML'
on: {workflow_call: {inputs: {n: {type: number}, group: {type: string}, inner: {type: string}}}}
concurrency: {group: "${{ inputs.group }}", queue: max}
jobs:
  a:
    concurrency: ${{ inputs.inner || format('in-{0}', inputs.n) }}
    runs-on: any
    steps: [{run: "sleep 0.3; test ${{ inputs.n }} != 2"}]
  b:
    needs: a
    runs-on: any
    steps: [{run: sleep 0.3}]
YML
run=$(pushed); wait_status "$run" failure
expect "a matrix of calls stops at its first failure" "success failure cancelled" "$(echo $(job "$run" 'm (1)' status) $(job "$run" 'm (2)' status) $(job "$run" 'm (3)' status))"
expect "and what it would have called is cancelled" "cancelled cancelled" "$(echo $(job "$run" 'm (3) / a' status) $(job "$run" 'm (3) / b' status))"
after() { jq -n --arg a "$(job "$run" "$1" finished_at)" --arg b "$(job "$run" "$2" started_at)" '$a <= $b'; }
expect "one after the other" true "$(after 'm (1) / b' 'm (2) / a')"
expect "a called file's group is its call's" true "$(jq -n --argjson a "$(after 'one / b' 'two / a')" --argjson b "$(after 'two / b' 'one / a')" '$a or $b')"
expect "a group that the caller holds is refused" "its concurrency group 'SAME' is held by its own caller, which ends after it; give the job another group" "$(job "$run" 'dead / a' message)"
expect "and both calls of a group ran" "success success" "$(echo $(job "$run" one status) $(job "$run" two status))"

# Run again: what failed in a call, with the call around it and what needs it; the rest is kept.
run=$mixed
attempts() { run_json "$run" | jq -r '[.jobs[] | "\(.key)=\(.attempt)"] | sort | join(" ")'; }
"$ASSAY" runs rerun "$run" --job "bad / one" >/dev/null
for _ in $(seq 600); do [ "$(run_json "$run" | jq -r '"\(.attempt) \(.status)"')" = "2 failure" ] && break; sleep 0.1; done
expect "one job of a call runs again with what depends on it" "bad / always=2 bad / one=2 bad / two=2 bad=2 between=2 forgiven / always=1 forgiven / one=1 forgiven / two=1 forgiven=1 late=1 later=1 off=1 rescue=2" "$(attempts)"
expect "and ends as it did" "its job 'bad / one' failed" "$(job "$run" bad message)"
"$ASSAY" runs rerun "$run" >/dev/null
for _ in $(seq 600); do [ "$(run_json "$run" | jq -r '"\(.attempt) \(.status)"')" = "3 failure" ] && break; sleep 0.1; done
expect "all of it again" "$states" "$(run_json "$run" | jq -r '[.jobs[] | "\(.key)=\(.status)"] | sort | join(" ")')"
expect "as a third attempt" 3 "$(run_json "$run" | jq -r '[.jobs[].attempt] | unique | join(" ")')"

# A call that was skipped, or went well, is resolved anew when what it needs runs again; also while the agent is killed.
cat >"$flows/top.yml" <<'YML'
on: push
jobs:
  a:
    runs-on: any
    outputs: {list: '["p","q"]'}
    steps: [{run: test $GITHUB_RUN_ATTEMPT != 1}]
  d:
    needs: a
    strategy: {matrix: {x: "${{ fromJSON(needs.a.outputs.list) }}"}}
    uses: ./.github/workflows/mid.yml
  e:
    needs: d
    runs-on: any
    steps: [{run: 'echo "e ${{ needs.d.outputs.o }}"'}]
YML
cat >"$flows/mid.yml" <<'YML'
on: {workflow_call: {outputs: {o: {value: "${{ jobs.in.outputs.o }}"}}}}
jobs:
  in: {uses: ./.github/workflows/low.yml}
YML
cat >"$flows/low.yml" <<'YML'
on: {workflow_call: {outputs: {o: {value: "${{ jobs.w.outputs.o }}"}}}}
jobs:
  w:
    runs-on: any
    outputs: {o: "attempt ${{ github.run_attempt }}"}
    steps: [{run: sleep 0.3}]
  v: {needs: w, runs-on: any, steps: [{run: sleep 0.3}]}
YML
wait_attempt() { # NUMBER STATUS
	local i
	for i in $(seq 600); do [ "$(run_json "$run" | jq -r '"\(.attempt) \(.status)"')" = "$1 $2" ] && return 0; sleep 0.1; done
	die "attempt $1 is not $2: $(run_json "$run" | jq -c '[.attempt, .status]')"
}
run=$(pushed); wait_status "$run" failure
expect "a call behind a failure is skipped, and has no jobs" "a=failure d=skipped e=skipped" "$(run_json "$run" | jq -r '[.jobs[] | "\(.key)=\(.status)"] | sort | join(" ")')"
"$ASSAY" runs rerun "$run" --failed >/dev/null; wait_attempt 2 success
expect "and has them when it runs after all" 10 "$(run_json "$run" | jq '.jobs | length')"
"$ASSAY" runs rerun "$run" --job a >/dev/null
for _ in 1 2 3 4 5; do sleep 0.2; agent_kill; agent_start --config "$work/assay.yml"; done
wait_attempt 3 success
expect "jobs of a call are made anew with it, through kill -9" "3 10" "$(run_json "$run" | jq -r '"\([.jobs[].attempt] | unique | join(" ")) \(.jobs | length)"')"
log_of "$run" e | grep -q 'e attempt 3' || die "the outputs of the third attempt"
check "with its outputs"

# A gate in a called workflow, with its environment's secret; then cancel, through a call.
"$ASSAY" env set production --repo acme/calls
printf 'vault-of-production' >"$work/s"; "$ASSAY" secret set acme/calls VAULT --from-file "$work/s" --env production
printf 'pw-of-alice' >"$work/pw"
"$ASSAY" user add alice --role reviewer --password-file "$work/pw"
"$ASSAY" env set production --repo acme/calls --reviewers alice --approvals 1
cat >"$flows/top.yml" <<'YML'
on: push
jobs:
  release:
    uses: ./.github/workflows/release.yml
    with: {target: production}
    secrets: {token: "${{ secrets.FIRST }}"}
YML
cat >"$flows/release.yml" <<'YML'
on: {workflow_call: {inputs: {target: {type: string}}, secrets: {token: }}}
jobs:
  build:
    runs-on: any
    steps: [{run: 'test -z "${{ secrets.VAULT }}"'}]
  ship:
    needs: build
    environment: ${{ inputs.target }}
    runs-on: any
    steps: [{run: 'test "${{ secrets.VAULT }}" = vault-of-production && test "${{ secrets.token }}" = first-secret && test -z "${{ secrets.OTHER }}"'}]
YML
run=$(pushed); wait_status "$run" waiting
gate=$(gate_of "$run")
expect "the gate is the called job's" "release / ship" "$(run_json "$run" | jq -r ".jobs[] | select(.gate == $gate).key")"
agent_kill; agent_start --config "$work/assay.yml"
as alice gate approve "$gate" --comment fine
wait_status "$run" success
check "a gate inside a call, through kill -9, with its environment's secrets"
sed -i 's/test -z.*VAULT[^}]*}}"/sleep 600/' "$flows/release.yml"
run=$(pushed); wait_status "$run" running
for _ in $(seq 300); do [ "$(job "$run" "release / build" status)" = running ] && break; sleep 0.1; done
"$ASSAY" runs cancel "$run"
wait_status "$run" cancelled
expect "cancel ends the jobs of a call, and the call" "cancelled cancelled cancelled" "$(run_json "$run" | jq -r '[.jobs[].status] | join(" ")')"
