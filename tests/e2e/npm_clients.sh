#!/bin/bash
# GitHub's own clients of artifacts and caches, unmodified, inside of sandboxed jobs without a network: what one job stores
# another finds, by the clients and by the built-in actions, in both directions; strangers store nothing that others read.
# As root the story is told twice: the second time by an ordinary user's agent.
. "$(dirname "$0")/lib.sh"
packages=${ASSAY_NPM_CLIENTS:-}
IFS=: read -ra places <<<"${NODE_PATH:-}"
for place in "${places[@]}"; do [ -n "$packages" ] || [ ! -d "$place/artifact-2" ] || packages=$place; done
command -v node >/dev/null && [ -d "$packages/@actions/artifact" ] ||
	die "node and the packages of tests/e2e/npm-clients are needed: tests/run installs them (ASSAY_NPM_CLIENTS names their node_modules)"
packages=$(cd "$packages" && pwd -P)
mkdir -m 777 "$work/ours" "$work/shown"
cat >"$work/assay.yml" <<YML
sandbox:
  mounts:
    - {source: $packages, target: /home/runner/npm/node_modules, forks: true}
    - {source: $work/ours, target: /srv/ours, writable: true}
    - {source: $work/shown, target: /srv/shown, writable: true, forks: true}
  devices: ["/dev/net/tu?", "/dev/assay-*"]
