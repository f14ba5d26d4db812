#!/bin/bash
# In the guest: the abuse list on a kernel of Debian's with all of cgroup v2. As root and as an ordinary user, each below a
# unit with delegated controllers, as the package's is: there a job's limits are whole.
export ASSAY_ABUSE_SLOW=${SLOW:-6} # without KVM a process starts thirty times slower here
top=/opt/assay-abuse
mkdir -p $top && cp -a /root/in/. $top/ && chmod -R a+rX $top
# what the programs are linked with, where the guest's own packages do not bring it
mkdir -p /usr/local/lib/assay-abuse
for each in $top/lib/*; do
	name=$(basename "$each")
	[ -e "/usr/lib/x86_64-linux-gnu/$name" ] || [ -e "/lib/x86_64-linux-gnu/$name" ] || cp "$each" /usr/local/lib/assay-abuse/
done
echo /usr/local/lib/assay-abuse >/etc/ld.so.conf.d/zz-assay-abuse.conf && ldconfig
# a way out of this machine, and a route for it: nobody is at its other end
cp $top/pasta /usr/bin/pasta && $top/tests/fixtures/with-route --inside true || exit 9
echo "guest: Linux $(uname -r), cgroup v2 with $(cat /sys/fs/cgroup/cgroup.controllers)"
cat >$top/unit.sh <<'U'
#!/bin/bash
user=$1; shift
group=/sys/fs/cgroup$(sed 's/^0:://' /proc/self/cgroup)
# the agent in a leaf of its own; the group above hands the controllers down
mkdir "$group/agent" && echo $$ >"$group/agent/cgroup.procs" && echo '+memory +pids +cpu +io' >"$group/cgroup.subtree_control" || exit 9
[ "$user" = root ] || chown -R 54321:54321 "$group"
cd "$(dirname "$0")" && exec tests/abuse/run.py --build build --guest --executors "${EXECUTORS:-sandbox}" --users "$user" "$@"
U
chmod 755 $top/unit.sh
status=0
for user in ${USERS:-root user}; do
	cases=("$@")
	# pasta is started a dozen times, which is slow here: of a list, by the agent of the package's kind alone
	[ $# -lt 2 ] || [ "$user" != root ] || mapfile -t cases < <(printf '%s\n' "$@" | grep -vx N5)
	systemd-run --quiet --wait --pipe --collect -p Delegate=yes -p TasksMax=infinity -p LimitCORE=infinity \
		--setenv=ASSAY_ABUSE_SLOW="$ASSAY_ABUSE_SLOW" $top/unit.sh "$user" "${cases[@]}" || status=1
done
exit $status
