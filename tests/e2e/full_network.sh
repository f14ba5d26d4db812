#!/bin/bash
# The network `full`: a way out of a network of the job's own, for steps, services and images; what it does not reach, the
# config's list, and what a job says where there is no way out. Where this machine has no route out, it is made one.
[ -n "${ASSAY_WITH_ROUTE:-}" ] || ASSAY_WITH_ROUTE=1 exec "$(dirname "$0")/../fixtures/with-route" "$0" "$@"
. "$(dirname "$0")/lib.sh"
for program in ip pasta python3; do
	command -v "$program" >/dev/null || die "this story needs $program: packaging/install-packages test"
done
address=$(ip -4 -o addr show scope global | sed -n 's/.*inet \([0-9.]*\).*/\1/p' | head -1)
if [ -z "$address" ]; then
	lacking "this machine has no address but its loopback's, and no network can be made"
elif ! "$ASSAY" exec --network full -- true 2>"$work/why"; then
	grep -qE 'no default route|/dev/net/tun' "$work/why" || die "$(cat "$work/why")"
	lacking "$(cat "$work/why")"
fi

# What is outside here: this machine's own address, which the config names. It answers on two ports, one of them named.
cat >"$work/server.py" <<'PY'
import socket, sys, threading
servers = [socket.create_server((address, 0)) for address in (sys.argv[1], sys.argv[1], "127.0.0.1")]
print(*(server.getsockname()[1] for server in servers), flush=True)
def serve(server):
    while True:
        peer = server.accept()[0]
        with peer: # what was asked is read before the end, which would be a reset otherwise
            peer.settimeout(60)
            peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\noutside\n")
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
for server in servers[1:]:
    threading.Thread(target=serve, args=(server,), daemon=True).start()
serve(servers[0])
PY
python3 "$work/server.py" "$address" >"$work/ports" 2>"$work/server.log" &
server=$!
run=
trap 'ended=$?; set +e; kill $server $run 2>/dev/null; wait $server $run 2>/dev/null; (exit $ended); cleanup' EXIT
for _ in $(seq 600); do [ ! -s "$work/ports" ] || break; sleep 0.1; done
read -r named other local <"$work/ports" || die "the server does not start: $(cat "$work/server.log")"

mkdir -p "$work/tree/.github/workflows"
cd "$work/tree"
cat >ask.py <<'PY'
import socket, sys
for where in sys.argv[1:]:
    address, port = where.rsplit(":", 1)
    try:
        with socket.create_connection((address, int(port)), 60) as peer:
            print(where, peer.makefile().read().split()[-1])
    except OSError as why:
        print(where, type(why).__name__, why.errno)
PY
cat >.github/workflows/w.yml <<YML
on: push
jobs:
  a:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - run: python3 ask.py $address:$named $address:$other 127.0.0.1:$local 169.254.169.254:80
      - run: cat /etc/hosts /etc/resolv.conf; grep -c . /proc/net/dev
YML
asked() { # the lines of a job with a config
	printf '%s\n' "$1" >"$work/config.yml"
	"$ASSAY" run --json --network "${2:-full}" --config "$work/config.yml" >"$work/stdout" 2>"$work/stderr" || { cat "$work/stdout" "$work/stderr"; die "the run failed"; }
	jq -r 'select(.line).line' "$work/stdout" >"$work/lines"
}
line() { # line WHAT WANTED
	grep -qxF "$2" "$work/lines" || { cat "$work/lines"; die "$1: no line '$2'"; }
	check "$1"
}

asked "sandbox: {allow: [\"*\", \"$address:$named\"]}"
line "a server outside is reached" "$address:$named outside"
line "this machine's own address is not, unless it is named" "$address:$other OSError 101"
line "nor its loopback" "127.0.0.1:$local ConnectionRefusedError 111"
line "nor a metadata address" "169.254.169.254:80 OSError 101"

asked "sandbox: {allow: [\"$address:$named\", \"$address:$other\"]}"
line "a list of hosts and ports alone" "$address:$other outside"
! grep -q nameserver "$work/lines" || die "a job with a list has DNS"
check "and no DNS besides"

asked "sandbox: {allow: [\"*\", \"$address:$named\"], repos: {local/tree: {allow: [\"$address:$other\"]}, local/other: {allow: [\"*\"]}}}"
line "a list of the repo's own, instead" "$address:$other outside"
line "and not what the agent's would let through" "$address:$named OSError 101"
! grep -q nameserver "$work/lines" || die "a job with a list of its own has DNS"
asked "sandbox: {full_network: host, repos: {local/tree: {allow: [\"$address:$other\"]}}}"
line "it holds where others have the host's network" "127.0.0.1:$local ConnectionRefusedError 111"
line "and lets through what it names" "$address:$other outside"
asked "sandbox: {repos: {local/tree: {allow: [\"*\"]}}}" loopback
line "a list gives no network" "$address:$other OSError 101"