YML
device=$([ -c /dev/net/tun ] && echo /dev/net/tun || :)
agent_start --config "$work/assay.yml"
repo_new acme/wire
mkdir -p "$clone/.assay/workflows" "$clone/kit"
cat >"$clone/kit/artifacts.mjs" <<'JS'
// artifacts.mjs up NAME | down NAME: the newest client; an old one with OLD set
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
globalThis.crypto ??= (await import('node:crypto')).webcrypto // Debian 12's Node 18 has it there alone
const { DefaultArtifactClient } = process.env.OLD ? require('artifact-2') : await import('@actions/artifact')
const client = new DefaultArtifactClient()
const [what, name] = process.argv.slice(2)
if (what === 'up') {
  const put = await client.uploadArtifact(name, ['out/a.txt', 'out/deep/er/b.bin', 'out/.hidden'], 'out', { retentionDays: 2 })
  console.log(`PUT ${name} ${put.id > 0} ${put.size > 0}`)
  await client.uploadArtifact(name, ['out/a.txt'], 'out').then(() => console.log('TWICE'), (e) => console.log('AGAIN ' + /already exists/.test(e.message)))
} else if (what === 'replace') {
  await client.deleteArtifact(name)
  await client.uploadArtifact(name, ['out/a.txt'], 'out')
  console.log('REPLACED ' + name)
} else if (what === 'raw') {
  await client.uploadArtifact('-', ['out/a.txt'], 'out', { skipArchive: true })
} else {
  const { artifact } = await client.getArtifact(name)
  await client.downloadArtifact(artifact.id, { path: 'got/' + name })
  const { artifacts } = await client.listArtifacts()
  console.log('LIST ' + artifacts.map((a) => a.name).sort().join(' '))
}
JS
cat >"$clone/kit/caches.mjs" <<'JS'
// caches.mjs save|restore KEY [RESTORE_KEYS…]: @actions/cache; OLD for version 4, GITHUB_SERVER_URL of no GitHub for the REST protocol
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
globalThis.crypto ??= (await import('node:crypto')).webcrypto // Debian 12's Node 18 has it there alone
const cache = process.env.OLD ? require('cache-4') : await import('@actions/cache')
const [what, key, ...others] = process.argv.slice(2)
const paths = ['deps', '~/.tool']
if (what === 'save') console.log(`SAVED ${key} ${(await cache.saveCache(paths, key)) > 0}`)
else console.log(`RESTORED ${key} ${await cache.restoreCache(paths, key, others)}`)
JS
cat >"$clone/kit/core.mjs" <<'JS'
import * as core from '@actions/core'
core.setOutput('word', 'from core')
core.exportVariable('FROM_CORE', 'exported')
core.addPath('/home/runner/added')
core.setSecret('hush-hush')
core.notice('noticed')
await core.group('grouped', async () => console.log('inside hush-hush'))
await core.summary.addHeading('Summarised').write()
JS
cat >"$clone/.assay/workflows/clients.yml" <<'YML'
on: push
env: {PREPARE: "ln -sfn /home/runner/npm/node_modules kit/node_modules"}
jobs:
  store:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - run: |
          $PREPARE
          mkdir -p out/deep/er deps/inner ~/.tool
          echo hello > out/a.txt; seq 300000 > out/deep/er/b.bin; echo h > out/.hidden
          echo dependency > deps/inner/d; ln -s inner/d deps/link; chmod +x deps/inner/d; echo tool > ~/.tool/t
          ! getent hosts github.com; ip -o addr 2>/dev/null | grep -v ' lo ' || echo "NO NETWORK"
      - id: core
        run: node kit/core.mjs
      - run: echo "CORE ${{ steps.core.outputs.word }} $FROM_CORE ${PATH%%:*}"
      - run: node kit/artifacts.mjs up newest; OLD=1 node kit/artifacts.mjs up older; node kit/artifacts.mjs raw
      - run: OLD=1 node kit/artifacts.mjs up replaced; node kit/artifacts.mjs replace replaced
      - uses: actions/upload-artifact@v4
        with: {name: built-in, path: out, include-hidden-files: true, retention-days: 1}
      - run: node kit/caches.mjs save newest-1; OLD=1 node kit/caches.mjs save older-1; OLD=1 node kit/caches.mjs save older-1
      - run: GITHUB_SERVER_URL=https://ghes.example.org OLD=1 node kit/caches.mjs save rest-1
      - uses: actions/cache/save@v4
        with: {path: "deps\n~/.tool", key: built-in-1}
      - name: Hostile requests
        run: |
          # refused WHAT STATUS CURL-ARGUMENTS…
          refused() { got=$(curl -s -o answer -w '%{http_code}' "${@:3}") || :; [ "$got" = "$2" ] && echo "REFUSED $1" || { echo "TAKEN $1: $got"; cat answer; exit 1; }; }
          service=${ACTIONS_RESULTS_URL}twirp/github.actions.results.api.v1.ArtifactService
          token="Authorization: Bearer $ACTIONS_RUNTIME_TOKEN"
          ids=$(echo "$ACTIONS_RUNTIME_TOKEN" | cut -d. -f2 | tr -- '-_' '+/' | base64 -d 2>/dev/null | grep -o 'Actions.Results:[0-9:]*' | head -1)
          run=$(echo "$ids" | cut -d: -f2) job=$(echo "$ids" | cut -d: -f3)
          ask() { echo "{\"workflow_run_backend_id\":\"$1\",\"workflow_job_run_backend_id\":\"$2\",\"name\":\"$3\",\"version\":4}"; }
          refused "no token" 401 -d "$(ask $run $job x)" $service/CreateArtifact
          refused "a forged token" 401 -H "Authorization: Bearer ${ACTIONS_RUNTIME_TOKEN%?}x" -d "$(ask $run $job x)" $service/CreateArtifact
          refused "another run" 403 -H "$token" -d "$(ask $((run + 1)) $job x)" $service/CreateArtifact
          refused "another job" 403 -H "$token" -d "$(ask $run $((job + 1)) x)" $service/CreateArtifact
          refused "a name that leaves" 400 -H "$token" -d "$(ask $run $job ../x)" $service/CreateArtifact
          refused "junk" 400 -H "$token" -d '{"name":' $service/CreateArtifact
          refused "an unknown method" 404 -H "$token" -d '{}' $service/MigrateArtifact
          refused "an unsigned URL" 403 -T out/a.txt "${ACTIONS_RESULTS_URL}blobs/upload/0123456789abcdef0123456789abcdef?sig=00000000000000000000000000000000"
          refused "a path that leaves" 403 --path-as-is "${ACTIONS_RESULTS_URL}blobs/../../etc/passwd"
          refused "no HTTP" 400 -X 'G E T' "$ACTIONS_RESULTS_URL"
          refused "a huge head" 400 -H "X: $(head -c 70000 /dev/zero | tr '\0' x)" "$ACTIONS_RESULTS_URL"
          # a zip whose names lead out of it, and something that is no zip
          put() { curl -s -H "$token" -d "$(ask $run $job $1)" $service/CreateArtifact | grep -o 'http://[^"]*' | head -1; }
          python3 - <<'PY'
          import zipfile
          with zipfile.ZipFile('bad.zip', 'w') as z: z.writestr('../../../escaped', 'x')
          PY
          for bad in bad.zip out/a.txt; do
            curl -s -o answer -H 'x-ms-blob-type: BlockBlob' -T $bad "$(put bad)"
            refused "$bad as an artifact" 400 -H "$token" -d "$(ask $run $job bad)" $service/FinalizeArtifact
          done
          (exec 3<>/dev/tcp/127.0.0.1/$(echo $ACTIONS_RESULTS_URL | grep -o '[0-9]*/$' | tr -d /); sleep 60) & # says nothing, and is no hindrance
  load:
    needs: store
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - run: $PREPARE; mkdir -p want/deep/er; echo hello > want/a.txt; seq 300000 > want/deep/er/b.bin; echo h > want/.hidden
      - run: |
          for name in newest older built-in; do
            node kit/artifacts.mjs down $name; diff -r want got/$name && echo "SAME $name"; rm -r got
            OLD=1 node kit/artifacts.mjs down $name; diff -r want got/$name && echo "SAME $name by version 2"; rm -r got
          done
      - uses: actions/download-artifact@v4
        with: {path: native, pattern: "*e*"}
      - run: diff -r want native/newest && diff -r want native/older && cmp native/replaced/a.txt want/a.txt && ls -A native | tr '\n' ' '
      - uses: actions/download-artifact@v4
        with: {path: merged, pattern: "{a.txt,ne[w]est}*", merge-multiple: true}
      - run: diff -r want merged && echo "MERGED"
      - run: |
          check() { [ "$(cat deps/link ~/.tool/t | tr '\n' ' ')" = "dependency tool " ] && [ -x deps/inner/d ] && [ -L deps/link ] && echo "WHOLE $1"; rm -rf deps ~/.tool; }
          for key in newest-1 older-1 rest-1 built-in-1; do
            node kit/caches.mjs restore $key; check "$key by the newest"
            GITHUB_SERVER_URL=https://ghes.example.org OLD=1 node kit/caches.mjs restore $key; check "$key by REST"
          done
          OLD=1 node kit/caches.mjs restore nothing-9 zz- older-; check "older by prefix"
          node kit/caches.mjs restore nothing-9 zz-
      - uses: actions/cache/restore@v4
        id: cache
        with: {path: "deps\n~/.tool", key: newest-1, fail-on-cache-miss: true}
      - run: cat deps/link ~/.tool/t; test -x deps/inner/d && echo "BUILT-IN RESTORED ${{ steps.cache.outputs.cache-matched-key }}"
