#!/bin/bash
# Actions of other repositories: node actions with pre, main, post and state, written with @actions/core; composite actions
# that use others; a tag that moves, a source that is away, what is refused. Without a server, then by an agent; as root,
# and once more as an ordinary user.
. "$(dirname "$0")/lib.sh"
src=$work/src
mkdir -p "$src/acme" "$work/repo/.github/workflows"
repository() { # NAME: makes it, and goes there
	git init -q -b main "$src/$1.git"
	cd "$src/$1.git"
}
keep() { git add -A; git commit -q -m "$1"; }
config() { printf '%s\n' "$@" >"$work/assay.yml"; }
config "actions: {sources: [\"file://$src/{repo}.git\"]}" "sandbox: {network: loopback}"
run() { # JOB STEPS…: a workflow of one job; $out has what was said
	{ printf 'on: push\njobs:\n  %s:\n    runs-on: x\n    steps:\n' "$1"; cat; } >"$work/repo/.github/workflows/w.yml"
	"$ASSAY" run --config "$work/assay.yml" --repo "$work/repo" --event push --data "$data" >"$work/out" 2>"$work/err" || :
}
has() { grep -qF -- "$2" "$work/out" "$work/err" || { cat "$work/out" "$work/err"; die "$1: no '$2'"; }; check "$1"; }
lacks() { ! grep -qF -- "$2" "$work/out" "$work/err" || { cat "$work/out" "$work/err"; die "$1: '$2'"; }; check "$1"; }
order() { # WHAT PATTERN…: lines of the log, in this order
	local what=$1 at=0 next; shift
	for pattern; do
		next=$(grep -nF -- "$pattern" "$work/out" | cut -d: -f1 | awk -v at="$at" '$1 > at { print; exit }')
		[ -n "$next" ] || { cat "$work/out" "$work/err"; die "$what: no '$pattern' after line $at"; }
		at=$next
	done
	check "$what"
}

# --- a node action
repository acme/node
cat >action.yml <<'YAML'
name: a node action
inputs:
  who am I: {description: a name, default: "by ${{ github.event_name }}"}
  old: {deprecationMessage: use who}
outputs: {said: {description: what it said}}
runs: {using: node20, pre: dist/pre.js, main: dist/main.js, post: dist/post.js}
YAML
mkdir dist
cat >dist/pre.js <<'JS'
const fs = require('fs');
console.log(`pre ${process.env['INPUT_WHO_AM_I']}`);
fs.appendFileSync(process.env.GITHUB_STATE, 'early=from pre\n');
JS
cat >dist/main.js <<'JS'
const fs = require('fs');
const e = process.env;
console.log(`main ${e['INPUT_WHO_AM_I']}, ${e.STATE_early}, ${e.GITHUB_ACTION_REPOSITORY}@${e.GITHUB_ACTION_REF}`);
console.log(`in the workspace: ${process.cwd() === e.GITHUB_WORKSPACE}; its own files: ${fs.existsSync(e.GITHUB_ACTION_PATH + '/action.yml')}`);
fs.appendFileSync(e.GITHUB_STATE, 'late=from main\n');
fs.appendFileSync(e.GITHUB_OUTPUT, `said=hello ${e['INPUT_WHO_AM_I']}\n`);
if (e['INPUT_WHO_AM_I'] === 'trouble') process.exit(4);
JS
echo "console.log(\`post \${process.env['INPUT_WHO_AM_I']}, \${process.env.STATE_early}, \${process.env.STATE_late}\`)" >dist/post.js
keep one; git tag v1; first=$(git rev-parse HEAD)
run a <<'YAML'
      - run: echo the first step
      - uses: acme/node@v1
        id: n
        with: {old: x, unknown: y}
      - uses: acme/node@v1
        if: false
      - run: echo "said ${{ steps.n.outputs.said }}"
      - uses: acme/node@v1
        with: {who am I: trouble}
      - run: echo not reached
YAML
order "all pre run first, posts last and backwards" "Download action repository 'acme/node@v1' (SHA:$first)" "pre by push" "pre trouble" \
	"the first step" "main by push, from pre, acme/node@v1" "main trouble, from pre" "post trouble, from pre, from main" "post by push, from pre, from main"
