#!/bin/bash
# Actions that bring a Dockerfile: built before they run, kept for the next time, refused by file and line; one of another
# repository with a base of a registry; jobs that build at once, are killed, or never end. By `assay run` as root, and all of it again as
# an ordinary user. The base is an image of this machine's busybox.
. "$(dirname "$0")/lib.sh"
fixtures=$top/tests/fixtures
for program in docker-registry busybox python3; do
	command -v "$program" >/dev/null || { echo "SKIPPED: $program is not installed"; exit 0; }
done
[ "$(stat -f -c %T "$work")" != overlayfs ] || { echo "SKIPPED: what a build changes cannot lie on an overlay"; exit 0; }

out=$work/out
has() { grep -qF -- "$2" "$out" || { cat "$out"; die "$who: $1: no '$2'"; }; check "$who: $1"; }
hasnt() { ! grep -qF -- "$2" "$out" || { cat "$out"; die "$who: $1: '$2'"; }; check "$who: $1"; }
long=9$RANDOM$RANDOM # what only this story's commands have in their arguments
registry_start() {
	local n
	for n in 1 2 3 4 5; do
		OCI_ANONYMOUS=1 "$fixtures/oci-registry.sh" start "$work/registry" $((20000 + RANDOM % 20000)) >/dev/null && break
		"$fixtures/oci-registry.sh" stop "$work/registry"
		[ "$n" != 5 ] || die "the registry does not start"
	done
	. "$work/registry/env"
}
workers_end() { # of runs that a failure here has left
	local pid
	for pid in $(cat "$work"/xdg/assay/jobs/*/events.jsonl "$work"/home/xdg/assay/jobs/*/events.jsonl 2>/dev/null | jq -r 'select(.type=="begin").pid'); do
		grep -aq assay-worker "/proc/$pid/cmdline" 2>/dev/null && kill -9 "$pid"
	done
}
trap 'ended=$?; set +e; workers_end; "$fixtures/oci-registry.sh" stop "$work/registry"; (exit $ended); cleanup' EXIT
registry_start
python3 "$fixtures/oci-image.py" layout "$work/onbuild" --config '{"OnBuild":["RUN echo must not run"]}' >/dev/null
machine=$(python3 -c 'import os; print({"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine])')

python3 "$fixtures/oci-image.py" layout "$work/base" \
	--config '{"Env":["PATH=/bin:/usr/bin","FROM_BASE=yes"],"Entrypoint":["/bin/base"],"Cmd":["of the base"]}' \
	--file 'etc/hello=from the base\n' >/dev/null
base=oci:$work/base
python3 "$fixtures/oci-image.py" push "$work/base" "$OCI_REGISTRY/team/base:1" >/dev/null

mkdir -p "$work/tree/.github/workflows" "$work/tree/simple" "$work/tree/act/more/data/inner" "$work/tree/act/more/globs"
cd "$work/tree"
cat >simple/action.yml <<YML
name: simple
inputs: {who: {default: nobody}}
outputs: {said: {description: what it said}}
runs:
  using: docker
  image: Dockerfile
  args: ["one two", "\${{ inputs.who }}"]
  env: {FROM_ACTION: "yes"}
YML
cat >simple/Dockerfile <<DOCKER
FROM $base
RUN echo built >/built && echo "building here"
COPY entrypoint.sh /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
DOCKER
cat >simple/entrypoint.sh <<'SH'
#!/bin/sh
echo "args: $*; input $INPUT_WHO; $(cat /built); $FROM_ACTION $FROM_BASE; $(pwd)"
echo "said=hi $INPUT_WHO" >>"$GITHUB_OUTPUT"
cat from-step
SH
chmod 755 simple/entrypoint.sh

cat >act/action.yml <<'YML'
name: act
runs: {using: docker, image: more/Dockerfile, entrypoint: /check, post-entrypoint: /after}
YML
echo kept >act/more/data/inner/kept; echo x >act/more/data/ignored.log; echo y >act/more/data/needed.log
ln -s inner/kept act/more/data/link
echo 1 >act/more/globs/a.txt; echo 2 >act/more/globs/b.txt; echo 3 >act/more/globs/c.md
printf '*.nothing\n**/*.log\n!data/needed.log\n' >act/more/.dockerignore
(cd act/more/data && tar czf ../packed.tar.gz inner)
cat >act/more/Dockerfile <<'DOCKER'
# syntax=docker/dockerfile:1
# escape=\
ARG BASE=oci:/nowhere
ARG BASE=@BASE@
FROM ${BASE} AS builder
ARG GREETING="hello there"
ARG TARGETARCH
ENV GREETING_ENV=$GREETING OTHER="a b" \
    # a comment between lines that belong together

    THIRD=${UNSET:-fallback}