YML
cat >"$clone/.assay/workflows/stranger.yml" <<'YML'
on: [pull_request]
jobs:
  poison:
    runs-on: any
    steps:
      - run: |
          mkdir -p kit deps ~/.tool; ln -sfn /home/runner/npm/node_modules kit/node_modules; cp got/caches.mjs kit/ 2>/dev/null || :
      - uses: actions/checkout@v4
        with: {path: src}
      - run: |
          ln -sfn /home/runner/npm/node_modules src/kit/node_modules
          echo "TOKEN [${{ github.token }}]"
          node src/kit/caches.mjs restore newest-1; cat deps/link && echo "STRANGER READ"
          rm -rf deps ~/.tool; mkdir -p deps ~/.tool; echo poison > deps/link
          node src/kit/caches.mjs save victim-1
          rm -rf deps; node src/kit/caches.mjs restore victim-1; cat deps/link
          echo "STRANGER SEES [$(ls /srv)] [$(touch /srv/shown/x 2>/dev/null && echo wrote)] [$(ls -d /dev/net/* 2>/dev/null)]"
YML
cat >"$clone/.assay/workflows/victim.yml" <<'YML'
on: workflow_dispatch
jobs:
  victim:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - run: ln -sfn /home/runner/npm/node_modules kit/node_modules; node kit/caches.mjs restore victim-1 victim-
      - uses: actions/cache/restore@v4
        id: cache
        with: {path: "deps\n~/.tool", key: victim-1, restore-keys: victim-}
      - run: echo "BUILT-IN SAYS [${{ steps.cache.outputs.cache-hit }}] $(ls)"
      - run: echo "MAIN SEES [$(echo $(ls /srv))] [$(touch /srv/shown/x && touch /srv/ours/x && echo wrote)] [$(ls -d /dev/net/* 2>/dev/null)]"
