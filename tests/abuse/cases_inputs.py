# SPDX-License-Identifier: Apache-2.0
"""X3 to X8: repositories, environments, secrets, logs, disks, descriptors."""
import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import urllib.request

from cases_files import holds
from cases_processes import workers
from lib import Agent, Attempt, NotHere, SLOW, rss_kib, sleep_until

HEAD = "on: [push, workflow_dispatch]\njobs:\n  a:\n    runs-on: any\n    steps:\n"


def X3(t):
    """git: hooks, fsmonitor, ext:: submodules, options as names of branches, many refs"""
    agent = Agent(t)
    mark = t.base / "pwned"
    trap = t.base / "trap.sh"
    trap.write_text(f"#!/bin/sh\necho x >>{mark}\nexit 0\n")
    trap.chmod(0o755)
    folder = t.repo(HEAD + "      - uses: actions/checkout@v4\n        with: {submodules: true}\n        continue-on-error: true\n"
                    "      - run: echo checked out\n")
    (folder / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = sub\n\turl = ext::{trap}\n'
                                        f'[submodule "y"]\n\tpath = --upload-pack={trap}\n\turl = --upload-pack={trap}\n')
    t.give(folder / ".gitmodules")
    environment = t.environment()

    def git(*arguments, where=folder):
        got = t.call(["git", "-C", where, *arguments], env=environment)
        t.need(got.returncode == 0, f"git {arguments}: {got.stderr}")
        return got.stdout.strip()
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("update-index", "--add", "--cacheinfo", "160000," + "1" * 40 + ",sub")
    git("commit", "-q", "-m", "first")
    bare = t.base / "trap.git"
    git("clone", "-q", "--bare", str(folder), str(bare))
    head = git("rev-parse", "HEAD")
    for name in ("post-checkout", "pre-receive", "post-update", "reference-transaction", "post-index-change", "pre-auto-gc"):
        (bare / "hooks").mkdir(exist_ok=True)
        hook = bare / "hooks" / name
        hook.write_text(trap.read_text())
        hook.chmod(0o755)
    with open(bare / "config", "a") as config:
        config.write(f"[core]\n\tfsmonitor = {trap}\n\thooksPath = {bare}/hooks\n\tsshCommand = {trap}\n\tpager = {trap}\n"
                     f"\taskPass = {trap}\n[uploadpack]\n\tpackObjectsHook = {trap}\n[remote \"origin\"]\n\tuploadpack = {trap}\n"
                     f"[filter \"lfs\"]\n\tsmudge = {trap}\n\tprocess = {trap}\n[protocol \"ext\"]\n\tallow = always\n")
    (bare / "packed-refs").write_text("# pack-refs with: peeled fully-peeled sorted \n" + "".join(
        f"{head} refs/heads/b{i:06}\n" for i in range(5000)) + f"{head} refs/heads/main\n")
    (bare / "refs/heads").mkdir(parents=True, exist_ok=True)
    for name in (f"--upload-pack={trap.name}", "-x", "a;touch${IFS}b", "$(touch${IFS}c)", "|id"):
        with contextlib.suppress(OSError):
            (bare / "refs/heads" / name).write_text(head + "\n")
    (folder / ".gitattributes").write_text("* filter=lfs\n")
    t.give_all(bare)
    agent.cli("repo", "add", "acme/trap", f"file://{bare}")
    before = rss_kib(agent.process.pid)
    run = agent.dispatch("acme/trap")
    end = agent.wait(run)
    text = agent.run_log(run)
    t.check(end["status"] == "success" and "checked out" in text, "the job runs all the same", f"{end} {text[-500:]}")
    t.check(not mark.exists(), "nothing of it ran outside")
    for ref in (f"--upload-pack={trap}", "refs/heads/-x", "$(touch c)", f"ext::{trap}"):
        agent.cli("runs", "dispatch", "acme/trap", "w.yml", f"--ref={ref}", good=False)
    agent.cli("repo", "add", "acme/ext", f"ext::{trap} x", good=False)
    agent.cli("repo", "add", "acme/opt", f"--upload-pack={trap}", good=False)
    agent.cli("runs", "dispatch", "acme/ext", "w.yml", "--ref", "main", good=False)
    time.sleep(0.5)
    t.check(not mark.exists(), "nor by names of refs and addresses")
    t.check(rss_kib(agent.process.pid) - before < 8192, "5,000 refs are nothing to the agent",
            f"{before} to {rss_kib(agent.process.pid)} KiB")
    # the control: git itself does run such things
    t.call(["git", "-C", bare, "hook", "run", "post-update"], env=environment)
    t.check(mark.exists(), "control: git runs the hook")


