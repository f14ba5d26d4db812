#!/bin/bash
# `assay run`: the same engine without a server, over a working tree.
. "$(dirname "$0")/lib.sh"
mkdir -p "$work/tree/.github/workflows"
cd "$work/tree"
cat >.github/workflows/hello.yml <<'YML'
on: [push, workflow_dispatch]
env:
  GREETING: hello
jobs:
  one:
    runs-on: ubuntu-latest
    outputs:
      word: ${{ steps.say.outputs.word }}
    steps:
      - uses: actions/checkout@v4
      - run: cat file.txt
      - id: say
        run: echo "word=$GREETING" >> "$GITHUB_OUTPUT"
      - run: 'echo "the secret is ${{ secrets.TOKEN }}"'
  two:
    needs: one
    strategy:
      matrix:
        n: [1, 2]
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ needs.one.outputs.word }} ${{ matrix.n }}"
  three:
    needs: two
    if: failure()
    runs-on: ubuntu-latest
    steps:
      - run: echo never
YML
echo "from the tree" >file.txt
"$ASSAY" run --secret TOKEN=hunter2hunter2 >"$work/stdout" 2>"$work/stderr" || { cat "$work/stdout" "$work/stderr"; die "exit $?"; }
grep -Eq '^one +\| from the tree$' "$work/stdout" || { cat "$work/stdout"; die "no line of the checked out file"; }
check "a line has its job's name in front"
grep -Eq '^two \(1\) +\| hello 1$' "$work/stdout" && grep -Eq '^two \(2\) +\| hello 2$' "$work/stdout" || { cat "$work/stdout"; die "the matrix did not run"; }
check "matrix and outputs"
! grep -q hunter2 "$work/stdout" && grep -q 'the secret is \*\*\*' "$work/stdout" || die "the secret was printed"
check "a secret is masked"
! grep -q never "$work/stdout" || die "failure() was true"
check "a false condition skips"

printf 'on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: exit 7\n  b:\n    needs: a\n    runs-on: x\n    steps:\n      - run: echo no\n' >.github/workflows/hello.yml
status=0; "$ASSAY" run >"$work/stdout" 2>"$work/stderr" || status=$?
expect "a failed job is exit 1" 1 $status
grep -q 'exit' "$work/stderr" || die "no reason given: $(cat "$work/stderr")"
printf 'on: push\njobs:\n  a:\n    runs-on: x\n    stepz: []\n' >.github/workflows/hello.yml
status=0; "$ASSAY" run >"$work/stdout" 2>"$work/stderr" || status=$?
expect "an invalid file is exit 1" 1 $status
grep -q 'stepz' "$work/stderr" || die "the mistake is not named: $(cat "$work/stderr")"
status=0; "$ASSAY" validate .github/workflows/hello.yml >"$work/stdout" 2>&1 || status=$?
expect "validate says so too" 1 $status
grep -q '\^' "$work/stdout" || die "no caret: $(cat "$work/stdout")"
status=0; "$ASSAY" run --nonsense >/dev/null 2>"$work/stderr" || status=$?
expect "wrong use is exit 2" 2 $status
status=0; "$ASSAY" runs list >/dev/null 2>"$work/stderr" || status=$?
expect "no agent is exit 3" 3 $status
grep -q 'is it running' "$work/stderr" || die "it does not say what to do: $(cat "$work/stderr")"
expect "nothing is left behind" "" "$(ls "$XDG_DATA_HOME/assay/jobs")"
