#!/bin/bash
# A browser walks the pages as people do: signs in, watches a log, reads evidence, decides at gates; every page is checked for
# accessibility at two widths, in light and dark. With ASSAY_SCREENSHOTS set, each look is kept there as a picture.
. "$(dirname "$0")/lib.sh"
command -v node >/dev/null && command -v chromium >/dev/null || die "node and chromium are needed: packaging/install-packages test"
node -e 'require("playwright-core"); require("axe-core")' 2>/dev/null || die "playwright-core and axe-core are not on NODE_PATH: tests/run installs them"
agent_start
repo_new acme/story
mkdir -p "$clone/.assay/workflows"
cat >"$clone/.assay/workflows/talk.yml" <<'YML'
name: talk
on: workflow_dispatch
jobs:
  talk:
    runs-on: any
    steps:
      - name: Talk slowly
        run: |
          echo "::group::Preparing"
          printf '\033[32mgreen\033[0m and \033[1;31mred\033[0m\n'
          echo "::endgroup::"
          for i in $(seq 12); do echo "line $i of twelve"; sleep 0.6; done
      - name: Warn
        run: echo "::warning::This is only a test"
  release:
    needs: talk
    runs-on: any
    environment: production
    steps:
      - run: echo RELEASED
YML
cat >"$clone/.assay/workflows/judge.yml" <<'YML'
name: judge
on: workflow_dispatch
jobs:
  compare:
    runs-on: any
    outputs:
      version: ${{ steps.register.outputs.version }}
    steps:
      - name: Predict
        run: |
          mkdir data model
          echo id,label,prediction,light >candidate.csv; cp candidate.csv release.csv
          for i in $(seq 400); do
            light=day; [ $((i % 4)) -ne 0 ] || light=night
            echo "$i,cat,$([ $((i % 5)) -ne 0 ] && echo cat || echo dog),$light" >>candidate.csv
            echo "$i,cat,$([ $((i % 50)) -ne 0 ] && echo cat || echo dog),$light" >>release.csv
          done
          cp release.csv data/cats.csv
          echo weights >model/weights
          echo '{"accuracy": 0.8}' >metrics.json
      - uses: assay/snapshot@v1
        with: {name: cats, path: data, message: Cats by day and night}
      - uses: assay/compare@v1
        with:
          candidate: candidate.csv
          release: release.csv
          slices: light
          rules: "accuracy: margin 0.01"
      - id: register
        uses: assay/register@v1
        with: {name: cats, path: model, metrics: metrics.json}
  release:
    needs: compare
    runs-on: any
    environment: production
    steps:
      - uses: assay/promote@v1
        with: {name: cats, version: "${{ needs.compare.outputs.version }}", alias: production}
      - run: echo RELEASED
YML
cat >"$clone/.assay/workflows/fail.yml" <<'YML'
name: fail
on: workflow_dispatch
jobs:
  break:
    name: Break (${{ matrix.how }})
    strategy:
      fail-fast: false
      matrix: {how: [loudly, quietly]}
    runs-on: any
    steps:
      - run: |
          echo "::error::The build broke ${{ matrix.how }}"
          exit 3
YML
cat >"$clone/.assay/workflows/tell.yml" <<'YML'
name: tell
on:
  schedule: [{cron: '30 3 * * MON-FRI', timezone: Europe/Berlin}]
  workflow_dispatch:
    inputs:
      model: {description: Which model, type: choice, options: [small, large], default: small, required: true}
      rows: {description: How many rows, type: number, default: 100}
      dry: {description: Only show what would be done, type: boolean, default: true}
      where: {description: For which environment, type: environment}
      note: {description: Why, required: true}
jobs:
  tell:
    runs-on: any
    steps:
      - name: Compile
        run: |
          mkdir -p src; touch src/loader.c
          echo '{"problemMatcher":[{"owner":"gcc","pattern":[{"regexp":"^(.*?):(\\d+):(\\d+): (warning|error): (.*)$","file":1,"line":2,"column":3,"severity":4,"message":5}]}]}' >gcc.json
          echo "::add-matcher::gcc.json"
          echo "src/loader.c:41:7: warning: comparison of integers of different signs in a line that goes on for quite a while"
          echo "::error file=src/loader.c,line=88,title=Leak::4096 bytes are never freed"
          echo "::notice::The cache was not used"
      - name: Summarise
        run: |
          cat >>"$GITHUB_STEP_SUMMARY" <<'MD'
          ## Training of `${{ inputs.model }}`

          | metric | candidate | release | difference |
          |:-------|----------:|--------:|-----------:|
          | accuracy | **0.958** | 0.977 | ~~+0.01~~ −0.019 |
          | log loss | 0.141 | 0.098 | +0.043 |

          - [x] data checked
          - [ ] card complete

          > ${{ inputs.note }}

          <details><summary>Parameters</summary>

          ```json
          {"rows": ${{ inputs.rows }}, "learning_rate": 0.001, "a_long_line": "that is wider than any telephone which people carry about"}
          ```

          </details>

          ![curve](https://example.org/curve.png) H<sub>2</sub>O
          MD
YML
commit "Talk, judge, fail and tell"
git -C "$clone" push -q origin main
printf 'correct horse battery\n' >"$work/password"
"$ASSAY" user add alice --role reviewer --password-file "$work/password"
"$ASSAY" user add vera --role viewer --password-file "$work/password"
"$ASSAY" user add ada --role admin
"$ASSAY" env set production --repo acme/story --reviewers alice
ASSAY=$ASSAY URL=$url PASSWORD="correct horse battery" node "$here/browser/story.mjs"
checks=$((checks + 1))