if [ "$(id -u)" = 0 ]; then # a name that only this machine's /etc/hosts knows
	printf '127.0.0.1 localhost\n%s outside.test\n' "$address" >"$work/hosts"
	unshare --mount sh -c '
		[ -e /etc/hosts ] || { cp -a /etc "$0.etc" && touch "$0.etc/hosts" && mount --bind "$0.etc" /etc; } # a bare system has none
		mount --bind "$0" /etc/hosts && exec "$@"' "$work/hosts" "$ASSAY" exec --network full --allow "outside.test:$named" -- \
		bash -c "exec 3<>/dev/tcp/outside.test/$named && tail -1 <&3" >"$work/lines" 2>&1 || { cat "$work/lines"; die "a name of the list is not reached"; }
	line "a name of the list is looked up outside, and known inside" outside
	"$ASSAY" exec --network full --allow "no-such-name.invalid:80" -- true 2>"$work/stderr" && die "a name that nobody knows was taken"
	grep -q "cannot look up 'no-such-name.invalid'" "$work/stderr" || die "$(cat "$work/stderr")"
	check "a name that is not known fails the job"
fi

asked "sandbox: {full_network: host}"
line "the host's own network where the config says so" "127.0.0.1:$local outside"

status=0
printf 'sandbox: {allow: ["127.0.0.1:80"]}\n' >"$work/config.yml"
"$ASSAY" run --network full --config "$work/config.yml" >/dev/null 2>"$work/stderr" || status=$?
[ $status != 0 ] && grep -q 'no host and port' "$work/stderr" || die "a loopback address in the list: $(cat "$work/stderr")"
check "a loopback address in the list is refused"

status=0
PATH=$work "$ASSAY" exec --network full -- true >"$work/stdout" 2>"$work/stderr" || status=$?
[ $status != 0 ] && grep -q 'install the package passt' "$work/stderr" || die "without pasta: $(cat "$work/stdout" "$work/stderr")"
check "without pasta it fails, and says what to install"

# A service and a step in an image share the network and its way out.
if command -v busybox >/dev/null; then
	python3 "$top/tests/fixtures/oci-image.py" layout "$work/image" --config '{"Env":["PATH=/bin"]}' >/dev/null
	chmod -R a+rX "$work/image"
	cat >.github/workflows/w.yml <<YML
on: push
jobs:
  inside:
    runs-on: any
    container: oci:$work/image
    services:
      web:
        image: oci:$work/image
        command: sh -c "mkdir -p /w && echo from-service >/w/index.html && httpd -f -p 80 -h /w"
        options: --health-cmd "wget -q -O - http://localhost/" --health-interval 1s --health-retries 60
    steps:
      - run: |
          wget -q -O - http://web/ && wget -q -O - http://$address:$named/
          wget -q -T 60 -O - http://$address:$other/ || echo kept out
YML
	asked "sandbox: {allow: [\"*\", \"$address:$named\"]}"
	line "an image's step reaches its service" "from-service"
	line "and the server outside" "outside"
	line "and no other" "kept out"
fi
# Whatever ends the worker ends the way out.
cat >.github/workflows/w.yml <<YML
on: push
jobs:
  a:
    runs-on: any
    steps: [{run: "echo started; sleep 600"}]
YML
printf 'sandbox: {}\n' >"$work/config.yml"
"$ASSAY" run --json --network full --config "$work/config.yml" >"$work/stdout" 2>&1 &
run=$!
for _ in $(seq 1200); do ! grep -q started "$work/stdout" || break; sleep 0.1; done
# Folders of the planner, and of what ended before, may still be there, and go meanwhile; the job's tells of its isolation.
worker=
for _ in $(seq 600); do
	for events in "$XDG_DATA_HOME"/assay/jobs/*/events.jsonl; do
		grep -qs '"type":"isolation"' "$events" || continue
		pid=$(jq -r 'select(.type=="begin").pid' "$events" 2>/dev/null) && [ -n "$pid" ] && [ -d "/proc/$pid" ] && worker=$pid
	done
	[ -z "$worker" ] || break
	sleep 0.1
done
[ -n "$worker" ] || die "the job has no worker"
way_out=
for status in /proc/[0-9]*/status; do # one of them may end meanwhile
	text=$(cat "$status" 2>/dev/null) || continue
	grep -qE "^PPid:[[:space:]]$worker\$" <<<"$text" && grep -qE '^Name:[[:space:]]pas[st][at]' <<<"$text" && way_out=$(tr -dc 0-9 <<<"$status")
done
[ -n "$way_out" ] || die "the worker $worker has no child that is pasta"
kill -9 "$worker"
wait $run && die "a job without its worker succeeded"
run=
for _ in $(seq 600); do [ -d "/proc/$way_out" ] || break; sleep 0.1; done
[ ! -d "/proc/$way_out" ] || die "pasta $way_out outlives its worker"
check "kill -9 of the worker leaves no pasta"
