#!/bin/bash
# Jobs in images without an engine: a private registry, a container of the job's own, a service that becomes healthy, a
# docker action; by the agent as root, and all of it again as an ordinary user. Then images with users of their own: as root, as
# a user whom /etc/subuid gives ids, as one whom root lends some, and as one who has none.
. "$(dirname "$0")/lib.sh"
fixtures=$top/tests/fixtures
for program in docker-registry htpasswd busybox python3; do
	command -v "$program" >/dev/null || die "this story needs $program: packaging/install-packages test"
done

long=9$RANDOM$RANDOM # what only this story's services have in their command lines

registry_start() {
	local n
	for n in 1 2 3 4 5; do
		"$fixtures/oci-registry.sh" start "$work/registry" $((20000 + RANDOM % 20000)) >/dev/null && break
		"$fixtures/oci-registry.sh" stop "$work/registry"
		[ "$n" != 5 ] || die "the registry does not start"
	done
	. "$work/registry/env"
	OCI_USER=$(sed -n 's/^OCI_USER=//p' "$work/registry/env")
	OCI_PASSWORD=$(sed -n 's/^OCI_PASSWORD=//p' "$work/registry/env")
}
workers_end() { # of runs that a failure here has left
	local pid
	for pid in $(cat "$work"/xdg/assay/jobs/*/events.jsonl "$work"/home/xdg/assay/jobs/*/events.jsonl 2>/dev/null | jq -r 'select(.type=="begin").pid'); do
		grep -aq assay-worker "/proc/$pid/cmdline" 2>/dev/null && kill -9 "$pid"
	done
}
trap 'ended=$?; set +e; workers_end; "$fixtures/oci-registry.sh" stop "$work/registry"; (exit $ended); cleanup' EXIT

images_make() {
	python3 "$fixtures/oci-image.py" layout "$work/image-job" \
		--config '{"Env":["PATH=/bin:/usr/bin","FROM_IMAGE=yes","OVER=image"],"WorkingDir":"/made/here","Cmd":["sh"]}' \
		--file 'etc/hello=from the image\n' >/dev/null
	python3 "$fixtures/oci-image.py" layout "$work/image-service" \
		--config '{"Env":["PATH=/bin"],"Entrypoint":["/serve"],"Cmd":["8000"],"User":"worker"}' \
		--script 'serve=#!/bin/sh\necho "serving as $(id -u) for $GREETING"\nsleep 1\nmkdir -p /tmp/www'"$long"' && echo "hello $GREETING" >/tmp/www'"$long"'/index.html\nexec httpd -f -p "$1" -h /tmp/www'"$long\n" >/dev/null
	python3 "$fixtures/oci-image.py" layout "$work/image-action" \
		--config '{"Env":["PATH=/bin"],"Entrypoint":["/act"]}' \
		--script 'act=#!/bin/sh\necho "action args: $*; input $INPUT_WHO; $(pwd); $GITHUB_WORKSPACE"\necho "said=hi $INPUT_WHO" >>"$GITHUB_OUTPUT"\necho "FROM_ACTION=set" >>"$GITHUB_ENV"\ncat from-step\ntest -f "$GITHUB_EVENT_PATH" && echo event there\n' >/dev/null
	python3 "$fixtures/oci-image.py" layout "$work/image-drops" --config '{"Env":["PATH=/bin"],"Entrypoint":["/start"]}' \
		--script 'start=#!/bin/sh\nset -e\nmkdir -p /data/db\nchown -R worker:worker /data/db\nchmod 700 /data/db\nexec su worker -c "echo serving as \$(id -u); mkdir -p /data/db/www && echo \$(id -u):\$(id -g) >/data/db/www/index.html; exec httpd -f -p 8000 -h /data/db/www"\n' >/dev/null
	local name
	for name in job service action; do
		python3 "$fixtures/oci-image.py" push "$work/image-$name" "$OCI_REGISTRY/team/$name:1" --user "$OCI_USER" \
			--password "$OCI_PASSWORD" $([ $name = service ] && echo --docker) >/dev/null
	done
}