WORKDIR /build
WORKDIR sub
RUN echo "$GREETING|$GREETING_ENV|$OTHER|$THIRD|$TARGETARCH|$(pwd)|$HOME" >result; \
    ln -s /build/sub /shortcut
RUN ["/bin/sh", "-c", "echo json form >>result"]
RUN <<EOF
echo a document >>result
echo "two lines of $GREETING" >>result
EOF
RUN <<'END'
#!/bin/sh
echo "a script $0" | sed 's|/.*/||' >>result
END
RUN cat >>result <<TEXT && echo after >>result
fed to a command
TEXT

FROM $BASE AS unused
RUN exit 9

FROM ${BASE}
LABEL a=b "c d"="e f"
MAINTAINER someone
EXPOSE 80
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s CMD true
COPY --from=builder /build/sub/result /result
COPY --from=0 --chmod=700 /shortcut/res* /results/
COPY data /data
COPY --chown=1234:1235 globs/*.txt globs/c.md /globs/
COPY . /all/
ADD packed.tar.gz /unpacked/
ADD globs/c.md /plain.md
COPY <<FILE /from-a-document
base $FROM_BASE \$literal
FILE
COPY data/link /followed
RUN ln -s /real /dir-link && mkdir /real && rm /etc/hello && touch /tmp/left && chmod 4755 /bin/busybox
COPY data/inner/kept /dir-link/
SHELL ["/bin/ash", "-e", "-c"]
RUN false || true; echo shell >/shelled
USER worker
RUN id -u >/tmp/who
USER 0:0
WORKDIR /work/here
COPY --chmod=755 <<'CHECK' /check
#!/bin/sh
set -e
cat /result
echo "results $(ls /results) $(stat -c %a /results/result)"
echo "data $(ls /data | tr '\n' ' ')$(cat /data/inner/kept) $(readlink /data/link)"
echo "globs $(ls /globs | tr '\n' ' ')"
echo "all $(ls -A /all | tr '\n' ' ')"
echo "unpacked $(cat /unpacked/inner/kept) $(cat /plain.md)"
cat /from-a-document
echo "followed $(cat /followed) $(test -L /followed || echo a file)"
echo "by a link $(cat /real/kept)"
test ! -e /etc/hello && echo "removed"
test ! -u /bin/busybox && echo "no set-user-ID"
echo "who $(cat /tmp/who) $(cat /shelled) $(test -d /work/here && echo made)"
test ! -e /run/assay && echo "nothing of the builder"
CHECK
COPY --chmod=755 <<'AFTER' /after
#!/bin/sh
echo "the post entrypoint"
AFTER
RUN env | grep -q SECRET || echo "no secret, $(ls /run/assay/work /run/assay/home | grep -c .git) repos"
DOCKER
sed -i "s|@BASE@|$base|" act/more/Dockerfile

cat >.github/workflows/main.yml <<'YML'
on: push
jobs:
  main:
    runs-on: any
    env: {A_SECRET: "${{ secrets.TOKEN }}"}
    steps:
      - uses: actions/checkout@v4
      - run: echo "from the workspace" >from-step
      - id: simple
        uses: ./simple
        with: {who: you}
      - run: echo "output ${{ steps.simple.outputs.said }}"
      - uses: ./act
      - uses: ./only
      - uses: ./users
YML
mkdir users
cat >users/Dockerfile <<DOCKER
FROM $base
RUN echo >/given && chown worker:staff /given
COPY --chown=worker Dockerfile /worker/
ADD --chown=0:50 Dockerfile /group
ENTRYPOINT ["/bin/stat", "-c", "%u:%g of %n", "/given", "/worker", "/worker/Dockerfile", "/group"]
DOCKER
mkdir only
cat >only/dockerfile <<DOCKER
FROM scratch AS nothing
COPY dockerfile /kept
FROM scratch
COPY --from=$base /bin/busybox /bin/sh
COPY --from=nothing /kept /here/
ENV PATH=/mine:\$PATH
CMD echo "no action.yml, and no base: \$PATH \$(while read -r line; do echo "\$line"; break; done </here/kept)"
DOCKER
printf 'on: push\njobs:\n' >.github/workflows/bad.yml
bad() { # NAME MESSAGE [IMAGE]: an action with the Dockerfile on stdin, that is to fail with this
	mkdir -p "bad-$1"
	printf 'name: bad\nruns: {using: docker, image: %s}\n' "${3:-Dockerfile}" >"bad-$1/action.yml"
	cat >"bad-$1/Dockerfile"
	printf '%s\t%s\n' "$1" "$2" >>"$work/bad"
	printf '  %s:\n    runs-on: any\n    steps: [{uses: actions/checkout@v4}, {uses: ./bad-%s}]\n' "$1" "$1" >>.github/workflows/bad.yml
}
bad fails "./bad-fails/Dockerfile:3: RUN exit 7: it ended with exit code 7" <<<"FROM $base

RUN exit 7"
bad mount "./bad-mount/Dockerfile:3: RUN --mount cannot be done here" <<<"FROM $base
RUN echo must not run
RUN --mount=type=cache,target=/x true"
bad url "./bad-url/Dockerfile:3: ADD: 'https://example.org/x': only files of the action's folder" <<<"FROM $base
RUN echo must not run
ADD https://example.org/x /x"
bad platform "./bad-platform/Dockerfile:1: FROM: --platform=linux/riscv64 is not this machine's" <<<"FROM --platform=linux/riscv64 $base"
bad onbuild "./bad-onbuild/Dockerfile:2: ONBUILD" <<<"FROM $base
ONBUILD RUN true"
bad onbase "./bad-onbase/Dockerfile:1: FROM: the image oci:$work/onbuild has ONBUILD instructions" <<<"FROM oci:$work/onbuild"
bad word "./bad-word/Dockerfile:2: 'RUNS' is no instruction" <<<"FROM $base
RUNS true"
bad up "'../../etc/shadow' leads out of the Dockerfile's folder" <<<"FROM $base
COPY ../../etc/shadow /x"
bad link "'link' cannot be read below the Dockerfile's folder" <<<"FROM $base
COPY link /x"
ln -s /etc/passwd bad-link/link
bad climb "its image '../simple/Dockerfile' lies outside of the action's folder" ../simple/Dockerfile <<<"FROM $base"
bad absent "'nothing' is not there, below the Dockerfile's folder" <<<"FROM $base
RUN echo must not run
COPY nothing /x"
bad over "./bad-over/Dockerfile:2: COPY Dockerfile /bin/busybox/x: it ended with exit code 1" <<<"FROM $base
COPY Dockerfile /bin/busybox/x"
bad nobase "./bad-nobase/Dockerfile:1: FROM: image oci:/nowhere" <<<"FROM oci:/nowhere"

# of another repository, in a folder of it
mkdir -p "$work/src/acme/dock.git/sub"
cat >"$work/src/acme/dock.git/sub/action.yml" <<'YML'
runs: {using: docker, image: Dockerfile, pre-entrypoint: /pre, args: ["by args"]}
YML
cat >"$work/src/acme/dock.git/sub/Dockerfile" <<DOCKER
FROM $OCI_REGISTRY/team/base:1
RUN echo building the remote one && printf '#!/bin/sh\necho the pre entrypoint\n' >/pre && chmod +x /pre
COPY . /action
ENTRYPOINT ["/bin/echo", "the remote action"]
DOCKER
(cd "$work/src/acme/dock.git" && git init -q -b main . && git add -A && git commit -qm one && git tag v1)
cat >"$work/assay.yml" <<YML
actions: {sources: ["file://$work/src/{repo}.git"]}
images: {local: [$work]}
YML
cat >.github/workflows/remote.yml <<'YML'
on: push
jobs:
  remote:
    runs-on: any
    steps: [{run: echo the first step}, {uses: acme/dock/sub@v1}]
YML
mkdir -p twice endless
printf 'runs: {using: docker, image: Dockerfile}\n' | tee twice/action.yml >endless/action.yml
printf 'FROM %s\nRUN sleep 1; echo once >/once\nRUN cat /once >/twice\nENTRYPOINT ["cat", "/twice"]\n' "$base" >twice/Dockerfile
printf 'FROM %s\nRUN exec sleep %s\n' "$base" "$long" >endless/Dockerfile
cat >.github/workflows/twice.yml <<'YML'
on: push
jobs:
  a: {runs-on: any, steps: [{uses: actions/checkout@v4}, {uses: ./twice}]}
  b: {runs-on: any, steps: [{uses: actions/checkout@v4}, {uses: ./twice}]}
  boxed: {runs-on: any, container: "@BASE@", steps: [{uses: actions/checkout@v4}, {uses: ./twice}]}
YML
sed -i "s|@BASE@|$base|" .github/workflows/twice.yml
cat >.github/workflows/endless.yml <<'YML'
on: push
jobs:
  endless: {runs-on: any, timeout-minutes: 0.2, steps: [{uses: actions/checkout@v4}, {uses: ./endless}, {run: echo after}]}
YML
sed 's/timeout-minutes: 0.2, //' .github/workflows/endless.yml >.github/workflows/killed.yml

git init -q -b main .
git add -A; git commit -qm first
chmod -R a+rX "$work/base" "$work/onbuild" "$work/tree" "$work/src" "$work/assay.yml"

images_of() { echo "$XDG_DATA_HOME/assay/images"; }
layers() { find "$1" -path '*/layers-*/*.json' | wc -l; }
processes() { ps -eo args= | grep -cE "^sleep $long" || :; }
gone() { # WHAT
	local i
	for i in $(seq 1200); do
		[ "$(processes)" = 0 ] && { check "$who: $1"; return 0; }
		sleep 0.1
	done
	ps -eo pid,ppid,args; die "$who: $1: its command still runs"
}
others() {
	local run worker i
	run_as --workflow .github/workflows/remote.yml --config "$work/assay.yml" >"$out" 2>&1 || { cat "$out"; die "$who: the remote one failed"; }
	expect "$who: one of another repository is built before the first step, and runs" \
		"building the remote one;the pre entrypoint;the first step;the remote action by args;" \
		"$(sed -n 's/^remote *| \(building the remote one\|the pre entrypoint\|the first step\|the remote action by args\)$/\1/p' "$out" | tr '\n' ';')"
	run_as --workflow .github/workflows/twice.yml >"$out" 2>&1 || { cat "$out"; die "$who: two at once failed"; }
	expect "$who: jobs that build the same at once, and one in a container" 3 "$(grep -cE '^(a|b|boxed) *\| once$' "$out")"
	! run_as --workflow .github/workflows/endless.yml >"$out" 2>&1 || { cat "$out"; die "$who: an endless RUN succeeded"; }
	has "an endless RUN ends at the job's time limit" "the job ran longer than its limit of 0.2 minutes"
	hasnt "nothing runs after it" "| after"
	gone "nor itself"
	run_as --workflow .github/workflows/killed.yml >"$out" 2>&1 &
	run=$!
	for i in $(seq 1800); do [ "$(processes)" = 0 ] || break; sleep 0.1; done
	[ "$(processes)" != 0 ] || { cat "$out"; die "$who: the RUN did not start"; }
	worker=$(cat "$(images_of)"/../jobs/*/events.jsonl | jq -r 'select(.type=="begin").pid' | tail -1)
	kill -9 "$worker"
	gone "a killed worker takes its build along"
	if wait "$run"; then die "$who: a job whose worker was killed has succeeded"; fi
}
walk() { # WHO: everything, by `run_as` as it is defined then
	who=$1
	local images count name message
	images=$(images_of)
	run_as --workflow .github/workflows/main.yml --secret TOKEN=do-not-tell >"$out" 2>&1 || { cat "$out"; die "$who: the run failed"; }
	has "a RUN's output is in the log" "| building here"
	has "under a group that names the file" "Build container for action use: '/home/runner/work/tree/tree/simple/Dockerfile'"
	has "arguments, inputs, environment" "args: one two you; input you; built; yes yes; /github/workspace"
	has "the workspace" "| from the workspace"
	has "outputs" "| output hi you"
	has "ARG, ENV, continued lines, WORKDIR" "| hello there|hello there|a b|fallback|$machine|/build/sub|/root"
	has "RUN in JSON" "| json form"
	has "a here-document of RUN" "| two lines of hello there"
	has "one that is a script" "| a script END"
	has "one that a command reads" "| fed to a command"
	hasnt "a stage that nothing needs" "exit 9"
	has "COPY from a stage, with a mode and a wildcard" "| results result 700"
	has "COPY of a folder, and .dockerignore" "| data inner link needed.log kept inner/kept"
	has "wildcards" "| globs a.txt b.txt c.md"
	has "COPY of everything" "| all .dockerignore Dockerfile data globs packed.tar.gz"
	has "ADD unpacks a tar and nothing else" "| unpacked kept 3"
	has "a here-document of COPY" "| base yes \$literal"
	has "a link that is named is followed" "| followed kept a file"
	has "COPY through a link of the image" "| by a link kept"
	has "what a RUN removes" "| removed"
	has "set-user-ID is dropped" "| no set-user-ID"
	has "USER, SHELL, WORKDIR" "| who 1234 shell made"
	has "a layer has nothing of the builder's" "| nothing of the builder"
	has "neither secrets nor the workspace" "| no secret, 0 repos"
	has "an action that is a Dockerfile alone, from scratch" "| no action.yml, and no base: /mine:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin FROM scratch AS nothing"
	# root's agent has a range of ids where nothing else does; an ordinary user's makes images of one
	if ls -d "$images"/layers-*-*-* >/dev/null 2>&1 && [ "$who" = root ]; then
		has "its users" "| 1234:50 of /given"
		has "COPY --chown" "| 1234:1234 of /worker/Dockerfile"
		has "ADD --chown" "| 0:50 of /group"
	else
		has "one user, and chown that succeeds" "| 0:0 of /given"
		has "COPY --chown likewise" "| 0:0 of /worker/Dockerfile"
	fi
	has "post-entrypoint" "| the post entrypoint"
	hasnt "secrets are masked" "do-not-tell"
	count=$(layers "$images")
	run_as --workflow .github/workflows/main.yml --secret TOKEN=do-not-tell >"$out" 2>&1 || { cat "$out"; die "$who: the second run failed"; }
	has "the second run uses the kept image" "layers, kept, ready after"
	hasnt "and builds nothing" "building here"
	has "and runs it" "args: one two you; input you; built"
	expect "$who: nor adds a layer" "$count" "$(layers "$images")"
	sed -i 's/building here/building anew/' simple/Dockerfile
	run_as --workflow .github/workflows/main.yml --secret TOKEN=do-not-tell >"$out" 2>&1 || { cat "$out"; die "$who: the third run failed"; }
	has "another Dockerfile is built anew" "building anew"
	git checkout -q simple/Dockerfile
	chmod a+r simple/Dockerfile
	! run_as --workflow .github/workflows/bad.yml >"$out" 2>&1 || { cat "$out"; die "$who: bad ones should fail"; }
	while IFS=$'\t' read -r name message; do
		has "refused: $name" "$message"
	done <"$work/bad"
	hasnt "nothing runs before all is understood" "| must not run"
	others
	expect "$who: nothing is left of builds" "" "$(find "$images/staging" "$images/../jobs" -mindepth 1 -maxdepth 2 -path '*/staging/*' -o -name build 2>/dev/null)"
}
run_as() { "$ASSAY" run --repo "$work/tree" --event push "$@"; }
"$ASSAY" validate simple/action.yml act/action.yml .github/workflows/main.yml >/dev/null || die "validate refuses an action with a Dockerfile"
check "validate takes them"
if [ "$(id -u)" = 0 ]; then
	walk root
	user=nobody
	for_user "$user"
	mkdir -p "$work/home"; chown "$user" "$work/home"
	images_of() { echo "$work/home/xdg/assay/images"; }
	run_as() {
		runuser -u "$user" -- env HOME="$work/home" XDG_DATA_HOME="$work/home/xdg" ASSAY_SOCKET=none "$ASSAY" run --repo "$work/tree" --event push "$@"
	}
	walk user
else
	walk user
fi
