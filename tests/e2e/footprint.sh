#!/bin/bash
# An idle agent is small and never wakes. Sizes are printed; only gross faults fail (machines differ, sanitizers more so).
. "$(dirname "$0")/lib.sh"
agent_start
sleep 1
pss() { awk '/^Pss:/ {print $2}' "/proc/$1/smaps_rollup"; }
below() { # all processes that descend from one
	local child
	for child in $(ps -o pid= --ppid "$1"); do echo "$child"; below "$child"; done
}
waiting=$(below "$agent_pid")
[ "$(wc -w <<<"$waiting")" -ge 4 ] || die "two zygotes with a spare worker each do not wait: $waiting"
agent_kb=$(pss "$agent_pid"); beside_kb=0
for pid in $waiting; do beside_kb=$((beside_kb + $(pss "$pid"))); done
echo "idle PSS: agent $agent_kb kB, the $(wc -w <<<"$waiting") that wait $beside_kb kB, together $((agent_kb + beside_kb)) kB"
if [[ $(ldd "$ASSAY") != *libasan* ]]; then
	[ "$agent_kb" -le 9216 ] || die "the agent idles at $agent_kb kB, over 9 MB"
	[ $((agent_kb + beside_kb)) -le 14336 ] || die "together they idle over 14 MB"
	check "under 9 MB, and 14 MB with all that wait"
fi
switches() { awk '/^voluntary_ctxt_switches/ {print $2}' "/proc/$1/status"; }
for _ in 1 2 3 4 5; do # what its start has left to do may take a busy machine a while
	before=$(for pid in $agent_pid $waiting; do switches "$pid"; done)
	sleep 3
	after=$(for pid in $agent_pid $waiting; do switches "$pid"; done)
	[ "$after" != "$before" ] || break
done
expect "no wake-up in three seconds" "$before" "$after"