workflow_write() {
	mkdir -p "$1/.github/workflows" "$1/act"
	cat >"$1/act/action.yml" <<YML
name: act
inputs: {who: {default: nobody}}
outputs: {said: {description: x}}
runs:
  using: docker
  image: docker://oci:$work/image-action
  args: ["one two", "\${{ inputs.who }}"]
YML
	cat >"$1/.github/workflows/containers.yml" <<YML
on: push
jobs:
  inside:
    runs-on: any
    container:
      image: $OCI_REGISTRY/team/\${{ vars.NAME || 'job' }}:1
      credentials: {username: $OCI_USER, password: "\${{ secrets.REGISTRY }}"}
      env: {OVER: container, FROM_CONTAINER: "yes"}
      options: --hostname boxed --tmpfs /scratch:size=1m --add-host other:10.1.2.3 -e WITH_OPTION=yes
      volumes: ["data:/data", "\${{ github.workspace }}/sub:/sub"]
    services:
      web:
        image: $OCI_REGISTRY/team/service:1
        credentials: {username: $OCI_USER, password: "\${{ secrets.REGISTRY }}"}
        env: {GREETING: world}
        ports: ["8000:8000"]
        volumes: ["data:/data"]
        options: >-
          --health-cmd "wget -q -O - http://localhost:8000/" --health-interval 1s --health-timeout 5s --health-retries 30
    env: {STEP_LEVEL: job}
    steps:
      - run: |
          cat /etc/hello; echo "env \$FROM_IMAGE \$FROM_CONTAINER \$OVER \$STEP_LEVEL \$WITH_OPTION"
          echo "user \$(id -u) at \$(pwd) home \$HOME host \$(hostname)"
          test ! -e /etc/gone-above && test -f /etc/image-release && echo whiteouts work
          wget -q -O - http://web:8000/
          grep -q '10.1.2.3 other' /etc/hosts && grep -q ' /scratch tmpfs' /proc/mounts && echo options work
          echo changed >/etc/hello && rm /etc/image-release && echo "own root" && cat /etc/hello
          chown worker:worker /etc/hello && mkdir -p /opt/x && chown -R 1:2 /opt/x && : >/dev/null && echo chown works
          echo kept >from-step; echo "IN_ENV=yes" >>"\$GITHUB_ENV"; ls -d /__w /github/home /github/workflow
          touch /data/there && mkdir -p sub && ls -d /sub && test -s "\$GITHUB_EVENT_PATH" && echo event there
      - run: echo "second \$IN_ENV in \${{ github.workspace }} \${{ job.container.id }} \${{ job.services.web.ports['8000'] }} \$RUNNER_TEMP"
      - uses: actions/checkout@v4
        with: {path: tree, clean: false}
      - run: test -f tree/.github/workflows/containers.yml && test "\$(stat -c %u tree)" = 0 && echo checked out
  outside:
    runs-on: any
    services:
      web:
        image: $OCI_REGISTRY/team/service:1
        credentials: {username: $OCI_USER, password: "\${{ secrets.REGISTRY }}"}
        env: {GREETING: outside}
        ports: [8000]
        options: --health-cmd "wget -q -O - http://localhost:8000/" --health-interval 1s --health-retries 30
    steps:
      - run: |
          python3 -c 'import urllib.request as u; print("got", u.urlopen("http://localhost:8000/", timeout=20).read().decode())'
          python3 -c 'import urllib.request as u; print("name", u.urlopen("http://web:8000/", timeout=20).read().decode())'
          test ! -e /etc/hello && echo "not in an image"
YML
	cat >"$1/.github/workflows/actions.yml" <<YML
on: push
jobs:
  acts:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - run: echo "from the workspace" >from-step
      - id: local
        uses: ./act
        with: {who: you}
      - run: echo "output \${{ steps.local.outputs.said }} env \$FROM_ACTION"
      - uses: docker://oci:$2
        with: {entrypoint: /bin/sh, args: "-c 'echo step image \$(cat /etc/hello); id -u; cat from-step; exit 3'"}
        continue-on-error: true
      - run: echo "after"
YML
	cat >"$1/.github/workflows/long.yml" <<YML
on: push
jobs:
  waits:
    runs-on: any
    services:
      web:
        image: oci:$2
        command: sleep $long
        options: --health-cmd "false" --health-interval 30s --health-retries 100
    steps: [{run: echo never}]
YML
	cat >"$1/.github/workflows/bad.yml" <<YML
on: push
jobs:
  sick:
    runs-on: any
    services:
      web:
        image: oci:$2
        options: --entrypoint /bin/sh
        command: -c "echo about to fail; exit 7"
    steps: [{run: echo never}]
  unhealthy:
    runs-on: any
    services:
      web:
        image: oci:$2
        command: sleep $long
        options: --health-cmd "echo sick; exit 1" --health-interval 1s --health-retries 2 --health-timeout 1s
    steps: [{run: echo never}]
  gpu:
    runs-on: any
    container: {image: "oci:$2", options: --gpus all}
    steps: [{run: echo never}]
  refused:
    runs-on: any
    container: {image: "oci:$2", options: --privileged}
    steps: [{run: echo never}]
  denied:
    runs-on: any
    container: $OCI_REGISTRY/team/job:1
    steps: [{run: echo never}]
  hostpath:
    runs-on: any
    container: {image: "oci:$2", volumes: ["/etc:/host:ro"]}
    steps: [{run: echo never}]
YML
}
users_write() { # what needs more than one user
	cat >"$1/.github/workflows/users.yml" <<YML
on: push
jobs:
  many:
    runs-on: any
    container: "oci:$2"
    services:
      drops:
        image: "oci:$work/image-drops"
        options: --health-cmd "wget -q -O - http://localhost:8000/" --health-interval 1s --health-retries 60
    steps:
      - run: |
          echo "service \$(wget -q -O - http://drops:8000/)"
          touch a && chown worker:staff a && echo "owner \$(stat -c %u:%g a)"
          mkdir -p shut/in && echo x >shut/in/f && chown -R 70:71 shut && chmod 700 shut shut/in && chmod 600 shut/in/f
          su worker -c 'id -u; ! touch /etc/nobody && ! ls shut && ! chown 0 a' && echo "worker is no root"
          mkdir -p "\$HOME/.cache/x" /deep/er && touch /deep/er/f && chown -R 100:100 "\$HOME/.cache" /deep && chmod -R 700 "\$HOME/.cache" /deep
          grep -q '^CapEff:.00000000000000fb' /proc/self/status && su worker -c "grep -q '^CapEff:.0000000000000000' /proc/self/status" && echo "rights over users alone"
      - run: ls shut/in && echo "root reads it all"
  kills:
    runs-on: any
    container: "oci:$2"
    steps:
      - run: mkdir -p shut/in && touch shut/in/f && chown -R 70:71 shut && chmod -R 700 shut && touch made$long && sleep 600
  fills:
    runs-on: any
    container: "oci:$2"
    steps:
      - run: |
          mkdir shut && chown 70:71 shut && chmod 700 shut
          for i in \$(seq 12); do head -c 8388608 /dev/zero >shut/\$i; done
          sleep 600
  quick:
    runs-on: any
    container: "oci:$2"
    steps: [{run: "true"}]
YML
}
has() { grep -qF -- "$2" "$out" || { cat "$out"; die "$who: $1: no '$2'"; }; check "$who: $1"; }
hasnt() { ! grep -qF -- "$2" "$out" || { cat "$out"; die "$who: $1: '$2'"; }; check "$who: $1"; }
processes() { ps -eo args= | grep -cE "^(httpd -f -p [0-9]+ -h /tmp/www$long|sleep $long)" || :; }

