#!/bin/bash
# `assay run` on a terminal: a live tree that fits, also after a resize; what failed at the end; Ctrl-C once and twice.
. "$(dirname "$0")/lib.sh"
command -v tmux >/dev/null || die "this story needs tmux"
mkdir -p "$work/tree/.github/workflows" "$work/flags"
cd "$work/tree"
cat >.github/workflows/w.yml <<'YML'
name: build
on: push
jobs:
  data:
    runs-on: any
    steps:
      - run: echo made
  test:
    needs: data
    runs-on: any
    strategy: {fail-fast: false, matrix: {v: [1, 2]}}
    steps:
      - name: Look
        run: |
          printf '\033[2J\033[1;1Hepoch 7 of the training of this model, with a long line that no narrow terminal can hold\n'
          while [ ! -e /flags/go ]; do sleep 0.05; done
          [ ${{ matrix.v }} = 1 ] || { echo "ValueError: no rows"; exit 3; }
YML
tm() { tmux -L "assay-$$" -f /dev/null "$@"; }
end_tmux() { local status=$?; set +e; tm kill-server 2>/dev/null; (exit $status); cleanup; }
trap end_tmux EXIT
export LC_ALL=C.UTF-8
tm new-session -d -s keep 'sleep 1000' # the server lives as long as a session does
screen() { tm capture-pane -p -t s; }
wait_screen() { # PATTERN
	local i
	for i in $(seq 300); do screen 2>/dev/null | grep -qE "$1" && return 0; sleep 0.1; done
	screen >&2 || :
	die "the screen does not show: $1"
}
start() { # COLUMNS ROWS COMMAND
	tm new-session -d -s s -x "$1" -y "$2" "$3"
}
chmod 777 "$work/flags"
printf 'sandbox:\n  mounts:\n    - {source: %s, target: /flags, writable: true}\n' "$work/flags" >"$work/assay.yml"
run="$ASSAY run --config $work/assay.yml --data $data"

start 100 30 "$run; echo \"exit \$?\"; sleep 60"
wait_screen '✓ data'
wait_screen '[◐◓◑◒] test \(1\)'
wait_screen 'epoch 7 of the training of this model, with a long line that no narrow terminal can hold'
expect "the tree begins with its workflow" yes "$(screen | head -1 | grep -qE '^[◐◓◑◒] build  running' && echo yes)"
expect "each job once" "3" "$(screen | grep -cE '^  [✓◐◓◑◒] (data|test)')"
tm resize-window -t s -x 40 -y 30
wait_screen 'epoch 7 of the training of thi'
sleep 0.5
expect "a narrow one holds each line" 0 "$(screen | awk 'length($0) > 40' | wc -l)"
expect "and still each job once" 3 "$(screen | grep -cE '^  [✓◐◓◑◒] (data|test)')"
expect "and its workflow once" 1 "$(screen | grep -cE '^[◐◓◑◒] build')"
tm resize-window -t s -x 90 -y 6
sleep 0.5
wait_screen 'more lines'
expect "a low one too" yes "$(screen | grep -qE '^[◐◓◑◒] build' && echo yes)"
tm resize-window -t s -x 90 -y 40
sleep 0.3
touch "$work/flags/go"
wait_screen 'exit 1'
expect "at the end the tree stays" yes "$(screen | grep -qE "^✗ build  failure" && screen | grep -qE '^  ✓ test \(1\)' && screen | grep -qE '^  ✗ test \(2\)' && echo yes)"
expect "and what failed follows" yes "$(screen | grep -A9 "== test (2), step 'Look' ==" | grep -q '^ValueError: no rows' && echo yes)"
tm kill-session -t s

# Without colours, and without a terminal.
rm "$work/flags/go"; touch "$work/flags/go"
drawn() { script -qec "$1" /dev/null </dev/null >"$work/drawn" 2>&1 || :; }
TERM=xterm drawn "$run"
expect "colours on a terminal" yes "$(grep -q $'\x1b\[32m' "$work/drawn" && echo yes)"
NO_COLOR=1 TERM=xterm drawn "$run"
expect "none with NO_COLOR" 0 "$(grep -c $'\x1b\[3[0-9]m' "$work/drawn" || :)"
expect "a tree all the same" yes "$(grep -q '✓ test (1)' "$work/drawn" && echo yes)"
TERM=dumb drawn "$run"
expect "lines where nothing can be drawn" yes "$(grep -qE '^test \(2\) +\| ValueError' "$work/drawn" && echo yes)"
$run >"$work/piped" 2>/dev/null || :
expect "lines in a pipe" yes "$(grep -qE '^test \(2\) +\| ValueError: no rows' "$work/piped" && ! grep -q '✗' "$work/piped" && echo yes)"

# Ctrl-C once: the steps that clean up run. Twice: it ends at once, and its workers with it.
cat >.github/workflows/w.yml <<YML
name: long
on: push
jobs:
  wait:
    runs-on: any
    steps:
      - run: echo waiting; sleep 300
      - if: always()
        run: |
          touch /flags/cleaning
          while [ ! -e /flags/clean ]; do sleep 0.05; done
          touch /flags/cleaned
YML
start 80 24 "$run; echo \"exit \$?\"; sleep 60"
wait_screen 'waiting'
tm send-keys -t s C-c
wait_screen 'cancelling: steps that clean up still run'
for _ in $(seq 300); do [ -e "$work/flags/cleaning" ] && break; sleep 0.1; done
[ -e "$work/flags/cleaning" ] || die "the step that cleans up did not run"
touch "$work/flags/clean"
wait_screen 'exit 1'
[ -e "$work/flags/cleaned" ] || die "the step that cleans up was not let end"
check "Ctrl-C lets steps clean up"
expect "the job was cancelled" yes "$(screen | grep -qE '⊘ (wait|long)' && echo yes)"
tm kill-session -t s
rm "$work/flags/clean" "$work/flags/cleaning"
start 80 24 "$run; echo \"exit \$?\"; sleep 60"
wait_screen 'waiting'
tm send-keys -t s C-c
for _ in $(seq 300); do [ -e "$work/flags/cleaning" ] && break; sleep 0.1; done
tm send-keys -t s C-c
wait_screen 'exit 1'
check "Ctrl-C twice ends it"
pid=$(jq -r 'select(.type == "begin").pid' "$data"/jobs/*/events.jsonl 2>/dev/null | tail -1)
for _ in $(seq 100); do [ -z "$pid" ] || ! grep -aq assay-worker "/proc/$pid/cmdline" 2>/dev/null && break; sleep 0.1; done
[ -z "$pid" ] || ! grep -aq assay-worker "/proc/$pid/cmdline" 2>/dev/null || die "its worker goes on"
check "and its workers with it"
