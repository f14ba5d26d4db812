#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many jobs of mixed fate, then: does each have the right status and cause, and is anything left?

Fates: success, success with daemons left behind, an exit code, a signal, a time limit, a worker that is killed, a run
that is cancelled while its jobs run or wait; and the agent is killed now and then and started again. Afterwards the
processes, mounts, network namespaces, control groups, files, descriptors and the agent's memory are those of before.

ASSAY=build/assay tests/e2e/thousand_jobs.py; ASSAY_JOBS=1000 for all of it (default 200).
"""
import collections
import contextlib
import fnmatch
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ASSAY = os.path.abspath(os.environ["ASSAY"])
ROUND = 25  # jobs: 23 of the mixed workflow and 2 of one that is cancelled
ROUNDS = max(2, int(os.environ.get("ASSAY_JOBS", "200")) // ROUND)
AHEAD = 3  # runs that are under way at once
WANTED = {"success": ("success", None), "daemon": ("success", None), "exit": ("failure", "exit"),
          "signal": ("failure", "signal"), "timeout": ("failure", "timeout"), "victim": ("failure", "agent"),
          "cancel": ("cancelled", "cancelled")}
COUNTS = {"success": 11, "daemon": 2, "exit": 4, "signal": 2, "timeout": 2, "victim": 2}
SCRIPTS = {"success": "echo fine", "daemon": "setsid -f sleep 600; (trap '' TERM INT; sleep 600) & echo left",
           "exit": "exit 7", "signal": "kill -SEGV $$", "timeout": "sleep 600", "victim": "sleep 600", "cancel": "sleep 600"}


def workflow(counts):
    text = "on: workflow_dispatch\njobs:\n"
    for fate, count in counts.items():
        limit = "        timeout-minutes: 0.01\n" if fate == "timeout" else ""
        text += (f"  {fate}:\n    runs-on: any\n    strategy:\n      fail-fast: false\n      matrix:\n        n: {list(range(count))}\n"
                 f"    steps:\n      - run: {json.dumps(SCRIPTS[fate])}\n{limit}")
    return text


def folders(root, pattern):
    """Folders below, by their names; one that goes while it is looked into is none."""
    for where, names, _ in os.walk(root):
        yield from (pathlib.Path(where, name) for name in fnmatch.filter(names, pattern))


class Story:
    def __init__(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="assay-thousand."))
        self.work.chmod(0o755)
        self.data, self.tmp = self.work / "data", self.work / "tmp"
        self.tmp.mkdir()
        self.environment = dict(os.environ, HOME=str(self.work), TMPDIR=str(self.tmp), GIT_CONFIG_GLOBAL="/dev/null",
                                GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="b", GIT_AUTHOR_EMAIL="b@example.org",
                                GIT_COMMITTER_NAME="b", GIT_COMMITTER_EMAIL="b@example.org",
                                ASSAY_SOCKET=str(self.data / "assay.sock"))
        for name in ("ASSAY_URL", "ASSAY_TOKEN"):
            self.environment.pop(name, None)
        (self.work / "assay.yml").write_text("jobs: 6\nlimits: {job_memory: 1 GiB}\n")
        self.log = open(self.work / "log", "ab")
        self.agent = None
        self.killed = collections.Counter()
        self.restarts = 0
        self.zygotes = set()
        self.failures = []
        self.done = False
        self.lock = threading.Lock()  # the agent is not killed in the middle of one command

    def expect(self, what, wanted, got):
        if wanted == got:
            print(f"  - {what}", flush=True)
        else:
            self.failures.append(what)
            print(f"FAILED: {what}: wanted {wanted!r}, got {got!r}", flush=True)

    # ---- the agent ----

    def start(self):
        self.agent = subprocess.Popen([ASSAY, "serve", "--data", self.data, "--listen", "127.0.0.1:0", "--config",
                                       self.work / "assay.yml"], env=self.environment, stdout=subprocess.PIPE, stderr=self.log)
        line = "-"
        while line and not line.startswith("ready "):
            line = self.agent.stdout.readline().decode()
        if not line:
            raise SystemExit(f"the agent did not start: {(self.work / 'log').read_text()[-2000:]}")
        self.zygotes.add(self.zygote())

    def kill(self):
        with self.lock:
            self.agent.kill()
            self.agent.wait()
            self.agent.stdout.close()
            self.start()
            self.restarts += 1

    def cli(self, *arguments):
        with self.lock:
            got = subprocess.run([ASSAY, *arguments], env=self.environment, capture_output=True, text=True, check=False)
        if got.returncode != 0:
            raise SystemExit(f"assay {' '.join(arguments)}: {got.stderr}")
        return got.stdout

    def repo(self, name):
        folder = self.work / name
        (folder / ".assay/workflows").mkdir(parents=True)
        (folder / ".assay/workflows/mixed.yml").write_text(workflow(COUNTS))
        (folder / ".assay/workflows/cancel.yml").write_text(workflow({"cancel": 2}))
        for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
            subprocess.run(["git", "-C", folder, *command], env=self.environment, check=True)
        self.cli("repo", "add", f"acme/{name}", f"file://{folder}")

    def dispatch(self, name, file):
        delivery = json.loads(self.cli("runs", "dispatch", f"acme/{name}", file, "--ref", "main", "--json"))["delivery"]
        for _ in range(1200):
            runs = json.loads(self.cli("runs", "list", "--delivery", delivery, "--json"))["runs"]
            if runs:
                return runs[0]["id"]
            time.sleep(0.05)
        raise SystemExit(f"the dispatch {delivery} started no run")

    def show(self, run):
        return json.loads(self.cli("runs", "show", str(run), "--json"))

    # ---- the killer of workers ----

    def hunt(self):
        """Kills the worker of each `victim` once its step runs. A folder was another task's before, and may still tell of that."""
        hunted = set()
        while not self.done:
            for folder in (self.data / "jobs").glob("[0-9]*"):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    if folder.name in hunted:
                        continue
                    task = json.loads((folder / "job.json").read_text())
                    if task["task"] != int(folder.name):
                        continue
                    if task["kind"] != "job" or not task["job"]["key"].startswith("victim"):
                        hunted.add(folder.name)
                        continue
                    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
                    if any(event["type"] == "step" for event in events) and is_alive(events[0]["pid"]):
                        os.kill(events[0]["pid"], signal.SIGKILL)
                        self.killed["worker"] += 1
                        hunted.add(folder.name)
            time.sleep(0.02)

    # ---- what is there ----

    def processes(self):
        """All but us and the agent's own: the agent, and what waits beside it."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) not in (os.getpid(), os.getppid(), 1):
                with contextlib.suppress(OSError):
                    state = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
                    line = pathlib.Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(entry)] = (int(state[1]), state[0], line)
        return found

    def zygote(self):
        """What waits beside the agent."""
        return next((pid for pid, (parent, _, line) in self.processes().items() if parent == self.agent.pid and "zygote" in line), None)

    def host(self):
        with contextlib.suppress(ChildProcessError):  # we are PID 1 here: orphans of what was killed are ours to reap
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        alive = self.processes()
        agents = [pid for pid, (_, _, line) in alive.items() if "serve" in line or "assay-worker zygote" in line or "zygote" in line]
        networks = set()
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    networks.add(os.readlink(f"/proc/{entry}/ns/net"))
                    for fd in os.listdir(f"/proc/{entry}/fd"):
                        with contextlib.suppress(OSError):
                            target = os.readlink(f"/proc/{entry}/fd/{fd}")
                            if target.startswith("net:["):
                                networks.add(target)
        return {"processes": sorted(line for _, _, line in alive.values()),
                "zombies": sum(state == "Z" for _, state, _ in alive.values()),
                "mounts": pathlib.Path("/proc/self/mountinfo").read_text().count("\n"),
                "networks": len(networks), "groups": sorted(self.groups()),
                "files": sorted(str(p.relative_to(self.work)) for p in [*self.tmp.rglob("*"), *(self.data / "jobs").glob("[0-9]*")]),
                "descriptors": descriptors(self.agent.pid),
                "rss_kib": sum(rss(pid) for pid in agents), "agents": len(agents)}

    def groups(self):
        """Control groups by our name that hold nobody: another agent's on this machine come and go."""
        found = set()
        for root in ("memory", "pids", "cpu", "unified", "."):
            for path in folders(f"/sys/fs/cgroup/{root}", "assay-[0-9]*-*"):
                with contextlib.suppress(OSError):
                    if not (path / "cgroup.procs").read_text():
                        found.add(str(path))
        return found

    def ready_groups(self, pids):
        """Control groups that these have made for places to come."""
        return sum(len(list(folders("/sys/fs/cgroup/memory", f"assay-ready-{pid}-*"))) for pid in pids)

    def settled(self, wanted, seconds=30):
        """The host once it is as wanted, or as it is after some time."""
        end = time.monotonic() + seconds
        while True:
            now = self.host()
            same = all(now[key] == wanted[key] for key in ("processes", "networks", "files", "groups", "descriptors", "zombies"))
            if same or time.monotonic() > end:
                return now
            time.sleep(0.2)

    # ---- the story ----

    def run(self):
        self.start()
        for name in ("one", "two", "three"):
            self.repo(name)
        hunter = threading.Thread(target=self.hunt, daemon=True)
        hunter.start()
        warm = [self.dispatch("one", "mixed.yml"), self.dispatch("two", "cancel.yml")]
        self.cli("runs", "cancel", str(warm[1]))
        self.wait_all(warm)
        self.kill()
        time.sleep(1)
        self.wait_all([self.dispatch("three", "mixed.yml")])
        before = self.settled({"processes": [], "networks": 0, "files": [], "groups": [], "descriptors": 0, "zombies": 0}, 2)
        for gone in self.groups():
            before["groups"] = sorted(set(before["groups"]) | {gone})
        began = time.monotonic()
        mixed, cancelled, waiting = [], [], collections.deque()
        for number in range(ROUNDS):
            name = ("one", "two", "three")[number % 3]
            mixed.append(self.dispatch(name, "mixed.yml"))
            cancelled.append(self.dispatch(name, "cancel.yml"))
            waiting.append(mixed[-1])
            if number % 2:
                time.sleep(random.random() * 0.3)
            self.cli("runs", "cancel", str(cancelled[-1]))
            if number % max(2, ROUNDS // 8) == 1:
                self.kill()
            while len(waiting) > AHEAD:
                self.wait_all([waiting.popleft()])
        self.wait_all(mixed + cancelled)
        took = time.monotonic() - began
        self.judge(mixed + cancelled)
        after = self.settled(before)
        self.done = True
        hunter.join()
        print(f"    {ROUNDS * ROUND} jobs in {took:.1f} s, agent killed {self.restarts} times, workers {self.killed['worker']} times")
        for key in ("processes", "zombies", "networks", "files", "descriptors"):
            self.expect(f"{key}: as before", before[key], after[key])
        # Fewer is no leak: whoever removes a folder outside takes what is mounted on it away in here too.
        self.expect("mounts: no more than before", [], [after["mounts"]] if after["mounts"] > before["mounts"] else [])
        self.expect("control groups: none of ours is left", [], sorted(set(after["groups"]) - set(before["groups"])))
        self.expect("nor made ready by those that are gone", 0, self.ready_groups(self.zygotes - {self.zygote()}))
        print(f"    {self.ready_groups([self.zygote()])} groups are ready")
        print(f"    resident: {before['rss_kib']} KiB before, {after['rss_kib']} KiB after, {after['agents']} processes")
        if b"__asan_init" in pathlib.Path(ASSAY).with_name("assay-agent").read_bytes():
            print("    memory is not looked at: a sanitizer keeps what is freed")
        else:
            self.expect("memory of agent and waiting process within 8 MiB", True, after["rss_kib"] - before["rss_kib"] < 8192)
        lines = (self.work / "log").read_text(errors="replace").splitlines()
        lost = [line for line in lines if "worker ended without a result" in line]
        errors = [line for line in lines if ('"level":"error"' in line and line not in lost) or "Sanitizer" in line
                  or "runtime error" in line]
        # An agent that is killed before it has noted such an end tells of it again.
        told = {json.loads(line)["task"] for line in lost}
        self.expect("the agent tells of each worker that was killed, and of no other", self.killed["worker"], len(told))
        self.expect("and of no other error", [], errors[:5])

    def wait_all(self, runs):
        for run in runs:
            for _ in range(6000):
                if self.show(run)["status"] in ("success", "failure", "cancelled", "skipped"):
                    break
                time.sleep(0.1)
            else:
                raise SystemExit(f"run {run} does not end: {self.show(run)}")

    def judge(self, runs):
        wrong, seen = [], collections.Counter()
        for run in runs:
            shown = self.show(run)
            for job in shown["jobs"]:
                fate = job["group"]
                seen[fate] += 1
                if (job["status"], job["cause"]) != WANTED[fate]:
                    wrong.append(f"run {run} {job['key']}: {job['status']} {job['cause']} {job['message']}")
                elif job["status"] == "failure" and not job["message"]:
                    wrong.append(f"run {run} {job['key']} has no sentence")
        wanted = {fate: count * ROUNDS for fate, count in {**COUNTS, "cancel": 2}.items()}
        self.expect(f"{sum(seen.values())} jobs, each once: {dict(seen)}", wanted, dict(seen))
        self.expect("each has its status, cause and sentence", [], wrong[:10])

    def close(self):
        self.done = True
        if self.agent and self.agent.poll() is None:
            self.agent.terminate()
            self.agent.wait()
            self.expect("nor by the last, which ends with its agent", 0, self.ready_groups(self.zygotes))
        for pid, (_, _, line) in self.processes().items():
            if str(self.work) in line:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        if self.failures or os.environ.get("KEEP"):
            print((self.work / "log").read_text(errors="replace")[-3000:])
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.work, ignore_errors=True)


def descriptors(pid):
    """How many it has open; None where we may not look: an ordinary user's agent shuts itself off."""
    with contextlib.suppress(PermissionError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return None


def is_alive(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def rss(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def main():
    if not os.environ.get("ASSAY_ALONE"):
        # In namespaces of its own "nothing is left" is exact, whoever else runs agents here.
        own = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
        command = ["unshare", *own, "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation", "private"]
        os.environ["ASSAY_ALONE"] = "1"
        os.execvp(command[0], [*command, sys.executable, __file__])
    story = Story()
    try:
        story.run()
    finally:
        story.close()
    print("ok" if not story.failures else f"{len(story.failures)} failures")
    return 1 if story.failures else 0


sys.exit(main())
