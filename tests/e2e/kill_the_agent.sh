#!/bin/bash
# The agent is killed and restarted while a job talks: the job goes on, and no line is missing or doubled.
. "$(dirname "$0")/lib.sh"
lines=${LINES_OF_LOG:-9000}
agent_start
nap=8$port # before its last lines the job waits until the story is through with the agent
repo_new acme/talk
mkdir -p "$clone/.github/workflows"
cat >"$clone/.github/workflows/talk.yml" <<YML
on: push
jobs:
  talk:
    runs-on: any
    outputs:
      said: \${{ steps.talk.outputs.said }}
    steps:
      - id: talk
        run: |
          i=0
          while [ \$i -lt $lines ]; do
            i=\$((i + 1))
            echo "line \$i"
            [ \$((i % 100)) -ne 0 ] || sleep 0.1
            [ \$i -ne $((lines - 100)) ] || sleep $nap || :
          done
          echo "said=\$i" >>"\$GITHUB_OUTPUT"
  heard:
    needs: talk
    runs-on: any
    steps:
      - run: echo "heard \${{ needs.talk.outputs.said }}"
YML
commit "talk"
run=$(run_of "$(push)")
wait_status "$run" running
for kind in kill kill stop kill; do
	sleep 0.5
	[ "$(run_json "$run" | jq -r '.jobs[0].status')" = running ] || die "the job ended too early for the test to mean something"
	agent_$kind
	sleep 0.2
	agent_start
	check "agent back after $kind"
done
napping=
for _ in $(seq 600); do
	napping=$(ps -eo pid=,args= | sed -n "s/^ *\([0-9]*\) sleep $nap\$/\1/p")
	[ -z "$napping" ] || break
	sleep 0.1
done
[ -n "$napping" ] || die "the job does not come to its last lines"
kill "$napping"
wait_status "$run" success
seq "$lines" | sed 's/^/line /' >"$work/wanted"
"$ASSAY" runs log "$run" --job talk | sed -n 's/^[^ ]* \(line [0-9]*\)$/\1/p' >"$work/got"
cmp "$work/wanted" "$work/got" || die "the log differs: $(diff "$work/wanted" "$work/got" | head -3)"
check "$lines lines, none missing, none doubled"
"$ASSAY" runs log "$run" --job heard | grep >/dev/null "heard $lines" || die "the output was lost"
check "outputs arrived"
expect "each job ran once" "1 1" "$(run_json "$run" | jq -r '[.jobs[].attempt] | join(" ")')"

# A delivery that was answered is there after kill -9, and runs.
sed -i "s/sleep $nap/true/" "$clone/.github/workflows/talk.yml"; commit again
delivery=$(push)
agent_kill
agent_start
run=$(run_of "$delivery")
wait_status "$run" success
check "an answered delivery outlives kill -9"
expect "nothing is left of the jobs" "" "$(jobs_left)"
