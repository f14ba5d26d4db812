#!/bin/bash
# Workflows of the shape that Python projects about machine learning have, as they are on GitHub: a matrix over versions with one
# that is not there, packages from a folder with a cache of pip, coverage and artifacts, a nightly training, a GPU job, a release
# by a reusable workflow and a gate. tests/e2e/python-ml is the project. What needs something out of reach says what and where.
. "$(dirname "$0")/lib.sh"
printf 'jobs: 2\nactions: {sources: ["file://%s/elsewhere/{repo}.git"]}\n' "$work" >"$work/assay.yml"
agent_start --config "$work/assay.yml"
repo_new acme/tinylearn
cp -r "$here/python-ml/." "$clone/"
mkdir "$clone/wheels"
/usr/bin/python3 - "$clone/wheels" <<'PY'
import sys
import zipfile
name = 'tinymetrics-1.0'
files = {'tinymetrics.py': 'def mae(a, b):\n    return float(abs(a - b).mean())\n',
         f'{name}.dist-info/METADATA': 'Metadata-Version: 2.1\nName: tinymetrics\nVersion: 1.0\n',
         f'{name}.dist-info/WHEEL': 'Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n'}
files[f'{name}.dist-info/RECORD'] = ''.join(f'{n},,\n' for n in [*files, f'{name}.dist-info/RECORD'])
with zipfile.ZipFile(f'{sys.argv[1]}/{name}-py3-none-any.whl', 'w') as wheel:
    for path, text in files.items():
        wheel.writestr(path, text)
PY
have=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
sed -i "s/'3.11'/'$have'/" "$clone/.github/workflows/ci.yml"
commit "a model"
"$ASSAY" validate "$clone"/.github/workflows/*.yml >"$work/valid" || { cat "$work/valid"; die "the workflows are not valid"; }
check "the workflows are valid"
job() { run_json "$1" | jq -r --arg n "$2" "[.jobs[] | select(.name == \$n)][0].$3"; }
says() { # WHAT RUN TEXT
	"$ASSAY" runs log "$2" >"$work/log-of"
	grep -qF -- "$3" "$work/log-of" || { cat "$work/log-of"; die "$1: no '$3'"; }
	check "$1"
}

run=$(run_of "$(push)")
wait_status "$run" success 240
expect "the matrix ran" 3 "$(run_json "$run" | jq '[.jobs[] | select(.group == "test")] | length')"
expect "tests pass" success "$(job "$run" "test (py$have, ubuntu-22.04)" status)"
expect "a Python that is not there fails its job" failure "$(job "$run" "test (py3.99, ubuntu-latest)" status)"
says "and says which there are" "$run" "3.99"
says "the run goes on all the same" "$run" "lint success, tests success, "
says "artifacts of the matrix are together" "$run" "coverage junit-ubuntu-22.04-$have-"
says "pip took the package from the folder" "$run" "tinymetrics"
expect "the summary is kept" 1 "$(curl -sS -H "Authorization: Bearer $("$ASSAY" token create admin)" "$url/api/v1/jobs/$(job "$run" "test (py$have, ubuntu-latest)" id)" | jq '[.summaries[] | select(.markdown | contains("### Coverage"))] | length')"

echo more >>"$clone/README.md"; commit "words"
push >"$work/words"
run=$(run_of "$("$ASSAY" runs dispatch acme/tinylearn nightly.yml --ref main --input rows=640 --json | jq -r .delivery)")
wait_status "$run" success 120
expect "a dispatch has its own title" "Nightly training of 640 rows" "$(run_json "$run" | jq -r .title)"
says "trained on what was asked for" "$run" "on 640 rows"
expect "what is not wanted is skipped" skipped "$(job "$run" publish status)"
"$ASSAY" runs dispatch acme/tinylearn nightly.yml --ref main --input mode=slow --wait >"$work/slow" 2>&1 && die "a choice that is none was taken"
grep -q "quick" "$work/slow" || { cat "$work/slow"; die "it does not say what the choices are"; }
check "a wrong choice says which there are"
"$ASSAY" runs schedule --json >"$work/due"
expect "the night's run is due" "30 2 * * 1-5" "$(jq -r '[.. | objects | .cron? // empty][0]' "$work/due")"
expect "a change of words starts nothing" 0 "$("$ASSAY" runs list --delivery "$(cat "$work/words")" --json | jq '.runs | length')"

run=$(run_of "$("$ASSAY" runs dispatch acme/tinylearn gpu.yml --ref main --json | jq -r .delivery)")
wait_status "$run" failure 180
for name in cuda device remote; do expect "$name fails" failure "$(job "$run" "$name" status)"; done
expect "an image that cannot be reached is named" 1 "$(job "$run" cuda message | grep -c 'registry.invalid')"
says "a machine without a GPU says so" "$run" "nvidia-smi is not on this machine"
expect "an action that cannot be reached is named" 1 "$(job "$run" remote message | grep -c 'codecov/codecov-action')"

"$ASSAY" user add alice --role reviewer
printf 'sign-with-this-key' >"$work/key"; "$ASSAY" secret set acme/tinylearn SIGNING_KEY --from-file "$work/key"
"$ASSAY" env set pypi --repo acme/tinylearn --reviewers alice --approvals 1
git -C "$clone" tag v1.4.0; git -C "$clone" push -q origin v1.4.0
body=$(jq -cn --arg a "$(git -C "$clone" rev-parse v1.4.0)" --arg r "$repo" '{ref:"refs/tags/v1.4.0",before:("0"*40),after:$a,deleted:false,created:true,
	repository:{full_name:$r,name:"tinylearn",default_branch:"main"},pusher:{name:"bob"},sender:{login:"bob"},head_commit:{id:$a,message:"a release"},commits:[]}')
delivery=$(cat /proc/sys/kernel/random/uuid)
expect "a tag's webhook is taken" 202 "$(post_github "$delivery" push "$body")"
run=$(run_of "$delivery")
expect "only the release answers a tag" Release "$(run_json "$run" | jq -r .workflow)"
wait_status "$run" waiting 120
as alice gate approve "$(gate_of "$run")" --comment "fine" >/dev/null
wait_status "$run" success 120
says "the reusable workflow's output reached the release" "$run" "published tinylearn-1.4.0.tar.gz"
says "and its secret is masked" "$run" "signed with ***"
