#!/bin/bash
# What steps tell reaches people: annotations by commands and problem matchers, with the log's line; summaries as safe HTML.
. "$(dirname "$0")/lib.sh"
agent_start
repo_new acme/told
mkdir -p "$clone/.assay/workflows" "$clone/src"
"$ASSAY" secret set acme/told WORD --from-file <(printf the-secret-word)
echo 'int main' >"$clone/src/a.c"
cat >"$clone/gcc.json" <<'JSON'
{"problemMatcher":[{"owner":"gcc","pattern":[{"regexp":"^(.*?):(\\d+):(\\d*):?\\s+(?:fatal\\s+)?(warning|error):\\s+(.*)$",
 "file":1,"line":2,"column":3,"severity":4,"message":5}]},
 {"owner":"slow","pattern":[{"regexp":"^(b+)+$","message":1}]}]}
JSON
cat >"$clone/.assay/workflows/w.yml" <<'YML'
on: push
jobs:
  tell:
    runs-on: any
    steps:
      - uses: actions/checkout@v4
      - name: Say
        run: |
          echo "first line"
          echo "::error file=src/a.c,line=3,endLine=5,title=Broken::it is <broken> the-secret-word"
          echo "::notice::only so"
      - name: Compile
        run: |
          echo "::add-matcher::gcc.json"
          printf 'src/a.c:7:2: \033[1;31merror:\033[0m expected a brace\n'
          echo "$PWD/src/a.c:8:1: warning: unused"
          echo "gone.c:9:1: warning: no such file"
          head -c 3000 /dev/zero | tr '\0' b >line; for i in 1 2 3 4; do cat line; echo '!'; done
          echo "src/a.c:10:1: warning: still here"
      - name: After
        run: |
          echo "src/a.c:11:1: warning: the matcher stays"
          echo "::remove-matcher owner=gcc::"
          echo "src/a.c:12:1: warning: now it does not"
          echo "::add-matcher::nothing.json"
      - name: Much
        run: for i in $(seq 15); do echo "::warning::w$i"; done; for i in $(seq 3); do echo "::error::e$i"; done
      - name: Sum
        run: |
          cat >>"$GITHUB_STEP_SUMMARY" <<'MD'
          # Result

          | metric | value |
          |:--|--:|
          | accuracy | ~~0.9~~ **0.95** |

          - [x] trained

          <details><summary>more</summary>

          the-secret-word <script>alert(1)</script><b onclick="x()">bold</b>

          </details>
          MD
      - name: Too much
        run: head -c 1100000 /dev/zero | tr '\0' a >>"$GITHUB_STEP_SUMMARY"
      - name: Nearly too much
        run: yes '| a | b |' | head -c 1000000 >>"$GITHUB_STEP_SUMMARY"
YML
commit one; run=$(run_of "$(push)"); wait_status "$run" success
id=$(run_json "$run" | jq '.jobs[0].id')
curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x/api/v1/jobs/$id" >"$work/job"
note() { jq -r "[.annotations[] | select(.message | test(\$m))][0] | $2" --arg m "$1" "$work/job"; }
expect "a command's annotation" "error Broken src/a.c 3 5" "$(note 'it is' '"\(.level) \(.title) \(.file) \(.line) \(.end_line)"')"
expect "without the secret" "it is <broken> ***" "$(note 'it is' .message)"
line_at() { "$ASSAY" runs log "$run" --job tell | sed -n "${1}p" | cut -d' ' -f2-; }
expect "it names the line of the log" '##[error]it is <broken> ***' "$(line_at "$(note 'it is' .log_line)")"
expect "a matcher's error" "error src/a.c 7 2" "$(note 'expected a brace' '"\(.level) \(.file) \(.line) \(.column)"')"
expect "its line is marked" yes "$(line_at "$(note 'expected a brace' .log_line)" | grep -q '^##\[error\]src/a.c:7:2' && echo yes)"
expect "a file by its whole path" "warning src/a.c 8" "$(note unused '"\(.level) \(.file) \(.line)"')"
expect "a file that is not there is not named" "null" "$(note 'no such file' .file)"
expect "a pattern that takes too long is removed" warning "$(note "'slow' took too long" .level)"
expect "the others stay" "10" "$(note 'still here' .line)"
expect "also in the next step" "11" "$(note 'the matcher stays' .line)"
expect "until they are removed" null "$(note 'now it does not' .line)"
expect "a matcher that is not there is told" warning "$(note 'add-matcher::nothing.json' .level)"
expect "ten of a level" 10 "$(jq '[.annotations[] | select(.message | test("^w[0-9]+$"))] | length' "$work/job")"
expect "then one says that there are more" warning "$(note "more than 10 annotations of the level 'warning'" .level)"
expect "of another level there are others" 3 "$(jq '[.annotations[] | select(.message | test("^e[0-9]+$"))] | length' "$work/job")"
expect "a summary that is too long is told" error "$(note 'at most 1024 KiB' .level)"
expect "and fails nothing" success "$(jq -r '.steps[] | select(.name == "Too much") | .status' "$work/job")"
expect "a long one is kept whole" 1000000 "$(jq '[.summaries[].markdown | length] | max' "$work/job")"
expect "the API gives Markdown only" null "$(jq '.summaries[0].html' "$work/job")"
grep -q the-secret-word "$work/job" && die "the secret is in the answer"
curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x/acme/told/runs/$(run_json "$run" | jq .number)" >"$work/page"
expect "a table on the page" 1 "$(grep -o '<td align="right"><del>0.9</del> <strong>0.95</strong></td>' "$work/page" | wc -l)"
expect "a task list" 1 "$(grep -c '<input type="checkbox" disabled checked aria-label="task"> trained' "$work/page")"
expect "details" yes "$(grep -q '<details><summary>more</summary>' "$work/page" && echo yes)"
expect "a script is text" yes "$(grep -q '&lt;script&gt;alert(1)&lt;/script&gt;<b>bold</b>' "$work/page" && echo yes)"
expect "the page has no secret" 0 "$(grep -c the-secret-word "$work/page" || :)"
expect "an annotation leads to its line" yes "$(grep -qE "jobs/tell\\?from=[0-9]+#L$(note 'it is' .log_line)\"" "$work/page" && echo yes)"
curl -sS --noproxy '*' --unix-socket "$ASSAY_SOCKET" "http://x/acme/told/runs/$(run_json "$run" | jq .number)/jobs/tell" >"$work/page"
expect "the job's page has them too" yes "$(grep -q 'expected a brace' "$work/page" && grep -q '<details><summary>more</summary>' "$work/page" && echo yes)"
"$ASSAY" runs show "$run" >"$work/shown"
expect "the command line shows annotations" yes "$(grep -q 'error .*src/a.c:7.* expected a brace' "$work/shown" && echo yes)"
expect "and a summary's begin" yes "$(grep -q '# Result' "$work/shown" && echo yes)"
