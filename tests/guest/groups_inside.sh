#!/bin/bash
# In the guest, for groups.sh.
die() { echo "FAILED: $*"; journalctl -u assay --no-pager | tail -40; /opt/assay/assay runs list 2>&1 | tail -5; exit 1; }
check() { echo "ok: $*"; }
mkdir -p /opt/assay /usr/local/lib/assay-guest /etc/assay && cp bin/* /opt/assay/ && chmod -R a+rX /opt/assay
for each in lib/*; do
	name=$(basename "$each")
	[ -e "/usr/lib/x86_64-linux-gnu/$name" ] || [ -e "/lib/x86_64-linux-gnu/$name" ] || cp "$each" /usr/local/lib/assay-guest/
done
echo /usr/local/lib/assay-guest >/etc/ld.so.conf.d/zz-assay.conf && ldconfig
useradd -r -d /var/lib/assay -s /usr/sbin/nologin assay
cat >/etc/assay/assay.yml <<'Y'
log_level: debug
limits: {job_memory: 96 MiB, job_processes: 100, job_cpus: 0.5, job_write: 64 MiB}
images: {local: [/srv/image]}
Y
cp assay.service /etc/systemd/system/ && systemctl daemon-reload
systemctl start assay || die "the unit does not start"
unit=/sys/fs/cgroup/system.slice/assay.service
echo "systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), agent's leaf: $(tr '\n' ' ' <$unit/agent/cgroup.procs)"
[ -n "$(cat $unit/agent/cgroup.procs)" ] && [ -z "$(cat $unit/cgroup.procs)" ] || die "the agent is not in its leaf"
for each in memory pids cpu; do grep -qw $each $unit/cgroup.subtree_control || die "$each is not handed down"; done
check "the agent and its zygote are in a leaf, $(cat $unit/cgroup.subtree_control) are handed down"

assay() { /opt/assay/assay "$@"; }
git config --global user.name t; git config --global user.email t@example.invalid; git config --global safe.directory '*'
git init -q --bare -b main /srv/w.git && git init -q -b main /srv/w
mkdir -p /srv/w/.assay/workflows
job() { printf 'on: workflow_dispatch\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n%s\n' "$(sed 's/^/          /' <<<"$2")" >/srv/w/.assay/workflows/$1.yml; }
job eat 'python3 -c "x = bytearray(200 << 20)"'
job burn 'end=$((SECONDS + 4)); while [ $SECONDS -lt $end ]; do :; done'
job long 'echo begun; for i in $(seq 1200); do [ ! -e /work/stop ] || exit 0; sleep 0.5; echo $i; done'
python3 oci-image.py layout /srv/image >/dev/null || die "no image"
chmod -R a+rX /srv/image
cat >/srv/w/.assay/workflows/users.yml <<'Y'
on: workflow_dispatch
jobs:
  a:
    runs-on: x
    container: oci:/srv/image
    steps:
      - run: |
          touch a && chown worker:staff a && echo "owner $(stat -c %u:%g a), root $(id -u), worker $(su worker -c 'id -u')"
          mkdir -p shut/in /deep/er && touch shut/in/f /deep/er/f && chown -R 70:71 shut /deep && chmod -R 700 shut /deep
Y
git -C /srv/w add -A && git -C /srv/w commit -qm w && git -C /srv/w push -q /srv/w.git main && chown -R assay: /srv/w.git
echo secret >/root/secret
assay repo add acme/w file:///srv/w.git --webhook-secret-file /root/secret >/dev/null || die "repo add"
start() { assay runs dispatch acme/w "$1.yml" --ref main >/root/out 2>&1 || die "dispatch: $(cat /root/out)"; sleep 1; run=$(assay runs list --json | jq '[.runs[].id] | max'); }
status() { assay runs show "$run" --json | jq -r '.status'; }
wait_for() { for _ in $(seq 240); do [ "$(status)" = "$1" ] && return; sleep 0.5; done; die "run $run is $(status), not $1"; }
groups() { find $unit -maxdepth 1 -name 'assay-*'; }

start eat; wait_for failure
got=$(assay runs show "$run" --json | jq -r '.jobs[0] | "\(.cause): \(.message)"')
[[ $got == oom:*limits.job_memory* ]] || die "out of memory is told as: $got"
check "memory of the whole job is limited: $got"
start burn; wait_for success
used=$(python3 -c '
import http.client, json, socket, sys
asked = http.client.HTTPConnection("x")
asked.sock = socket.socket(socket.AF_UNIX)
asked.sock.connect("/run/assay/assay.sock")
asked.request("GET", "/api/v1/jobs/" + sys.argv[1])
print(json.load(asked.getresponse())["steps"][0]["cpu_us"])' "$(assay runs show "$run" --json | jq '.jobs[0].id')")
[ "$used" -gt 0 ] && [ "$used" -lt 3200000 ] || die "half a CPU gave $used us in four seconds"
check "half a CPU for four seconds: $used us"

start long; wait_for running
for _ in $(seq 100); do [ -n "$(groups)" ] && break; sleep 0.2; done
group=$(groups)
[ "$(cat "$group/memory.max") $(cat "$group/memory.swap.max") $(cat "$group/cpu.max")" = "100663296 0 50000 100000" ] || die "limits of $group"
[[ $(cat "$group/io.max") == *" wbps=67108864 "* ]] || die "limit of writing: $(cat "$group/io.max")"
check "a running job's group: memory.max $(cat "$group/memory.max"), pids.max $(cat "$group/pids.max"), cpu.max $(cat "$group/cpu.max"), io.max $(cat "$group/io.max")"
systemctl restart assay || die "the agent cannot be started again while a job runs"
sleep 2
[ "$(systemctl is-active assay)" = active ] && [ "$(status)" = running ] || die "after a restart: $(systemctl is-active assay), $(status)"
[ "$(cat "$group/memory.max") $(cat "$group/cpu.max")" = "100663296 50000 100000" ] || die "limits after a restart: $(cat "$group/memory.max" "$group/cpu.max")"
[[ $(cat "$group/io.max") == *" wbps=67108864 "* ]] || die "limit of writing after a restart: $(cat "$group/io.max")"
check "a restart of the agent leaves the job and its limits"
kill -9 "$(systemctl show -p MainPID --value assay)"
for _ in $(seq 60); do sleep 0.5; [ "$(systemctl is-active assay)" = active ] && assay runs list >/dev/null 2>&1 && break; done
[ "$(status)" = running ] && [ "$(cat "$group/memory.max")" = 100663296 ] || die "after kill -9: $(status), $(cat "$group/memory.max")"
check "so does kill -9 of the agent"
assay runs cancel "$run" || die "cancel"; wait_for cancelled
for _ in $(seq 60); do [ -z "$(groups)" ] && break; sleep 0.5; done
[ -z "$(groups)" ] || die "groups are left: $(groups)"
start long; wait_for running
for _ in $(seq 100); do [ -n "$(groups)" ] && break; sleep 0.2; done
group=$(groups)
kill -9 "$(basename "$group" | sed 's/^assay-\([0-9]*\)-.*/\1/')" || die "no worker of $group"
wait_for failure
for _ in $(seq 60); do [ -z "$(groups)" ] && break; sleep 0.5; done
[ -z "$(groups)" ] || die "groups are left: $(groups)"
check "no group is left, nor by a worker that was killed, without another job"

users() { # WHEN
	start users; wait_for success
	assay runs log "$run" >/root/log
	grep -q 'owner 1234:50, root 0, worker 1234' /root/log || die "$1: $(cat /root/log)"
	for _ in $(seq 60); do left=$(find /var/lib/assay/jobs -mindepth 1 -not -path '*/.spare-*'); [ -z "$left" ] && break; sleep 0.5; done
	[ -z "$left" ] || die "$1: left: $left"
	check "$1: an image has its users by ids lent to the unit ($(cat /run/assay-ids/range)), and nothing of theirs is left"
}
users "the agent as it was killed and started again"
systemctl restart assay || die "it does not start once more"
users "started once more"
[ "$(grep -c assay-ids /proc/self/mounts)" = 1 ] || die "mounts are left: $(grep assay-ids /proc/self/mounts)"
systemctl stop assay
[ "$(systemctl show -p Result --value assay)" = success ] || die "it ended by $(systemctl show -p Result --value assay)"