has "it starts in the workspace and finds its own files" "in the workspace: true; its own files: true"
has "its outputs are the step's" "a | said hello by push"
has "a deprecated input is warned of" "##[warning]Input 'old' has been deprecated with message: use who"
has "an unknown input is warned of" "##[warning]Unexpected input(s) 'unknown', valid inputs are ['who am I', 'old']"
has "its exit code is the step's" "step 'Run acme/node@v1': it ended with exit code 4"
lacks "steps behind a failure do not run" "a | not reached"

# --- composite actions, of a repository, with others in them
repository acme/kit
mkdir -p lint/inner
cat >lint/action.yml <<'YAML'
inputs: {who: {default: nobody}}
outputs: {said: {value: "${{ steps.n.outputs.said }}, ${{ inputs.who }}"}}
runs:
  using: composite
  steps:
    - uses: acme/node@v1
      id: n
      with: {who am I: "kit of ${{ inputs.who }}"}
    - uses: ./inner
    - run: echo "kit in $(pwd), $(basename "$GITHUB_ACTION_PATH")"
      shell: bash
      working-directory: /tmp
      env: {X: y}
    - run: exit 7
      shell: sh
      continue-on-error: ${{ inputs.who != 'trouble' }}
    - run: echo "only after a failure"
      shell: sh
      if: failure()
YAML
echo 'runs: {using: composite, steps: [{run: "echo inner of $GITHUB_ACTION_PATH", shell: sh}]}' >lint/inner/action.yml
keep one; git tag v2
run b <<'YAML'
      - uses: acme/kit/lint@v2
        id: k
        with: {who: me}
      - run: echo "said ${{ steps.k.outputs.said }}; ${{ steps.n.outputs.said }}"
      - uses: acme/kit/lint@v2
        with: {who: trouble}
YAML
order "the pre and post of what a composite action uses run around the job" "pre kit of me" "pre kit of trouble" "main kit of me" \
	"kit in /tmp, lint" "main kit of trouble" "only after a failure" "post kit of trouble" "post kit of me"
has "a local action is found beside the one that names it" "inner of /home/runner/work/_actions/acme/kit/v2/lint/inner"
has "outputs come out, and the steps within stay within" "b | said hello kit of me, me; "
has "a failure is told with the file and the step" "step 'Run acme/kit/lint@v2': its step 'Run exit 7': it ended with exit code 7"

# --- a node action of the workspace, and a composite one that uses others
mkdir -p "$work/repo/mine" "$work/repo/both"
echo 'runs: {using: node20, main: ../m.js}' >"$work/repo/mine/action.yml"
echo "console.log('mine in ' + process.env.GITHUB_ACTION_PATH + '; ' + process.env.GITHUB_ACTION_REPOSITORY)" >"$work/repo/m.js"
echo 'runs: {using: composite, steps: [{uses: acme/node@v1, with: {who am I: both}}]}' >"$work/repo/both/action.yml"
run c <<'YAML'
      - uses: ./mine
      - uses: ./both
      - run: exit 1
YAML
has "a node action of the workspace" "mine in /home/runner/work/repo/repo/mine; undefined"
order "what only the workspace names has its pre before its main" "pre both" "main both, from pre" "post both, from pre, from main"

# --- @actions/core
if [ -d "${NODE_PATH:-/nowhere}/@actions/core" ]; then
	repository acme/core
	mkdir node_modules
	cp -r "$NODE_PATH/@actions" "$NODE_PATH/tunnel" "$NODE_PATH/undici" "$NODE_PATH/@fastify" node_modules/
	cat >action.yml <<'YAML'
inputs: {name: {required: true}, many: {}, flag: {}}
runs: {using: node20, main: main.js, post: post.js, post-if: always()}
YAML
	cat >main.js <<'JS'
const core = require('@actions/core');
async function main() {
	core.info(`name ${core.getInput('name', {required: true})} many ${core.getMultilineInput('many').join('+')} flag ${core.getBooleanInput('flag')}`);
	core.setOutput('object', {a: [1, 2]});
	core.setOutput('text', 'two\nlines');
	core.exportVariable('EXPORTED', 'value with = and "quotes"');
	core.addPath('/opt/of-the-action');
	core.setSecret('hunter2-very-secret');
	core.info('it is hunter2-very-secret');
	core.saveState('kept', 'across');
	await core.group('a group', async () => core.info('grouped'));
	core.warning('mind this', {file: 'a.py', startLine: 7, title: 'Mind'});
	core.notice('a note');
	core.debug('not shown');
	await core.summary.addHeading('From core').addTable([[{data: 'k', header: true}], ['v']]).write();
	if (core.isDebug()) throw new Error('no debug was asked for');
	try { core.getInput('absent', {required: true}); } catch (error) { core.info(error.message); }
}
main().catch(error => core.setFailed(error.message));
JS
	echo "const core = require('@actions/core'); core.info('state ' + core.getState('kept')); core.setFailed('post says no')" >post.js
	keep one; git tag v1
	run d <<'YAML'
      - uses: acme/core@v1
        id: c
        with: {name: ada, many: "one\ntwo", flag: true}
      - run: |
          echo '${{ steps.c.outputs.object }}' | tr -d ' '
          echo "${{ steps.c.outputs.text }}" | tail -1
          echo "$EXPORTED"; echo "$PATH" | cut -d: -f1
