#!/bin/bash
# What `uses:` can name: built-in actions, a composite action of the repository, caches between runs; without a server.
. "$(dirname "$0")/lib.sh"
mkdir -p "$work/repo/.assay/workflows" "$work/repo/greet" "$work/repo/inner" "$work/data"
cd "$work/repo"
git init -q -b main .
cat >greet/action.yml <<'YAML'
inputs:
  who: {default: world}
outputs:
  said: {value: "${{ steps.s.outputs.text }}!"}
runs:
  using: composite
  steps:
    - id: s
      shell: bash
      run: |
        echo "text=hello ${{ inputs.who }}" >> $GITHUB_OUTPUT
        echo "KEPT=yes" >> $GITHUB_ENV
        echo "X=$X Y=$Y"; test -f $GITHUB_ACTION_PATH/action.yml
      env: {Y: inner}
    - uses: ./inner
      with: {wish: "${{ inputs.who }}"}
    - if: failure()
      shell: sh
      run: echo cleaned up inside
YAML
cat >inner/action.yml <<'YAML'
inputs: {wish: {required: true}}
runs:
  using: composite
  steps: [{shell: sh, run: "test ${{ inputs.wish }} != trouble"}]
YAML
cat >.assay/workflows/w.yml <<'YAML'
on: push
jobs:
  a:
    runs-on: x
    steps:
      - uses: actions/cache@v4
        id: cache
        with: {path: "~/.cache/thing\nvenv", key: "k-${{ hashFiles('greet/**') }}", restore-keys: k-}
      - run: |
          echo "cache-hit=${{ steps.cache.outputs.cache-hit }} $(cat ~/.cache/thing/f venv/.g 2>&1 | tr '\n' ' ')"
          mkdir -p ~/.cache/thing venv; echo one > ~/.cache/thing/f; echo two > venv/.g
      - uses: ./greet
        id: greet
        env: {X: outer}
        with: {who: you}
      - run: echo "${{ steps.greet.outputs.said }} $KEPT ${{ inputs.who }}"
      - uses: actions/upload-artifact@v4
        with: {name: kept, path: "greet\n!**/none"}
      - uses: actions/setup-python@v5
        with: {python-version: 3.x}
      - run: python -c 'print("python runs")'
      - uses: ./greet
        id: bad
        continue-on-error: true
        with: {who: trouble}
      - run: echo "bad=${{ steps.bad.outcome }} ${{ steps.bad.conclusion }} ${{ job.status }}"
  b:
    needs: a
    runs-on: x
    steps:
      - uses: actions/download-artifact@v4
        with: {name: kept, path: got}
      - run: cmp got/action.yml greet/action.yml && echo the same
  c:
    runs-on: x
    steps: [{uses: "far/away@v1"}]
YAML
git add -A; git commit -qm first
echo 'actions: {sources: []}' >"$work/assay.yml"
run() { "$ASSAY" run --config "$work/assay.yml" --repo "$work/repo" --event push >"$work/out" 2>"$work/err" || :; }
has() { grep -qF -- "$2" "$work/out" "$work/err" || { cat "$work/out" "$work/err"; die "$1: no '$2'"; }; check "$1"; }
run
has "a cache that is not there is no error" "a | cache-hit= "
has "the using step's environment is around the action's" "a | X=outer Y=inner"
has "an action's outputs and environment come out, its inputs do not" "a | hello you! yes "
has "python is what this machine has" "a | python runs"
has "a failing action is one failing step" "a | bad=failure success success"
has "its later steps may look at the failure" "a | cleaned up inside"
has "an artifact goes from job to job" "b | the same"
has "what may not be fetched is named with its line" ".assay/workflows/w.yml:36: step 'Run far/away@v1': actions of other repositories are not allowed here: actions.sources in assay.yml is empty"
run
has "a cache comes back to home and workspace" "a | cache-hit=true one two"