def X4(t):
    """PATH, LD_PRELOAD, IFS, BASH_ENV, GIT_* set by a job for what runs after it"""
    mark = t.base / "pwned"
    evil = f"#!/bin/sh\necho x >>{mark}\necho ran-inside\nexit 0\n"
    library = t.base / "evil.so"
    source = t.base / "evil.c"
    source.write_text('#include <fcntl.h>\n#include <unistd.h>\n__attribute__((constructor)) static void c(void)'
                      f'{{ open("{mark}", O_CREAT | O_WRONLY, 0644); if (write(1, "loaded-inside\\n", 14)) {{}} }}\n')
    compiler = shutil.which("cc") or shutil.which("gcc") or "false"
    built = subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], capture_output=True, check=False)
    if built.returncode != 0:
        t.not_here("LD_PRELOAD: there is no compiler here")
    names = ("git", "sh", "bash", "tar", "python3", "node", "env", "ls", "assay-worker")
    inside = "$GITHUB_WORKSPACE"
    preload = f"LD_PRELOAD={inside}/evil.so" if built.returncode == 0 else ""
    script = (f"echo {inside}/evil >>$GITHUB_PATH\n"
              f"for v in {preload} LD_LIBRARY_PATH={inside} IFS=x BASH_ENV={inside}/evil/sh ENV={inside}/evil/sh "
              f"GIT_SSH_COMMAND={inside}/evil/sh GIT_CONFIG_GLOBAL={inside}/gc GIT_EXEC_PATH={inside}/evil PYTHONSTARTUP={inside}/evil/sh "
              f"ASSAY_WORKER={inside}/evil/sh HOME={t.base} TMPDIR={t.base} G_DEBUG=fatal-warnings; do echo \"$v\" >>$GITHUB_ENV; done\n")
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    workflow = (HEAD + f"      - run: |\n{lines}      - uses: actions/checkout@v4\n"
                "      - run: echo art >art\n        shell: /bin/busybox-or-sh {0}\n        continue-on-error: true\n"
                "      - uses: actions/upload-artifact@v4\n        with: {name: a, path: .assay}\n"
                "      - uses: actions/cache@v4\n        with: {path: .assay, key: k4}\n"
                "      - run: git --version\n"
                "      - run: print('by its path')\n        shell: /usr/bin/python3 {0}\n")
    files = {f"evil/{name}": evil for name in names} | {"evil.so": library.read_bytes() if preload else b"",
                                                          "gc": f"[core]\n\tpager = {mark}\n"}
    run = t.run(workflow, files=files)
    t.check(run.status == "success", "the job's own parts go on: checkout, artifact, cache", str(run))
    t.check(not mark.exists(), "nothing of the agent's ran by the job's environment", str(run))
    t.check("ran-inside" in run.lines, "control: inside PATH had its effect, the job's own bash is run", str(run))
    t.check("by its path" in run.lines, "control: a program that is named by its path runs", str(run))
    if preload:
        t.check("loaded-inside" in run.lines, "control: inside LD_PRELOAD had its effect", str(run))
        subprocess.run(["/bin/true"], env={"LD_PRELOAD": str(library)}, stdout=subprocess.DEVNULL, check=False)
        t.check(mark.exists(), "control: where the path leads somewhere, the library makes its mark")
        mark.unlink()
    subprocess.run(["sh", "-c", evil], stdout=subprocess.DEVNULL, check=False)
    t.check(mark.exists(), "control: so does the program")


