# What the stories share: an agent of their own on a free port, repos, pushes, waiting. Source it; it ends what it started.
# shellcheck shell=bash
set -euo pipefail
: "${ASSAY:?set ASSAY to the program to test}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-e2e.XXXXXX")
chmod 755 "$work"
data=$work/data
agent_pid=
checks=0
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 HOME=$work XDG_DATA_HOME=$work/xdg
export GIT_AUTHOR_NAME=bob GIT_AUTHOR_EMAIL=bob@example.org GIT_COMMITTER_NAME=bob GIT_COMMITTER_EMAIL=bob@example.org
unset ASSAY_URL ASSAY_TOKEN
export ASSAY_SOCKET=$data/assay.sock

cleanup() {
	local status=$?
	trap - EXIT
	if [ $status -ne 0 ]; then
		echo "--- the agent's log ---"; tail -40 "$work/log" 2>/dev/null || :
	fi
	# workers outlive their agent on purpose: here they end by their process ids
	local pids
	pids=$(cat "$data"/jobs/*/events.jsonl 2>/dev/null | jq -r 'select(.type=="begin").pid' 2>/dev/null || :)
	[ -z "$agent_pid" ] || kill "$agent_pid" 2>/dev/null || :
	for pid in $pids; do grep -aq assay-worker "/proc/$pid/cmdline" 2>/dev/null && kill -9 "$pid" 2>/dev/null || :; done
	[ -z "$agent_pid" ] || wait "$agent_pid" 2>/dev/null || :
	# a sanitized agent or worker tells of errors in the log, of leaks at its end
	if grep -qE 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$work/log" 2>/dev/null; then
		echo "FAILED: a sanitizer found an error"
		grep -E -A40 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$work/log" | head -200
		status=1
	fi
	if [ -n "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
	[ $status -ne 0 ] || echo "ok: $checks checks"
	exit $status
}
trap cleanup EXIT
trap 'exit 143' TERM INT

check() { checks=$((checks + 1)); echo "  - $*"; }
die() { echo "FAILED: $*"; exit 1; }
lacking() { # WHAT: root can have all that a story needs, so it is a failure there; for an ordinary user it is said, and no more
	[ "$(id -u)" != 0 ] || die "$*"
	echo "NOT SHOWN: $*"
	trap - EXIT
	rm -rf "$work"
	exit 77
}
expect() { # expect WHAT WANTED GOT
	[ "$2" = "$3" ] || die "$1: wanted '$2', got '$3'"
	check "$1"
}

agent_start() { # further options of serve
	: >"$work/out"
	"$ASSAY" serve --data "$data" --listen "127.0.0.1:${port:-0}" "$@" >"$work/out" 2>>"$work/log" </dev/null &
	agent_pid=$!
	for _ in $(seq 400); do
		grep -q '^ready ' "$work/out" && break
		kill -0 "$agent_pid" 2>/dev/null || die "the agent ended at its start"
		sleep 0.05
	done
	url=$(sed -n 's/^ready //p' "$work/out")
	[ -n "$url" ] || die "the agent did not say ready"
	port=${url##*:}
}
agent_stop() { kill "$agent_pid"; wait "$agent_pid" || :; agent_pid=; }
agent_kill() { kill -9 "$agent_pid"; wait "$agent_pid" 2>/dev/null || :; agent_pid=; }

for_user() { # USER: programs in a folder that others may not enter (a clone in /root) are copied to where this user can start them
	runuser -u "$1" -- test -x "$ASSAY" && return 0
	mkdir -p "$work/programs"
	cp "$ASSAY" "$ASSAY"-agent "$ASSAY"-worker "$ASSAY"-language "$work/programs/"
	ASSAY=$work/programs/assay
}

repo_new() { # repo_new acme/digits: bare repo, clone in $work/clone, secret, known to the agent
	repo=$1
	bare=$work/${repo//\//-}.git
	clone=$work/${repo//\//-}
	git init -q --bare -b main "$bare"
	git init -q -b main "$clone"
	git -C "$clone" remote add origin "$bare"
	printf 'secret-of-%s\n' "$repo" >"$work/webhook-secret"
	"$ASSAY" repo add "$repo" "file://$bare" --webhook-secret-file "$work/webhook-secret"
}
commit() { git -C "$clone" add -A; git -C "$clone" commit -q -m "$1"; }
# push [WHO]: pushes main and sends the signed webhook as GitHub does; prints the delivery's id
push() {
	local before after body signature delivery
	before=$(git -C "$bare" rev-parse -q --verify refs/heads/main || echo 0000000000000000000000000000000000000000)
	git -C "$clone" push -q origin main
	after=$(git -C "$clone" rev-parse main)
	body=$(jq -cn --arg b "$before" --arg a "$after" --arg r "$repo" --arg who "${1:-bob}" --arg t "$(git -C "$clone" log -1 --format=%s)" \
		'{ref:"refs/heads/main",before:$b,after:$a,deleted:false,repository:{full_name:$r,name:($r|split("/")[1]),default_branch:"main"},
		  pusher:{name:$who},sender:{login:$who},head_commit:{id:$a,message:$t,author:{name:$who}},commits:[]}')
	delivery=$(cat /proc/sys/kernel/random/uuid)
	post_github "$delivery" push "$body" >"$work/status"
	[ "$(cat "$work/status")" = 202 ] || die "the webhook was answered $(cat "$work/status")"
	echo "$delivery"
}
sign() { printf %s "$1" | openssl dgst -sha256 -hmac "$(cat "$work/webhook-secret")" | sed 's/.* //'; }
post_github() { # DELIVERY EVENT BODY: prints the status
	curl -sS --noproxy '*' -o "$work/answer" -w '%{http_code}' "$url/webhooks/github" -H 'Content-Type: application/json' \
		-H "X-GitHub-Event: $2" -H "X-GitHub-Delivery: $1" -H "X-Hub-Signature-256: sha256=$(sign "$3")" --data-binary "$3"
}
run_of() { # DELIVERY: the id of its run, once it is there
	local id=
	for _ in $(seq 600); do
		id=$("$ASSAY" runs list --delivery "$1" --json | jq -r '.runs[0].id // empty')
		[ -n "$id" ] && break
		sleep 0.05
	done
	[ -n "$id" ] || die "delivery $1 started no run"
	echo "$id"
}
run_json() { "$ASSAY" runs show "$1" --json; }
wait_status() { # RUN STATUS [SECONDS]
	local status= i
	for i in $(seq $(( ${3:-120} * 10 ))); do
		status=$(run_json "$1" | jq -r .status)
		[ "$status" = "$2" ] && return 0
		case $status in success|failure|cancelled|skipped) break ;; esac
		sleep 0.1
	done
	run_json "$1" | jq . >&2
	"$ASSAY" runs log "$1" | tail -40 >&2 || :
	die "run $1 is '$status' and not '$2'"
}
jobs_left() { # what is in the folder of jobs, once nothing is: a folder goes when its worker has, which is after its run's end
	for _ in $(seq 300); do [ -n "$(ls "$data/jobs" 2>/dev/null)" ] || return 0; sleep 0.1; done
	ls "$data/jobs"
}
gate_of() { run_json "$1" | jq -r '[.jobs[] | select(.gate != null)][0].gate'; }
# as USER COMMAND…: the command line with the user's own token
as() {
	local token
	[ -f "$work/token-$1" ] || "$ASSAY" token create "$1" >"$work/token-$1"
	token=$(cat "$work/token-$1")
	shift
	env -u ASSAY_SOCKET ASSAY_URL="$url" ASSAY_TOKEN="$token" "$ASSAY" "$@"
}