YAML
	has "getInput, getMultilineInput, getBooleanInput" "name ada many one+two flag true"
	has "setOutput of an object" 'd | {"a":[1,2]}'
	has "setOutput of lines" "d | lines"
	has "exportVariable" 'd | value with = and "quotes"'
	has "addPath" "d | /opt/of-the-action"
	has "setSecret" "d | it is ***"
	lacks "a secret is nowhere" hunter2
	order "group" "##[group]a group" "grouped" "##[endgroup]"
	has "warning" "##[warning]mind this"
	has "an input that is missing is the action's own error" "Input required and not supplied: absent"
	has "saveState and getState" "d | state across"
	has "setFailed in a post fails the job" "Post Run acme/core@v1"
	grep -q '^failure' "$work/err" || die "the job did not fail"
else
	echo "  (no @actions/core: set NODE_PATH as tests/run does)"
fi

# --- a tag moves, a commit does not
cd "$src/acme/node.git"
sed -i 's/`main /`moved main /' dist/main.js
keep two; git tag -f v1 >/dev/null; second=$(git rev-parse HEAD)
run e <<YAML
      - uses: acme/node@v1
      - uses: acme/node@$first
YAML
has "a moved tag is seen at the next run" "Download action repository 'acme/node@v1' (SHA:$second)"
order "a commit stays what it was" "moved main by push, from pre, acme/node@v1" "| main by push, from pre, acme/node@$first"

# --- the source is away
config "actions: {sources: [\"http://127.0.0.1:9/{repo}.git\", \"file://$src/{repo}.git\"]}"
run f <<YAML
      - uses: acme/node@$first
YAML
has "a commit that is kept needs nobody" "main by push, from pre, acme/node@$first"
run f <<<'      - uses: acme/node@v1'
has "the next source does not stand in for one that is away" ".github/workflows/w.yml:6: step 'Run acme/node@v1': http://127.0.0.1:9/acme/node.git: "

# over HTTP, as a forge serves it; then the server ends
git -C "$src/acme/node.git" update-server-info
cat >"$work/forge.py" <<'PY'
import http.server, os, subprocess, sys
class Git(http.server.BaseHTTPRequestHandler):
    def serve(self):
        path, _, query = self.path.partition('?')
        env = dict(os.environ, GIT_PROJECT_ROOT=sys.argv[1], GIT_HTTP_EXPORT_ALL='1', PATH_INFO=path, QUERY_STRING=query,
                   REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get('Content-Type', ''),
                   GIT_CONFIG_COUNT='1', GIT_CONFIG_KEY_0='safe.directory', GIT_CONFIG_VALUE_0='*')
        body = b''
        if 'chunked' in self.headers.get('Transfer-Encoding', ''):
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        env['CONTENT_LENGTH'] = str(len(body))
        out = subprocess.run(['git', 'http-backend'], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b'\r\n\r\n')
        fields = dict(line.split(': ', 1) for line in head.decode().split('\r\n') if ': ' in line)
        self.send_response(int(fields.pop('Status', '200').split()[0]))
        for name, value in fields.items(): self.send_header(name, value)
        self.send_header('Content-Length', str(len(rest))); self.end_headers(); self.wfile.write(rest)
    do_GET = do_POST = serve
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Git)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 "$work/forge.py" "$src" >"$work/port" &
http=$!
for _ in $(seq 200); do [ -s "$work/port" ] && break; sleep 0.05; done
config "actions: {sources: [\"http://127.0.0.1:$(cat "$work/port")/{repo}.git\"]}"
rm -rf "$data/actions"
run g <<<'      - uses: acme/node@v1'
has "by HTTP" "moved main by push"
run g <<<'      - uses: acme/nobody@v1'
has "a repository that is not there is named" "step 'Run acme/nobody@v1': no source has the repository acme/nobody: http://127.0.0.1"
kill $http; wait $http 2>/dev/null || :
run g <<<'      - uses: acme/node@v1'
has "a tag stands for what it meant when its source was last there" "'v1' stands for the commit that it meant when it was last fetched"
has "and is used" "moved main by push"