def X5(t):
    """a secret in arguments, environments, caches, artifacts, the log; split, encoded, reversed"""
    secret = "s3cr3t-Value-%d" % os.getpid()
    data = t.base / "data5"
    mark = "7%d.5" % os.getpid()
    encoded = base64.b64encode(secret.encode()).decode()
    script = (f"echo not-a-secret-{os.getpid()}\n" "echo plain $S\necho $S | base64\nprintf %s $S | base64\nprintf %s \"$S\" | sed 's/./&\\n/g' | head -3\n"
              "printf '%s' \"$S\" | head -c 4; sleep 0.2; printf '%s\\n' \"$S\" | tail -c +5\n"
              "printf %s \"$S\" | xxd -p 2>/dev/null || true\necho \"url=https://u:$S@h/\"\necho \"o=$S\" >>$GITHUB_OUTPUT\n"
              "echo \"$S\" >>$GITHUB_STEP_SUMMARY\necho \"::warning::$S\"\n"
              f"sleep {mark} &\nkill -SEGV $$\n")
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    workflow = (HEAD.replace("    steps:\n", "    outputs: {o: '${{ steps.x.outputs.o }}'}\n    steps:\n")
                + "      - run: env | sort; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'\n"
                + f"      - id: x\n        continue-on-error: true\n        env: {{S: '${{{{ secrets.S }}}}'}}\n        run: |\n{lines}"
                + "      - run: env | sort; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; ls -la . ~ /tmp; "
                "find / -xdev -name 'core*' -newer /proc/1 2>/dev/null | head\n"
                "      - run: echo \"${{ steps.x.outputs.o }}\"\n")
    seen, typed = [], []
    process = t.popen(t.run_command(workflow, "--secret", f"S={secret}", data=data))
    watcher = threading.Thread(target=watch_arguments, args=(secret, process, seen, typed))
    watcher.start()
    out, err = process.communicate(timeout=240 * SLOW)
    watcher.join()
    text = (out + err).decode(errors="replace")
    # the split one: its halves come in two writes of one line, and are masked all the same
    t.check(secret not in text, "no line shows it", text[-800:])
    t.check(encoded not in text and base64.b64encode(secret.encode() + b"\n").decode() not in text, "nor in base64")
    t.check(secret.encode().hex() not in text, "nor in hexadecimal")
    t.check("***" in text, "control: it was printed, and masked")
    own = [line for line in seen if str(process.pid) not in line]
    t.check(not own, "no process of the agent has it among its arguments or environment", str(own[:3]))
    t.check(typed, "control: the command that it was typed in was seen")
    t.check(not holds(data, secret.encode()), "no file of the agent holds it")
    t.check(holds(data, b"not-a-secret-%d" % os.getpid()), "control: the agent's files hold what else was printed")
    summary = json.loads(text.splitlines()[-1])["run"] if text.strip().endswith("}") else {}
    t.check(secret not in json.dumps(summary), "nor the run")
    # what it is not: a job's own author can send it away. Reversed it is shown, as docs/security.md says.


def watch_arguments(secret, process, seen, typed):
    """Looks at all command lines and, as root, environments while the command runs, but the steps' own."""
    wanted = secret.encode()
    while process.poll() is None:
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                line = pathlib.Path("/proc", entry, "cmdline").read_bytes()
                is_typed = b"/assay\0run\0" in line  # the command itself, or a child of its before it is another program
                if wanted in line and is_typed:
                    typed.append(entry)
                elif wanted in line:
                    inside = os.readlink(f"/proc/{entry}/ns/pid") != os.readlink("/proc/self/ns/pid")
                    if not inside:
                        seen.append(f"{entry}: {line[:200]!r}")
                outside = os.readlink(f"/proc/{entry}/ns/pid") == os.readlink("/proc/self/ns/pid")
                if b"assay" in line and outside and wanted in pathlib.Path("/proc", entry, "environ").read_bytes():
                    seen.append(f"{entry} environ")
        time.sleep(0.02)


