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
          for i in $(seq 12); do echo "line $i of twelve"; sleep 0.3; done
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
commit "Talk, judge and fail"
git -C "$clone" push -q origin main
printf 'correct horse battery\n' >"$work/password"
"$ASSAY" user add alice --role reviewer --password-file "$work/password"
"$ASSAY" user add vera --role viewer --password-file "$work/password"
"$ASSAY" user add ada --role admin
"$ASSAY" env set production --repo acme/story --reviewers alice
ASSAY=$ASSAY URL=$url PASSWORD="correct horse battery" node "$here/browser/story.mjs"
checks=$((checks + 1))