walk() { # WHO: everything, by `run_as` as it is defined then
	who=$1 out=$work/out-$1
	run_as --workflow .github/workflows/containers.yml --secret "REGISTRY=$OCI_PASSWORD" >"$out" 2>&1 || { cat "$out"; die "$who: the run failed"; }
	has "a step runs in the image" "| from the image"
	has "environment: image, container, workflow" "env yes yes container job yes"
	has "GitHub's folders" "| user 0 at /__w/tree/tree home /github/home host boxed"
	has "whiteouts" "| whiteouts work"
	has "a service by its name" "inside  | hello world"
	has "options" "| options work"
	has "its root can be changed" "| own root"
	has "chown is no error" "| chown works"
	has "the event" "| event there"
	has "GITHUB_ENV and contexts" "second yes in /__w/tree/tree job 8000 /__w/_temp"
	has "checkout into a container's workspace" "| checked out"
	has "a service by localhost" "got hello outside"
	has "a service by name outside" "name hello outside"
	has "steps without a container" "| not in an image"
	has "the service becomes healthy" "Service 'web' is healthy after"
	hasnt "the password is masked" "$OCI_PASSWORD"
	run_as --workflow .github/workflows/actions.yml >"$out" 2>&1 || { cat "$out"; die "$who: the run failed"; }
	has "a docker action's arguments and inputs" "action args: one two you; input you; /github/workspace; /github/workspace"
	has "its workspace" "| from the workspace"
	has "its outputs and environment" "output hi you env set"
	has "a step that is an image" "| step image from the image"
	has "and its failure" "it ended with exit code 3"
	has "the job goes on" "| after"
	! run_as --workflow .github/workflows/bad.yml --json >"$out" 2>&1 || { cat "$out"; die "$who: it should fail"; }
	hasnt "no step runs" '"line":"never"'
	has "a service that ends" "service 'web' ended with exit code 7 before it was ready"
	has "what it printed" "about to fail"
	has "a service that never is healthy" "service 'web' was not healthy after"
	has "an option is refused by name" "options: --privileged cannot be given"
	has "a device that there is none of" "options: --gpus: this agent gives jobs no such device; an admin lists devices in sandbox.devices"
	has "a private image without credentials" "it wants a user and a password; give 'credentials'"
	has "a path of the host" "'/etc:/host:ro' is a path of this machine"
	expect "$who: no service is left" 0 "$(processes)"
	kill_worker
	cancel
}
service_up() { # PROCESS: until the job's service runs
	local i
	for i in $(seq 300); do
		[ "$(processes)" -ge 1 ] && return 0
		sleep 0.1
	done
	cat "$out"; die "$who: the service did not start"
}
gone() { # WHAT
	local i
	for i in $(seq 100); do
		[ "$(processes)" = 0 ] && { check "$who: $1"; return 0; }
		sleep 0.1
	done
	ps -eo pid,ppid,args; die "$who: $1: its service still runs"
}
worker_of_job() { # not a planner's before it, whose folder may go any moment
	local i folder pid
	for i in $(seq 100); do
		for folder in "$(jobs_of)"/*/; do
			[ "$(jq -r .kind "$folder/job.json" 2>/dev/null)" = job ] || continue
			pid=$(jq -r 'select(.type=="begin").pid' "$folder/events.jsonl" 2>/dev/null) || continue
			[ -z "$pid" ] || { echo "$pid"; return 0; }
		done
		sleep 0.1
	done
	return 1
}
kill_worker() {
	local run worker
	run_as --workflow .github/workflows/long.yml >"$out" 2>&1 &
	run=$!
	service_up
	worker=$(worker_of_job)
	kill -9 "$worker"
	gone "a killed worker takes its services along"
	if wait "$run"; then die "$who: a job whose worker was killed has succeeded"; fi
}
cancel() {
	local run start
	run_as --workflow .github/workflows/long.yml >"$out" 2>&1 &
	run=$!
	service_up
	start=$SECONDS
	interrupt
	if wait "$run"; then die "$who: a cancelled run has succeeded"; fi
	[ $((SECONDS - start)) -lt 30 ] || die "$who: the cancellation took $((SECONDS - start)) s"
	has "a job that waits for a service can be cancelled" "cancelled"
	gone "and ends it"
}

left() { find "$(jobs_of)" -mindepth 1 -not -path '*/.spare-*' 2>/dev/null | head -5; }
many_users() { # WHO: a service that drops its rights, and files of others; nothing is left of them
	who=$1 out=$work/out-$1
	run_as --workflow .github/workflows/users.yml --job many >"$out" 2>&1 || { cat "$out"; die "$who: the run failed"; }
	has "says which ids" "Users: root and 65535 others, ids from $2"
	has "a service that becomes another user" "| service 1234:1235"
	has "chown" "| owner 1234:50"
	has "who is not root" "| worker is no root"
	has "the rights of root" "| rights over users alone"
	has "files of others" "| root reads it all"
	expect "$who: nothing of it is left" "" "$(left)"
	echo 'limits: {job_disk: 32 MiB}' >"$work/small.yml"
	! run_as --config "$work/small.yml" --workflow .github/workflows/users.yml --job fills >"$out" 2>&1 || { cat "$out"; die "$who: it should fail"; }
	has "what is shut to the worker counts, too" "its limit of disk space (limits.job_disk)"
	begin_kills
	kill -9 "$worker"
	if wait "$run"; then die "$who: a job whose worker was killed has succeeded"; fi
	expect "$who: nothing of a killed worker's is left" "" "$(left)"
	begin_kills
	kill -9 $(run_pids)
	if wait "$run"; then die "$who: an agent that was killed has succeeded"; fi
	kill -9 "$worker" 2>/dev/null || : # who lives on by himself
	while kill -0 "$worker" 2>/dev/null; do sleep 0.1; done
	[ -n "$(left)" ] || die "$who: nothing was there to be removed"
	run_as --workflow .github/workflows/users.yml --job quick >"$out" 2>&1 || { cat "$out"; die "$who: the next agent failed"; }
	expect "$who: the next agent removes what a killed one has left" "" "$(left)"
}
begin_kills() { # sets run and worker
	local i
	run_as --workflow .github/workflows/users.yml --job kills >"$out" 2>&1 &
	run=$!
	for i in $(seq 600); do
		[ -z "$(find "$(jobs_of)" -name "made$long" 2>/dev/null)" ] || break
		[ "$i" != 600 ] || { cat "$out"; die "$who: the job did not begin"; }
		sleep 0.1
	done
	worker=$(worker_of_job)
}
one_user() {
	who=$1 out=$work/out-$1
	! run_as --workflow .github/workflows/users.yml --job many >"$out" 2>&1 || { cat "$out"; die "$who: it should fail"; }
	has "says why there is one user" "Users: root alone, who cannot become another: "
	has "and what to do" "usermod --add-subuids"
	has "with the service that failed" "Should service 'drops' have failed to become another user"
}

registry_start
images_make
mkdir -p "$work/tree"
cd "$work/tree"
git init -q -b main .
workflow_write "$work/tree" "$work/image-job"
users_write "$work/tree" "$work/image-job"
git add -A; git commit -qm first
chmod -R a+rX "$work"/image-* "$work/tree"

run_as() { exec_as "$ASSAY" run --repo "$work/tree" --event push "$@"; }
exec_as() { "$@"; }
jobs_of() { echo "$XDG_DATA_HOME/assay/jobs"; }
interrupt() { pkill_run; }
run_pids() { # the agent of this run: its own process, found by its working tree
	ps -eo pid=,args= | awk -v t="$work/tree" '$2 ~ /assay$/ && $3 == "run" && index($0, t) {print $1}'
}
pkill_run() {
	local pid
	for pid in $(run_pids); do kill -INT "$pid" 2>/dev/null || :; done
}
if [ "$(id -u)" = 0 ]; then
	walk root
	has_ids= # in a user namespace itself this machine may have none to spare
	! awk '$1 == 0 && $3 >= 2000000000 { found = 1 } END { exit !found }' /proc/self/uid_map || has_ids=yes
	if [ -n "$has_ids" ]; then
		many_users root ""
	else
		echo "SKIPPED: images with users: this machine has too few ids"
	fi
	user=nobody
	for_user "$user"
	mkdir -p "$work/home"; chown "$user" "$work/home"
	jobs_of() { echo "$work/home/xdg/assay/jobs"; }
	as_user() {
		runuser -u "$user" -- env HOME="$work/home" XDG_DATA_HOME="$work/home/xdg" ASSAY_SOCKET=none "$ASSAY" run --repo "$work/tree" --event push "$@"
	}
	run_as() { as_user "$@"; }
	walk user
	if grep -q "^$user:" /etc/subuid 2>/dev/null; then
		echo "SKIPPED: a user without ids, since this host gives $user some"
	else
		one_user alone
	fi
	export ASSAY work user
	run_as() { # may gain no privileges, as the packaged unit; has what root lends, where only he sees it
		unshare --mount --propagation private bash -c 'mount -t tmpfs none /run && "$(dirname "$ASSAY")/assay-worker" lend "$user" >/dev/null &&
			exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --no-new-privs --bounding-set -all --inh-caps -all \
			env HOME="$work/home" XDG_DATA_HOME="$work/home/xdg" ASSAY_SOCKET=none "$ASSAY" run --repo "$work/tree" --event push "$@"' bash "$@"
	}
	[ -z "$has_ids" ] || many_users lent ""
	if [ -n "$has_ids" ] && [ -x /usr/bin/newuidmap ] && : >>/etc/subuid && : >>/etc/subgid; then
		echo "$user:700000:65536" >"$work/subuid"
		export -f as_user
		run_as() { # sees another /etc/subuid than anybody else on this machine
			unshare --mount --propagation private bash -c 'mount --bind "$work/subuid" /etc/subuid && mount --bind "$work/subuid" /etc/subgid && as_user "$@"' bash "$@"
		}
		many_users ids 700000
	else
		echo "SKIPPED: a user with ids: newuidmap is not installed (uidmap)"
	fi
else
	walk user
fi