# --- refused, before anything runs
config "actions: {sources: [\"file://$src/{repo}.git\"]}"
repository acme/bad
ln -s /etc/passwd action.yml; mkdir sub dir wrong; ln -s ../../../etc dir/etc
printf 'runs:\n  using: composite\n  steps:\n    - run: echo\n    - uses: nowhere\n' >wrong/action.yml
printf 'runs: {using: composite, steps: [{uses: acme/bad/sub@v1}]}' >sub/action.yml
keep one; git tag v1
refused() { # USES WHAT
	run h <<YAML
      - run: echo has run
      - uses: $1
YAML
	has "$1 is refused" "$2"
	lacks "nothing has run" "h | has run"
}
refused acme/bad@v1 "acme/bad@v1/action.yml cannot be read: action.yml of acme/bad is a link, which is not followed"
refused acme/bad/dir/etc@v1 "acme/bad@v1/dir/etc: no action.yml"
refused acme/bad/sub@v1 "acme/bad@v1/sub/action.yml:1: acme/bad/sub@v1 uses itself, or actions that use it"
refused acme/bad/wrong@v1 "acme/bad@v1/wrong/action.yml:4:7: Required property is missing: shell"
has "every mistake has its place and a caret" "acme/bad@v1/wrong/action.yml:5:13: nowhere: expected owner/repo@ref"
refused acme/node@v9 ".github/workflows/w.yml:7: step 'Run acme/node@v9': file://$src/acme/node.git has no tag or branch 'v9'; among those it has are v1"
refused acme/none@v1 "no source has the repository acme/none"
refused "acme/node/../kit@v1" "is no folder of a repository"

# --- a built-in action that the admin wants fetched; action.yml on the command line
repository actions/upload-artifact
echo 'runs: {using: node20, main: m.js}' >action.yml
echo "console.log('the stock one uploads ' + process.env.INPUT_PATH)" >m.js
keep one; git tag v4
run i <<<'      - {uses: actions/upload-artifact@v4, with: {path: w.yml}}'
lacks "a built-in action stands for the stock one" "the stock one"
config "actions: {sources: [\"file://$src/{repo}.git\"], fetch: [actions/upload-artifact]}"
run i <<<'      - {uses: actions/upload-artifact@v4, with: {path: w.yml}}'
has "unless the admin wants it fetched" "the stock one uploads w.yml"
"$ASSAY" validate "$src/acme/node.git/action.yml" >"$work/out" 2>"$work/err" || die "a good action.yml is not valid"
! "$ASSAY" validate "$src/acme/bad.git/wrong/action.yml" >"$work/out" 2>"$work/err" || die "a bad action.yml is valid"
has "assay validate reads action.yml" "wrong/action.yml:4:7: Required property is missing: shell"

config "actions: {sources: []}"
refused acme/node@v1 ".github/workflows/w.yml:7: step 'Run acme/node@v1': actions of other repositories are not allowed here: actions.sources in assay.yml is empty"
ln -s /etc "$work/repo/linked"; mkdir -p "$work/repo/farm"; ln -s /etc/passwd "$work/repo/farm/action.yml"
run h <<<'      - uses: ./farm'
has "a link in the workspace is not followed either" "farm/action.yml cannot be read"
lacks "nothing of the host comes through it" "root:"

# --- in an image: its node, or the reason why not
image=$top/tests/fixtures/oci-image.py
if [ -f "$image" ] && command -v busybox >/dev/null; then
	python3 "$image" layout "$work/with" --config '{"Env":["PATH=/bin:/opt/n"]}' \
		--script 'opt/n/node=#!/bin/sh\necho "node of the image: $* $INPUT_A"\n' >/dev/null
	python3 "$image" layout "$work/without" --config '{"Env":["PATH=/bin"]}' >/dev/null
	config "images: {local: [$work]}" "actions: {sources: []}"
	mkdir -p "$work/repo/boxed"
	echo 'runs: {using: node20, main: m.js}' >"$work/repo/boxed/action.yml"
	for which in with without; do
		cat >"$work/repo/.github/workflows/w.yml" <<YAML
