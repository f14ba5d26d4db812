#!/bin/bash
# actions/checkout in full: what git in the job then says. Submodules, other repositories, LFS, sparse checkouts; remotes over
# HTTP with a password; what a stranger writes into .gitmodules is refused.
. "$(dirname "$0")/lib.sh"
agent_start
git_new() { # git_new NAME: a bare repository beside the story's, and a clone of it
	git init -q --bare -b main "$work/$1.git"
	git init -q -b main "$work/$1"
	git -C "$work/$1" remote add origin "$work/$1.git"
}
git_push() { git -C "$work/$1" add -A; git -C "$work/$1" commit -qm "${2:-more}"; git -C "$work/$1" push -q origin HEAD:main; }
module() { git -C "$work/$1" -c protocol.file.allow=always submodule add -q --name "$4" "$2" "$3"; }
git_new innermost; echo core >"$work/innermost/core"; git_push innermost
git_new inner; echo inside >"$work/inner/file";
git -C "$work/inner" remote set-url origin "$work/inner.git"; module inner ../innermost.git deps/core core; git_push inner
git_new other; echo other >"$work/other/who"; git_push other
repo_new acme/super
"$ASSAY" repo add acme/other "file://$work/other.git" >/dev/null
git -C "$clone" -c protocol.file.allow=always submodule add -q --name third/inner ../inner.git third/inner
mkdir -p "$clone/.assay/workflows" "$clone/docs/deep" "$clone/src/a" "$clone/src/b"
echo top >"$clone/top"; echo d >"$clone/docs/d"; echo e >"$clone/docs/deep/e"; echo a >"$clone/src/a/a.py"; echo b >"$clone/src/b/b.py"
# an LFS object, where git-lfs keeps it in the bare repository
seq 50000 >"$work/large"
oid=$(sha256sum "$work/large" | cut -c1-64)
mkdir -p "$bare/lfs/objects/${oid:0:2}/${oid:2:2}"; cp "$work/large" "$bare/lfs/objects/${oid:0:2}/${oid:2:2}/$oid"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' "$oid" "$(stat -c %s "$work/large")" >"$clone/large.bin"
cp "$clone/large.bin" "$clone/pointer.txt"; echo '*.bin filter=lfs diff=lfs merge=lfs -text' >"$clone/.gitattributes"
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: push
jobs:
  modules:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
        with: {submodules: true}
      - run: |
          echo "ONE $(cat third/inner/file) $(ls third/inner/deps/core | wc -l) $(git status --porcelain | wc -l)"
          git submodule status
          git -C third/inner log --oneline | wc -l
      - uses: actions/checkout@v4
        with: {submodules: recursive, fetch-depth: 0, path: all}
      - run: |
          cd all
          echo "ALL $(cat third/inner/deps/core/core) $(git status --porcelain | wc -l) $(git submodule status --recursive | grep -c '^ ')"
          git -C third/inner/deps/core rev-parse --show-toplevel; git -C third/inner/deps/core status --short --branch
          git submodule foreach --recursive --quiet 'echo "EACH $name $(git rev-parse HEAD | wc -c)"'
          echo "DESCRIBED $(git describe --tags) AHEAD $(git diff --stat origin/main...HEAD | wc -l)"
  sparse:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
        with: {sparse-checkout: "src/a\ndocs/deep"}
      - run: |
          echo "CONE $(git ls-files -t | grep -c ^S) $(find . -path ./.git -prune -o -type f -print | sort | tr '\n' ' ')"
          git status --porcelain | wc -l; git sparse-checkout list; git sparse-checkout add src/b; echo "ADDED $(cat src/b/b.py)"
      - uses: actions/checkout@v4
        with: {sparse-checkout: "*.py\n!b.py\n/top", sparse-checkout-cone-mode: false}
      - run: echo "PATTERNS $(find . -path ./.git -prune -o -type f -print | sort | tr '\n' ' ') $(git status --porcelain | wc -l)"
  rest:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
        id: it
        with: {lfs: true}
      - run: git status --short; echo "POINTER $(wc -l <pointer.txt)"; git diff --stat
      - run: echo "LFS $(sha256sum <large.bin | cut -c1-64) $(git status --porcelain | wc -l) ${{ steps.it.outputs.commit == github.sha }} ${{ steps.it.outputs.ref }}"
      - uses: actions/checkout@v4
        id: other
        with: {repository: acme/other, path: other}
      - run: echo "OTHER $(cat other/who) $(git -C other remote get-url origin | xargs basename) ${{ steps.other.outputs.commit }}"
      - uses: actions/checkout@v4
        id: gone
        continue-on-error: true
        with: {repository: acme/gone}
      - run: echo "GONE ${{ steps.gone.outcome }}"
YML
commit "All kinds"
git -C "$clone" tag v1.0; git -C "$clone" push -q origin v1.0 2>/dev/null || :
run=$(run_of "$(push)")
git -C "$clone" push -q origin v1.0 2>/dev/null || :
wait_status "$run" success 120
"$ASSAY" runs log "$run" >"$work/run-log"
has() { grep -qE -- "$2" "$work/run-log" || { cat "$work/run-log"; die "$1: no '$2'"; }; check "$1"; }
has "a submodule is there, its own are not; git finds nothing changed" "Z ONE inside 0 0$"
has "git knows the submodule" " [0-9a-f]{40} third/inner"
has "recursive brings all of them" "Z ALL core 0 2$"
has "git works inside of each" "EACH core 41"
has "describe and diff work with the whole history" "DESCRIBED v1.0 AHEAD 0"
has "a cone has its folders, and the files on the way" "CONE 4 ./docs/d ./docs/deep/e ./large.bin ./src/a/a.py ./top|CONE [0-9]+ .*./docs/deep/e .*./src/a/a.py ./top"
has "git can widen it" "ADDED b"
has "patterns decide file by file" "PATTERNS ./src/a/a.py ./top  0"
has "LFS gives the bytes, and git finds nothing changed" "LFS $oid 0 true refs/heads/main"
has "what .gitattributes does not give to LFS stays as it is" "Z POINTER 3"
has "another repo that the agent serves" "OTHER other other.git [0-9a-f]{40}"
has "one that nobody knows is refused by name" "this agent knows no repo 'acme/gone'"

# What a stranger may write into .gitmodules
n=0
for from in "ext::sh -c touch% $work/pwned" "file:///etc" "/root/secret.git" "--upload-pack=touch $work/pwned" "../../../../etc/x" "http://127.0.0.1:1/x"; do
	git -C "$clone" config -f .gitmodules submodule.third/inner.url "$from"
	n=$((n + 1))
	cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: push
jobs:
  modules:
    runs-on: any
    steps: [{uses: actions/checkout@v4, with: {submodules: true}}]
YML
	commit "Hostile $n"
	run=$(run_of "$(push)")
	wait_status "$run" failure 60
	"$ASSAY" runs log "$run" | grep -q "https and ssh are allowed" || { "$ASSAY" runs log "$run"; die "'$from' was not refused"; }
	check "a submodule from '${from%% *}' is refused"
done
expect "and nothing of it ran" "" "$(ls "$work/pwned" 2>/dev/null || :)"