def X6(t):
    """floods of output: much, one line, NULs, terminal escapes, bytes that are no text"""
    megabytes = int(os.environ.get("ASSAY_ABUSE_MEGABYTES", "1024" if os.environ.get("ASSAY_ABUSE_FULL") else "200"))
    line = 100 if not t.rig.guest else 10
    agent = Agent(t, config="limits:\n  log: 4 MiB\n")
    agent.add_repo("acme/talk", HEAD + f"      - run: yes 0123456789012345678901234567890123456789 | head -c {megabytes}M\n"
                   f"      - run: head -c {line}M /dev/zero | tr '\\0' x; echo; echo after\n")
    agent.add_repo("acme/odd", HEAD + f"      - run: head -c {line}M /dev/zero | tr '\\0' x; echo; echo the end\n"
                   "      - run: printf 'a\\0b \\033[2J\\033]0;title\\007 \\377\\376 \\033]52;c;eA==\\007 <script>alert(1)</script>\\n'\n")
    before = rss_kib(agent.process.pid)
    peak, worker_peak, slow = before, 0, 0
    for name in ("acme/talk", "acme/odd"):
        run = agent.dispatch(name)
        end = {}
        deadline = time.monotonic() + 300 * SLOW
        while end.get("status") not in ("success", "failure", "cancelled") and time.monotonic() < deadline:
            began = time.monotonic()
            end = agent.show(run)
            slow = max(slow, time.monotonic() - began)
            peak = max(peak, rss_kib(agent.process.pid))
            for pid in workers(agent).values():
                with contextlib.suppress(OSError):
                    worker_peak = max(worker_peak, rss_kib(pid))
            time.sleep(0.05)
        t.check(end.get("status") == "success", f"{name}: the job ends", str(end))
    t.check(peak - before < 16384, f"the agent's memory is flat ({before} to {peak} KiB)")
    t.check(worker_peak < 65536, f"the worker's too ({worker_peak} KiB)")
    t.check(slow < 30 * SLOW, f"the agent answers meanwhile ({slow:.2f} s)")
    sizes = [p.stat().st_size for p in (agent.data / "logs").rglob("*.log")]
    t.check(all(size < 5 << 20 for size in sizes), "the log keeps its limit", str(sizes))
    t.check(sizes and max(sizes) > 3 << 20, "control: the flood reached the log", str(sizes))
    odd = "printf 'a\\0b \\033[2J\\033]0;title\\007 \\377\\376 \\033]52;c;eA==\\007 <script>alert(1)</script>\\n'"
    run2 = t.run(HEAD + f"      - run: {odd}\n")
    t.check(any("a\ufffdb" in each or "a\\0b" in each for each in run2.lines), "NUL and bytes that are no text are shown as such", str(run2))
    agent.add_repo("acme/page", HEAD + f"      - run: {odd}\n")
    shown = agent.wait(agent.dispatch("acme/page"))
    page = agent.get(f"/acme/page/runs/{shown['number']}/jobs/a")
    t.check("<script>alert" not in page, "a page shows markup as text")
    t.check("&lt;script&gt;alert(1)" in page, "control: it shows it", page[-2000:])
    t.check("\033" not in page and "\0" not in page, "and no terminal's escapes")