on: push
jobs: {a: {runs-on: x, container: "oci:$work/$which", steps: [{uses: ./boxed, with: {a: b}}]}}
YAML
		"$ASSAY" run --config "$work/assay.yml" --repo "$work/repo" --event push --data "$data" >"$work/out" 2>"$work/err" || :
		if [ $which = with ]; then
			has "in an image its node runs actions" "node of the image: /__w/repo/repo/boxed/m.js b"
		else
			has "an image without node is told" "./boxed runs by node20, and the job's image has no 'node' in its PATH"
		fi
	done
fi

# --- by an agent: repos that it serves are known, posts run when a job is cancelled
config "executors: [sandbox]" "actions: {sources: []}"
agent_start --config "$work/assay.yml"
repo_new acme/app
mkdir -p "$clone/.github/workflows"
"$ASSAY" repo add acme/node "file://$src/acme/node.git"
cat >"$clone/.github/workflows/w.yml" <<'YAML'
on: push
jobs:
  a:
    runs-on: x
    steps:
      - uses: acme/node@v1
      - run: |
          echo waiting to be cancelled
          sleep 300
YAML
commit first
id=$(run_of "$(push)")
for _ in $(seq 600); do "$ASSAY" runs log "$id" 2>/dev/null | grep -q 'Z waiting to be' && break; sleep 0.1; done
"$ASSAY" runs cancel "$id"
wait_status "$id" cancelled
"$ASSAY" runs log "$id" >"$work/out"; : >"$work/err"
order "a repo that the agent serves is known, and a cancelled job's posts run" "(SHA:$second)" "pre by push" "moved main by push" \
	"waiting to be cancelled" "post by push, from pre, from main"

# a stranger's run is not told of other repos
sha=$(git -C "$clone" rev-parse HEAD)
git -C "$bare" update-ref refs/pull/1/head "$sha"
cat >"$clone/.github/workflows/w.yml" <<'YAML'
on: pull_request
jobs:
  a:
    runs-on: x
    steps: [{uses: acme/node@v1}]
YAML
commit second; git -C "$clone" push -q origin main
sha=$(git -C "$clone" rev-parse HEAD)
git -C "$bare" update-ref refs/pull/1/head "$sha"
pull_request() { # WHOSE
	jq -cn --arg s "$sha" --arg r "$repo" --arg h "$1" '{action:"opened",number:1,repository:{full_name:$r,name:"app",default_branch:"main"},
		sender:{login:"eve"},pull_request:{number:1,title:"x",head:{sha:$s,ref:"x",repo:{id:($h | length),full_name:$h}},base:{sha:$s,ref:"main",repo:{id:($r | length),full_name:$r}}}}'
}
for whose in eve/copy-of-app acme/app; do
	delivery=$(cat /proc/sys/kernel/random/uuid)
	[ "$(post_github "$delivery" pull_request "$(pull_request $whose)")" = 202 ] || die "the pull request was not taken"
	id=$(run_of "$delivery")
	if [ $whose != acme/app ]; then
		wait_status "$id" failure
		run_json "$id" >"$work/out"
		has "a fork's run has no actions of other repos that the agent serves" "actions of other repositories are not allowed here"
	else
		wait_status "$id" success
		check "a pull request of the repo itself has"
	fi
done
agent_stop

# --- the same as an ordinary user, who may not be able to read where this lies
if [ "$(id -u)" = 0 ] && [ -z "${AS_USER:-}" ]; then
	mkdir -p "$work/user/node"
	cp "$here/lib.sh" "$here/remote_actions.sh" "$work/user/"
	find "$(dirname "$ASSAY")" -maxdepth 1 -type f -name 'assay*' -perm -u+x -exec cp {} "$work/user/" \;
	for module in @actions @fastify tunnel undici; do
		[ ! -d "${NODE_PATH:-/nowhere}/$module" ] || cp -r "$NODE_PATH/$module" "$work/user/node/"
	done
	chmod -R a+rX "$work/user"
	if AS_USER=1 ASSAY=$work/user/assay ASSAY_WORKER=$work/user/assay-worker NODE_PATH=$work/user/node TMPDIR=/tmp \
		setpriv --reuid=1999 --regid=1999 --clear-groups bash "$work/user/remote_actions.sh" >"$work/user/out" 2>&1; then
		check "and all of it as an ordinary user: $(tail -1 "$work/user/out")"
	else
		cat "$work/user/out"
		die "as an ordinary user"
	fi
fi
