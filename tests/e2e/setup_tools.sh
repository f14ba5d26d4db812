#!/bin/bash
# setup-python and setup-node: versions that are there and are not, ranges, files, outputs, PATH, pip from a folder of
# wheels, a cache of pip between runs, npm's registry. Without network.
. "$(dirname "$0")/lib.sh"
mkdir -p "$work/repo/.github/workflows" "$work/repo/wheels" "$data"
cd "$work/repo"
printf 'actions: {sources: []}\n' >"$work/assay.yml"
have=$(/usr/bin/python3 -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
minor=${have%.*}
run() { # STEPS: a workflow of one job
	{ printf 'on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n'; cat; } >.github/workflows/w.yml
	"$ASSAY" run --config "$work/assay.yml" --repo "$work/repo" --event push --data "$data" >"$work/out" 2>"$work/err" || :
}
has() { grep -qF -- "$2" "$work/out" "$work/err" || { cat "$work/out" "$work/err"; die "$1: no '$2'"; }; check "$1"; }
fails() { # INPUT: VALUE, what is said
	run <<<"      - uses: actions/setup-${3:-python}@v5
        with: {$1}"
	has "$1 is refused" "$2"
}

# a wheel, written by hand: pip needs no index for it
python3 - <<'PY'
import zipfile
name = 'assay_probe-1.2.3'
with zipfile.ZipFile(f'wheels/{name}-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('assay_probe.py', 'import sys\ndef main(): print("probe of", sys.executable)\n')
    wheel.writestr(f'{name}.dist-info/METADATA', 'Metadata-Version: 2.1\nName: assay-probe\nVersion: 1.2.3\n')
    wheel.writestr(f'{name}.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
    wheel.writestr(f'{name}.dist-info/entry_points.txt', '[console_scripts]\nassay-probe = assay_probe:main\n')
    wheel.writestr(f'{name}.dist-info/RECORD', ''.join(f'{n},,\n' for n in ['assay_probe.py'] + [f'{name}.dist-info/{f}' for f in ['METADATA', 'WHEEL', 'entry_points.txt', 'RECORD']]))
PY
echo assay-probe >requirements.txt
cat >pyproject.toml <<TOML
[project]
name = "x"
requires-python = ">=3.8,!=3.9.0"
TOML
echo '{"engines": {"node": ">=12"}}' >package.json
echo 'v1.2.3' >.nvmrc

run <<YAML
      - uses: actions/setup-python@v5
        id: p
        with: {python-version: "3.8 - $minor", cache: pip}
      - run: |
          echo "version \${{ steps.p.outputs.python-version }} hit \${{ steps.p.outputs.cache-hit }}"
          echo "path \${{ steps.p.outputs.python-path }} \$(command -v python)"
          echo "location \$pythonLocation \$(command -v pip3)"
          python -c 'import sys; print("runs", "%d.%d.%d" % sys.version_info[:3])'
          mkdir -p ~/.cache/pip; echo kept >~/.cache/pip/f
      - run: pip install --no-index --find-links wheels -r requirements.txt
      - run: assay-probe; python -c 'import assay_probe; print("imported from", assay_probe.__file__)'
YAML
base=/home/runner/work/_tool/Python/$have/x64
[ "$(uname -m)" = x86_64 ] || base=/home/runner/work/_tool/Python/$have/arm64
has "a range, the newest that fits" "a | version $have hit false"
has "outputs and PATH agree" "a | path $base/bin/python $base/bin/python"
has "pythonLocation and pip" "a | location $base $base/bin/pip3"
has "it runs" "a | runs $have"
has "pip installs from a folder, without an index" "Successfully installed assay-probe-1.2.3"
has "what it installed is in PATH" "a | probe of $base/bin/python"
has "and is imported from the job's own folder" "a | imported from $base/lib/python$minor/site-packages/assay_probe.py"
has "pip's cache is kept" "Cache saved with key: setup-python-Linux-"

run <<YAML
      - uses: actions/setup-python@v5
        id: p
        with: {python-version-file: pyproject.toml, cache: pip}
      - run: echo "hit \${{ steps.p.outputs.cache-hit }} \$(cat ~/.cache/pip/f) \${{ steps.p.outputs.python-version }}"
      - uses: actions/setup-python@v5
        with: {python-version: "$minor", update-environment: false, cache: poetry}
      - uses: actions/setup-python@v5
      - uses: actions/setup-node@v4
        id: n
        with: {node-version-file: package.json, registry-url: "https://npm.example.org/", scope: acme}
      - run: |
          echo "node \${{ steps.n.outputs.node-version }} \$(node --version) \$(command -v python)"
          cat "\$NPM_CONFIG_USERCONFIG"
YAML
has "a file's range, and pip's cache comes back" "a | hit true kept $have"
has "a cache that is not kept is said so" "actions/setup-python: 'cache: poetry' has no effect here"
has "no version is a warning" "The 'python-version' input is not set. The version of Python currently in 'PATH' will be used."
has "node, and python stays in front" "a | node $(/usr/bin/node --version) $(/usr/bin/node --version) $base/bin/python"
has "npm's registry" "a | @acme:registry=https://npm.example.org/"
has "and its token by name" 'a | //npm.example.org/:_authToken=${NODE_AUTH_TOKEN}'

fails 'python-version: "2.7"' "there is no python 2.7 here (there is $have"
fails 'python-version: 3.10' "there is no python 3.1 here"
has "a number that lost its zero is explained" "Was 3.10 meant? It needs quotes: without them YAML reads the number 3.1"
fails 'python-version: pypy3.10' "'pypy3.10' cannot be had here, only CPython"
fails 'python-version: newest' "'newest' is no version, and no range of versions"
fails 'python-version-file: none.txt' "python-version-file 'none.txt'"
fails "python-version: '$minor', architecture: x86" "not 'x86'; remove 'architecture'"
fails "python-version: '$minor', pip-install: x" "run pip in a step"
fails "python-version: '$minor', cache: pip, cache-dependency-path: no/such" "cache: no file in the workspace fits no/such"
fails 'node-version-file: .nvmrc' "there is no node v1.2.3 here (there is v" node
fails 'node-version: lts/argon' "there is no node lts/argon here" node