def X7(t):
    """filling the disk: workspace, /tmp, /dev/shm, inodes"""
    # a small file system of its own, in a cage: the host's disk is not at stake
    if not t.rig.is_root:
        raise NotHere("a file system of its own needs root")
    for what, script, expected in () if t.image else (  # an image's /tmp is the disk's, see below
            ("/tmp", "head -c 200M /dev/zero >/tmp/f; rm -f /tmp/f", "No space left"),
            ("/dev/shm", "head -c 200M /dev/zero >/dev/shm/f; rm -f /dev/shm/f", "No space left")):
        run = t.run(HEAD + f"      - run: |\n          {script} || true\n          echo alive\n", config="limits:\n  job_memory: 64 MiB\n")
        t.check(expected in run.text or run.cause == "oom", f"{what} ends at the job's memory", str(run))
    small = t.base / "small"
    small.mkdir()
    got = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs -o size=16m none "$0"; '
                          'head -c 12M /dev/zero >"$0/first" && echo first; head -c 12M /dev/zero >"$0/second"', small],
                         capture_output=True, text=True, check=False)
    t.check(got.stdout == "first\n" and "No space left" in got.stderr, "control: a disk without a watch is filled, and the next writer meets it",
            got.stdout + got.stderr)
    # the agent on a small disk of its own; the job fills its workspace
    cage = CAGE.format(assay=t.rig.assay, size=320 if t.image else 220)
    workflow = HEAD + ("      - run: |\n          for i in $(seq 60); do head -c 8M /dev/zero >big$i || echo filled; sleep 0.1; done; sleep 3\n"
                       "      - run: echo second\n        if: always()\n")
    inodes = HEAD + ("      - shell: python\n        run: |\n          import time\n          try:\n              for i in range(10**6):\n                  open(str(i), 'w').close()\n                  if i % 100 == 0: time.sleep(0.002)\n"
                     "          except OSError as e: print('stopped', e.errno)\n          time.sleep(3)\n")
    calm = HEAD + "      - run: sleep 1; echo fine\n"
    for name, text, limit in (("limit", workflow, 64), ("big", workflow, 0), ("many", inodes, 0)):
        folder = t.base / f"disk-{name}"
        folder.mkdir()
        for repo, body in (("fill", text), ("calm", calm)):
            where = folder / repo
            (where / ".assay/workflows").mkdir(parents=True)
            (where / ".assay/workflows/w.yml").write_text(t.in_image(body.replace(">big", ">/tmp/big") if t.image else body))
            for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
                subprocess.run(["git", "-C", where, *command], check=True, env=t.environment())
        (folder / "assay.yml").write_text(f"jobs: 2\nlimits:\n  job_disk: {limit} MiB\n"
                                          + (f"images:\n  local: ['{t.rig.root}']\n" if t.image else ""))
        t.give_all(folder)
        who = [] if t.uid == 0 else ["setpriv", f"--reuid={t.uid}", f"--regid={t.uid}", "--clear-groups"]
        got = subprocess.run(["unshare", "--mount", "--propagation", "private", "bash", "-c", cage, "bash", str(folder), *who],
                             env=t.environment(), capture_output=True, text=True, timeout=600 * SLOW, check=False)
        try:
            told = json.loads(got.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            t.check(False, f"{name}: the agent on a small disk", got.stdout[-300:] + got.stderr[-600:])
            continue
        t.check(told["calm"] == "success", f"{name}: another job goes on", str(told))
        t.check(name == "many" or told["writes"] == 0, f"{name}: the agent's own writes all succeed", str(told))
        t.check(told["status"] == "failure" and told["cause"] == "disk" and "disk" in told["message"], f"{name}: the cause is the disk",
                str(told))


CAGE = """
set -e
folder=$1; shift
mkdir -p $folder/mnt
mount -t tmpfs -o size={size}m,nr_inodes=60000,mode=777 none $folder/mnt
"$@" {assay} serve --data $folder/mnt/d --listen 127.0.0.1:0 --socket $folder/mnt/s --config $folder/assay.yml >$folder/mnt/out 2>$folder/mnt/log &
agent=$!
trap 'kill $agent; wait $agent; cat $folder/mnt/log | tail -5 >&2' EXIT
for i in $(seq 4000); do grep -q '^ready' $folder/mnt/out && break; sleep 0.05; done
export ASSAY_SOCKET=$folder/mnt/s
for r in fill calm; do "$@" {assay} repo add acme/$r file://$folder/$r; done
"$@" {assay} runs dispatch acme/fill w.yml --ref main >/dev/null
lowest=100
began=
for i in $(seq 6000); do
    free=$(df --output=pcent $folder/mnt | tail -1 | tr -dc 0-9); inodes=$(df --output=ipcent $folder/mnt | tail -1 | tr -dc 0-9)
    [ $((100 - free)) -ge $lowest ] || lowest=$((100 - free))
    [ $((100 - inodes)) -ge $lowest ] || lowest=$((100 - inodes))
    if [ -z "$began" ] && [ $i -gt 10 ]; then began=1; "$@" {assay} runs dispatch acme/calm w.yml --ref main >/dev/null; fi
    if [ $((i % 10)) = 0 ]; then
        runs=$("$@" {assay} runs list --json)
        [ "$(jq '[.runs[] | select(.status == "queued" or .status == "running")] | length' <<<"$runs")" != 0 ] || [ "$(jq '.runs | length' <<<"$runs")" -lt 2 ] || break
    fi
    sleep 0.05
done
jq -c --argjson lowest $lowest --argjson writes "$(grep -c 'No space left' $folder/mnt/log)" '{{lowest: $lowest, writes: $writes, calm: (.runs[] | select(.repo == "acme/calm").status)}} + (.runs[] | select(.repo == "acme/fill") | {{status, cause: (.jobs[0].cause // .cause), message: (.jobs[0].message // .message // "")}})' <<<"$runs"
"""


def X8(t):
    """descriptors without end; junk and foreign descriptors at the agent's socket"""
    t.refused(Attempt("descriptor_bomb=2000000", "EMFILE", control=None))
    agent = Agent(t)
    count = lambda: len(os.listdir(f"/proc/{agent.process.pid}/fd"))  # noqa: E731
    agent.cli("runs", "list")
    before, memory = count(), rss_kib(agent.process.pid)
    junk = [b"\0" * 100, b"\xff" * 70000, b"{" * 50000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000, b"POST /api/v1/runs HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            b'{"verb":', struct.pack("<I", 0xffffffff) + b"x", b"\r\n\r\n" * 1000, b"PUT /../../etc HTTP/9.9\r\n\r\n"]
    for round_ in range(20):
        for bytes_ in junk:
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(0.05)
            peer.connect(str(agent.socket))
            with contextlib.suppress(OSError):
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("3i", 0, 1, peer.fileno()))]
                peer.sendmsg([bytes_[:1000]], rights)
                peer.sendall(bytes_[1000:])
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
            peer.close()
    t.check(agent.process.poll() is None, "the agent lives")
    t.check(agent.cli("runs", "list").returncode == 0, "and answers")
    t.check(sleep_until(lambda: count() <= before + 1, 120), "it keeps none of the descriptors", f"{before} to {count()}")
    t.check(rss_kib(agent.process.pid) - memory < 16384, "nor memory", f"{memory} to {rss_kib(agent.process.pid)} KiB")
    log = (t.base / "agent.log").read_text()
    t.check(len(log) < 200000, "and does not flood its own log", str(len(log)))
    # control: descriptors sent to somebody who takes them do arrive
    ends = socket.socketpair(socket.AF_UNIX)
    socket.send_fds(ends[0], [b"x"], [0])
    t.check(len(socket.recv_fds(ends[1], 10, 5)[1]) == 1, "control: a descriptor that is taken arrives")
    # inside: init's control socket is out of reach
    t.refused(Attempt("take_descriptor=1", "EPERM", control=None), Attempt("open=/proc/1/fd/3", "EACCES EPERM", control=None))


CASES = [X3, X4, X5, X6, X7, X8]