YML
commit "Use GitHub's clients"
run=$(run_of "$(push)")
wait_status "$run" success 300
"$ASSAY" runs log "$run" >"$work/run-log"
has() { grep -qF -- "$2" "$work/run-log" || { tail -150 "$work/run-log"; die "$1: no '$2'"; }; check "$1"; }
hasnt() { ! grep -qF -- "$2" "$work/run-log" || { tail -150 "$work/run-log"; die "$1: there is '$2'"; }; check "$1"; }
has "@actions/core speaks to the runner" "CORE from core exported /home/runner/added"
has "what it masks is masked" "inside ***"
has "the job has no network but its own loopback" "NO NETWORK"
has "the newest client of artifacts stores" "PUT newest true true"
has "so does version 2" "PUT older true true"
has "a name is used once" "AGAIN true"
has "and again when it was deleted" "REPLACED replaced"
for name in newest older built-in; do
	has "artifact '$name' comes back whole" "SAME $name"
	has "also by version 2 of the client" "SAME $name by version 2"
done
has "all are listed" "LIST a.txt built-in newest older replaced"
has "the built-in action brings trees of the clients" "newest older replaced "
has "several into one folder" "Z MERGED"
for key in newest-1 older-1 rest-1 built-in-1; do
	has "cache '$key' comes back by the service of version 2" "WHOLE $key by the newest"
	has "and by the older protocol" "WHOLE $key by REST"
done
has "a prefix finds the newest" "RESTORED nothing-9 older-1"
has "what is not there is not found" "RESTORED nothing-9 undefined"
has "the built-in action unpacks what a client stored" "BUILT-IN RESTORED newest-1"
hasnt "nothing hostile was taken" "Z TAKEN"
expect "every hostile request was refused" 13 "$(grep -c 'Z REFUSED ' "$work/run-log" || :)"
artifacts=$(run_json "$run" | jq -c '[.artifacts[]? | .name]')
[ "$artifacts" = '[]' ] || expect "the agent knows them" '["a.txt","built-in","newest","older","replaced"]' "$artifacts"

# A pull request from a fork: it reads main's caches, and what it stores nobody else sees.
head=$(git -C "$clone" rev-parse main)
git -C "$bare" update-ref refs/pull/7/head "$head"
git -C "$bare" update-ref refs/pull/7/merge "$head"
body=$(jq -cn --arg s "$head" --arg r "$repo" '{action:"opened",number:7,repository:{full_name:$r,default_branch:"main"},sender:{login:"mallory"},
	pull_request:{number:7,title:"Poison",head:{sha:$s,ref:"x",repo:{id:2}},base:{ref:"main",sha:$s,repo:{id:1}}}}')
delivery=$(cat /proc/sys/kernel/random/uuid)
expect "the fork's pull request is taken" 202 "$(post_github "$delivery" pull_request "$body")"
run=$(run_of "$delivery")
wait_status "$run" success 120
"$ASSAY" runs log "$run" >"$work/run-log"
has "a stranger has no token" "TOKEN []"
has "a stranger reads what main stored" "STRANGER READ"
has "and finds again what it stored itself" "RESTORED victim-1 victim-1"
has "it sees mounts that are for forks, writes to none, and has no device" "STRANGER SEES [shown] [] []"
"$ASSAY" runs dispatch acme/wire victim.yml --ref main --wait >/dev/null
run=$("$ASSAY" runs list --json | jq -r '.runs[0].id')
"$ASSAY" runs log "$run" >"$work/run-log"
has "main does not meet a stranger's cache by a client" "RESTORED victim-1 undefined"
has "nor by the built-in action" "BUILT-IN SAYS []"
has "main has what the config lists" "MAIN SEES [ours shown] [wrote] [$device]"
expect "no worker's folder is left" "" "$(jobs_left)"
agent_stop

if [ "$(id -u)" = 0 ] && [ -z "${ASSAY_STORY_AGAIN:-}" ]; then
	echo "and once more, by an ordinary user's agent"
	for_user nobody
	mkdir "$work/top" "$work/packages" # where the user comes to, wherever the clone lies
	env -u ASSAY_SOCKET ASSAY="$ASSAY" ASSAY_STORY_AGAIN=1 ASSAY_NPM_CLIENTS="$work/packages" TMPDIR=/tmp unshare --mount --propagation private sh -c '
		mount --bind "$1" "$0/top" && mount --bind "$2" "$0/packages" &&
		exec setpriv --reuid=65534 --regid=65534 --clear-groups "$0/top/tests/e2e/npm_clients.sh"' "$work" "$top" "$packages" ||
		die "an ordinary user's agent does not do it"
	check "an ordinary user's agent does the same"
fi
