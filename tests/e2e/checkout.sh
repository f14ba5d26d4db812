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

# A remote over HTTP that asks for a password: the repo's token opens it, its own jobs have it, masked; strangers do not.
served=$work/served
mkdir -p "$served/acme"
git clone -q --bare "$work/other.git" "$served/acme/secret.git"
"$here/git_server.py" "$served" "right-token-0123456789" >"$work/git-port" 2>"$work/git-log" &
server=$!
trap 'status=$?; set +e; kill $server 2>/dev/null; (exit $status); cleanup' EXIT # cleanup looks at the status
for _ in $(seq 200); do [ -s "$work/git-port" ] && break; sleep 0.05; done
address=http://127.0.0.1:$(cat "$work/git-port")
git_new private
git clone -q --bare "$work/private.git" "$served/acme/private.git"
bare=$served/acme/private.git clone=$work/private repo=acme/private
git -C "$clone" remote set-url origin "$bare"
mkdir -p "$clone/.assay/workflows"
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: [push, pull_request]
permissions: {contents: read}
jobs:
  it:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - run: |
          echo "LENGTH ${#TOKEN} ${#BY_SECRET} AND [$TOKEN]"
          git config --get-regexp extraheader | grep -c basic || :
        env: {TOKEN: "${{ github.token }}", BY_SECRET: "${{ secrets.GITHUB_TOKEN }}"}
      - uses: actions/checkout@v4
        continue-on-error: true
        with: {repository: acme/secret, path: beside, persist-credentials: false}
      - run: echo "BESIDE $(cat beside/who) $(git -C beside config --get-regexp extraheader | wc -l)"
YML
commit "Private"
add() { "$ASSAY" repo add "$repo" "$address/acme/private.git" --webhook-secret-file "$work/webhook-secret" "$@" >/dev/null; }
add
run_fails() { # WHAT MESSAGE
	local delivery i
	delivery=$(push)
	for i in $(seq 200); do grep -qF "$2" "$work/log" && break; sleep 0.05; done
	grep -qF "$2" "$work/log" || { tail -20 "$work/log"; die "$1: no '$2'"; }
	check "$1"
	echo x >>"$clone/top"; commit again
}
run_fails "without a token a private repo is refused with what to do" "it asks for credentials; give a token or a key"
printf 'wrong-token' >"$work/token"
add --token-file "$work/token"
run_fails "a wrong token is told" "its credentials were refused"
printf 'right-token-0123456789' >"$work/token"
add --token-file "$work/token"
run=$(run_of "$(push)")
wait_status "$run" success 60
"$ASSAY" runs log "$run" >"$work/run-log"
has "the right one opens it; the job has it, masked" "Z LENGTH 22 22 AND \[\*\*\*\]"
has "and its git, too" "Z 1$"
has "a repo beside it on the server is to be had" "Z BESIDE other 0"
has "the job is told what 'permissions' mean for it" "permissions"

# Git LFS over HTTP: by the repo's token the address, by the address's ticket the bytes; each failure names the object
mkdir -p "$served/lfs"
cp "$work/large" "$served/lfs/$oid"
cp "$clone/.assay/workflows/w.yml" "$work/w.yml"
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: push
jobs:
  it:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
        with: {lfs: true}
      - run: echo "HTTP $(sha256sum <large.bin | cut -c1-64) $(git status --porcelain | wc -l) $(find .git/lfs -name "$(sha256sum <large.bin | cut -c1-64)" | wc -l)"
YML
echo '*.bin filter=lfs diff=lfs merge=lfs -text' >"$clone/.gitattributes"
pointer() { printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' "$1" "$2" >"$clone/large.bin"; commit "Point to $1"; }
size=$(stat -c %s "$work/large")
pointer "$oid" "$size"
run=$(run_of "$(push)")
wait_status "$run" success 60
"$ASSAY" runs log "$run" >"$work/run-log"
has "LFS over HTTP gives the bytes, and git finds nothing changed" "HTTP $oid 0 1"
lfs_fails() { # WHAT OID SIZE MESSAGE
	pointer "$2" "$3"
	run=$(run_of "$(push)")
	wait_status "$run" failure 60
	"$ASSAY" runs log "$run" >"$work/run-log"
	has "$1" "large.bin: .*$2.*$4"
}
none=${oid:1}${oid:0:1}
lfs_fails "an object that the server has not" "$none" 5 "the server says 404: Object does not exist"
tr 0-9 1-90 <"$work/large" >"$served/lfs/$none"
lfs_fails "bytes that are others" "$none" "$size" "have another digest"
lfs_fails "more bytes than the pointer says" "$oid" $((size - 1)) "sent more than was announced"
lfs_fails "fewer bytes than the pointer says" "$oid" $((size + 1)) "sent $size of $((size + 1)) bytes"
git -C "$clone" rm -q large.bin .gitattributes
cp "$work/w.yml" "$clone/.assay/workflows/w.yml"
commit "No LFS any more"
push >/dev/null
! grep -rq "right-token" "$data"/logs "$data"/jobs "$work/log" "$data/assay.db" || die "the token is written down somewhere"
check "the token is written down nowhere"
head=$(git -C "$clone" rev-parse main)
git -C "$bare" update-ref refs/pull/3/head "$head"; git -C "$bare" update-ref refs/pull/3/merge "$head"
body=$(jq -cn --arg s "$head" --arg r "$repo" '{action:"opened",number:3,repository:{full_name:$r,default_branch:"main"},sender:{login:"mallory"},
	pull_request:{number:3,title:"x",head:{sha:$s,ref:"x",repo:{id:2}},base:{ref:"main",sha:$s,repo:{id:1}}}}')
delivery=$(cat /proc/sys/kernel/random/uuid)
post_github "$delivery" pull_request "$body" >/dev/null
run=$(run_of "$delivery")
wait_status "$run" success 60
"$ASSAY" runs log "$run" >"$work/run-log"
has "a stranger's run is fetched with it, and does not get it" "Z LENGTH 0 0 AND \[\]"
has "nor what is beside it on the server" "it asks for credentials"
