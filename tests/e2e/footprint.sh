#!/bin/bash
# An idle agent is small and never wakes. Sizes are printed; only gross faults fail (machines differ, sanitizers more so).
. "$(dirname "$0")/lib.sh"
agent_start
sleep 1
pss() { awk '/^Pss:/ {print $2}' "/proc/$1/smaps_rollup"; }
zygote=$(ps -eo pid=,ppid=,args= | awk -v p="$agent_pid" '$2 == p && /zygote/ {print $1}')
[ -n "$zygote" ] || die "no waiting worker"
agent_kb=$(pss "$agent_pid"); zygote_kb=$(pss "$zygote")
echo "idle PSS: agent $agent_kb kB, waiting worker $zygote_kb kB, together $((agent_kb + zygote_kb)) kB"
if [[ $(ldd "$ASSAY") != *libasan* ]]; then
	[ "$agent_kb" -le 9216 ] || die "the agent idles at $agent_kb kB, over 9 MB"
	[ $((agent_kb + zygote_kb)) -le 14336 ] || die "together they idle over 14 MB"
	check "under 9 MB, and 14 MB with the waiting worker"
fi
switches() { awk '/^voluntary_ctxt_switches/ {print $2}' "/proc/$1/status"; }
for _ in 1 2 3 4 5; do # what its start has left to do may take a busy machine a while
	before="$(switches "$agent_pid") $(switches "$zygote")"
	sleep 3
	after="$(switches "$agent_pid") $(switches "$zygote")"
	[ "$after" != "$before" ] || break
done
expect "no wake-up in three seconds" "$before" "$after"
