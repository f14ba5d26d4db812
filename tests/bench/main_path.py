#!/usr/bin/python3
"""The main path's speeds, each beside a reference taken in the same run. Prints ratios; asserts nothing.

    tests/bench/main_path.py BUILD_DIR [--rounds N] [first|jobs|idle|log|posts ...]

first  POST to the first visible log line, minus the same script spawned through a pipe
jobs   a run of 200 trivial jobs, two at a time, over a posix_spawn loop of the same command
idle   PSS of the agent, and with all that waits beside it
log    a job that prints 200 MB over `cat F | cat > G`
posts  durable webhooks a second (wrk) over a bare libmicrohttpd + SQLite group-commit server
"""
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
ASSAY = os.path.join(BUILD, "assay")
args = sys.argv[2:]
ROUNDS = 3
if "--rounds" in args:
    at = args.index("--rounds")
    ROUNDS = int(args[at + 1])
    del args[at:at + 2]
WANTED = args or ["first", "jobs", "idle", "log", "posts"]
WORK = tempfile.mkdtemp(prefix="assay-bench.")
os.chmod(WORK, 0o755)
DATA = os.path.join(WORK, "data")
ENV = dict(os.environ, ASSAY_SOCKET=os.path.join(DATA, "assay.sock"), HOME=WORK, GIT_CONFIG_GLOBAL="/dev/null",
           GIT_AUTHOR_NAME="b", GIT_AUTHOR_EMAIL="b@example.org", GIT_COMMITTER_NAME="b", GIT_COMMITTER_EMAIL="b@example.org")
SECRET = b"bench-secret"


def run(*argv, **kw):
    return subprocess.run(argv, env=ENV, check=True, stdout=subprocess.PIPE, text=True, **kw).stdout.strip()


class Agent:
    def __init__(self, *options):
        self.process = subprocess.Popen([ASSAY, "serve", "--data", DATA, "--listen", "127.0.0.1:0", *options], env=ENV,
                                        stdout=subprocess.PIPE, stderr=open(os.path.join(WORK, "log"), "ab"), text=True)
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("the agent did not start: see " + WORK)
            if line.startswith("ready "):
                break
        self.port = int(line.strip().rsplit(":", 1)[1])
        self.token = run(ASSAY, "token", "create", "admin")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def repo(name, workflow):
    bare, clone = os.path.join(WORK, name + ".git"), os.path.join(WORK, name)
    run("git", "init", "-q", "--bare", "-b", "main", bare)
    run("git", "init", "-q", "-b", "main", clone)
    os.makedirs(clone + "/.assay/workflows")
    with open(clone + "/.assay/workflows/w.yml", "w") as f:
        f.write(workflow)
    run("git", "-C", clone, "add", "-A")
    run("git", "-C", clone, "commit", "-qm", "w")
    run("git", "-C", clone, "push", "-q", bare, "main")
    with open(WORK + "/secret", "wb") as f:
        f.write(SECRET)
    run(ASSAY, "repo", "add", "bench/" + name, "file://" + bare, "--webhook-secret-file", WORK + "/secret")
    return clone, run("git", "-C", clone, "rev-parse", "main")


def payload(name, sha, event="push"):
    body = {"ref": "refs/heads/main", "before": "0" * 40, "after": sha, "deleted": False, "pusher": {"name": "b"},
            "repository": {"full_name": "bench/" + name, "name": name, "default_branch": "main"},
            "head_commit": {"id": sha, "message": "w"}, "padding": "x" * 8000}
    if event == "ping":
        body = {"zen": "x", "repository": body["repository"], "padding": "x" * 8200}
    return json.dumps(body).encode()


def signed(body, event="push"):
    return {"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": str(uuid.uuid4()),
            "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()}


def request(connection, agent, method, path, body=None, headers=None):
    connection.request(method, path, body, dict(headers or {}, Authorization="Bearer " + agent.token))
    answer = connection.getresponse()
    return answer.status, answer.read()


def sse(agent, path):
    """Opens an event stream: a file whose lines come as they are sent."""
    connection = socket.create_connection(("127.0.0.1", agent.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(20)
    connection.sendall(("GET %s HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n" % (
        path, agent.token)).encode())
    return connection, connection.makefile("rb")


def bench_first(agent):
    name = "first-repo"
    _, sha = repo(name, "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo t=$(date +%s%N)\n        shell: sh\n")
    ours, reference = [], []
    connection = http.client.HTTPConnection("127.0.0.1", agent.port)
    for i in range(30 * ROUNDS + 2):
        begin = time.monotonic()
        child = subprocess.Popen(["sh", "-c", "echo t=$(date +%s%N)"], stdout=subprocess.PIPE)
        child.stdout.readline()
        spent = (time.monotonic() - begin) * 1000
        child.wait()
        body = payload(name, sha)
        headers = signed(body)
        held, events = sse(agent, "/api/v1/events")
        while events.readline().strip():
            pass
        begin = time.monotonic()
        status, _ = request(connection, agent, "POST", "/webhooks/github", body, headers)
        assert status == 202, status
        job = None
        while job is None:
            line = events.readline()
            if line.startswith(b"data:") and b"run" in line:
                run_id = json.loads(line[5:])["run"]
                _, text = request(connection, agent, "GET", "/api/v1/runs/%d" % run_id)
                found = json.loads(text)
                if found["delivery"] == headers["X-GitHub-Delivery"] and found["jobs"]:
                    job = found["jobs"][0]["id"]
        held.close()
        held, log = sse(agent, "/api/v1/jobs/%d/log/stream?offset=0" % job)
        while b" t=" not in log.readline():
            pass
        if i >= 2:
            ours.append((time.monotonic() - begin) * 1000)
            reference.append(spent)
        held.close()
        time.sleep(0.03)
    ours.sort()
    print("first log line: POST %.1f ms (p90 %.1f), script through a pipe %.1f ms, difference %.1f ms; must be <= 15" % (
        statistics.median(ours), ours[int(len(ours) * 0.9)], statistics.median(reference),
        statistics.median(ours) - statistics.median(reference)))


def wait_run(agent, delivery, seconds=300, quiet=0):
    """
    Asks for the run as an ended one, which costs next to nothing until it is; and now and then for one that went wrong. Not
    before `quiet` seconds have passed: each question is half a millisecond of Python on the CPUs that are measured.
    """
    connection = http.client.HTTPConnection("127.0.0.1", agent.port)
    end = time.monotonic() + seconds
    time.sleep(quiet)
    turn = 0
    while time.monotonic() < end:
        turn += 1
        status = "success" if turn % 25 else "failure"
        _, text = request(connection, agent, "GET", "/api/v1/runs?delivery=%s&status=%s" % (delivery, status))
        runs = json.loads(text)["runs"]
        if runs:
            return runs[0]
        time.sleep(0.004)
    raise SystemExit("the run did not end: " + WORK)


def cpu(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bench_jobs(agent):
    name = "jobs-repo"
    numbers = ", ".join(str(i) for i in range(200))
    _, sha = repo(name, "on: push\njobs:\n  a:\n    runs-on: x\n    strategy:\n      matrix:\n        n: [%s]\n"
                        "    steps:\n      - run: echo\n        shell: sh\n" % numbers)
    ratios, walls = [], []
    for _ in range(ROUNDS):
        begin = time.monotonic()
        running = []
        for _ in range(200):
            running.append(os.posix_spawn("/bin/sh", ["sh", "-c", "echo"], ENV, file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]))
            if len(running) == 2:
                os.waitpid(running.pop(0), 0)
        for pid in running:
            os.waitpid(pid, 0)
        loop = time.monotonic() - begin
        body = payload(name, sha)
        headers = signed(body)
        connection = http.client.HTTPConnection("127.0.0.1", agent.port)
        before = cpu(agent.process.pid)
        begin = time.monotonic()
        request(connection, agent, "POST", "/webhooks/github", body, headers)
        done = wait_run(agent, headers["X-GitHub-Delivery"], quiet=0.9 * min(walls, default=0))
        wall = time.monotonic() - begin
        walls.append(wall)
        assert done["status"] == "success", done
        ratios.append(wall / loop)
        print("200 jobs: %.2f s, spawn loop %.2f s, ratio %.1f; agent's CPU %.1f ms a job" % (
            wall, loop, wall / loop, (cpu(agent.process.pid) - before) * 5))
    print("200 jobs: median ratio %.1f; must be <= 6" % statistics.median(ratios))


def pss(pid):
    for line in open("/proc/%d/smaps_rollup" % pid):
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024


def below(pid):
    """All processes that descend from one."""
    children = {}
    for line in run("ps", "-eo", "ppid=,pid=").splitlines():
        parent, child = map(int, line.split())
        children.setdefault(parent, []).append(child)
    out = [pid]
    for one in out:
        out += children.get(one, [])
    return out[1:]


def bench_idle(agent):
    time.sleep(1)
    waiting = [p for p in below(agent.process.pid) if os.path.exists("/proc/%d/smaps_rollup" % p)]
    both = pss(agent.process.pid) + sum(pss(p) for p in waiting)
    print("idle PSS: agent %.1f MB (must be <= 9), with the %d that wait beside it %.1f MB (must be <= 14)" % (
        pss(agent.process.pid), len(waiting), both))


def bench_log(agent):
    big = os.path.join(WORK, "big.txt")
    line = "%07d " + "x" * 91 + "\n"
    with open(big, "w") as f:
        for i in range(2000000):
            f.write(line % i)
    os.chmod(big, 0o644)
    name = "log-repo"
    _, sha = repo(name, "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: cat /bench/big.txt\n        shell: sh\n")
    ratios, walls = [], []
    for _ in range(ROUNDS):
        os.sync()  # what earlier rounds have left to the disk is not written beside this one
        begin = time.monotonic()
        subprocess.run("cat %s | cat > %s/copy" % (big, WORK), shell=True, check=True)
        reference = time.monotonic() - begin
        os.unlink(WORK + "/copy")
        body = payload(name, sha)
        headers = signed(body)
        connection = http.client.HTTPConnection("127.0.0.1", agent.port)
        begin = time.monotonic()
        request(connection, agent, "POST", "/webhooks/github", body, headers)
        done = wait_run(agent, headers["X-GitHub-Delivery"], quiet=0.9 * min(walls, default=0))
        wall = time.monotonic() - begin
        walls.append(wall)
        assert done["status"] == "success", done
        ratios.append(reference / wall)
        print("200 MB log: %.2f s, cat | cat %.2f s, ratio %.2f" % (wall, reference, reference / wall))
    print("200 MB log: median ratio %.2f; must be >= 0.5" % statistics.median(ratios))


def bench_posts(agent):
    name = "posts-repo"
    repo(name, "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo\n")
    body = payload(name, "0" * 40, "ping")
    signature = signed(body, "ping")["X-Hub-Signature-256"]
    with open(WORK + "/body", "wb") as f:
        f.write(body)
    script = WORK + "/post.lua"
    with open(script, "w") as f:
        f.write('local f = io.open("%s/body", "rb"); local body = f:read("*a"); f:close()\n'
                'local n = 0; local seed = "%s-" .. os.time() .. "-"\n'
                'request = function()\n  n = n + 1\n  return wrk.format("POST", nil, {["Content-Type"]="application/json",'
                '["X-GitHub-Event"]="ping",["X-GitHub-Delivery"]=seed .. n,["X-Hub-Signature-256"]="%s"}, body)\nend\n'
                % (WORK, uuid.uuid4().hex, signature))

    def wrk(port):
        text = run("wrk", "-t1", "-c32", "-d4s", "-s", script, "http://127.0.0.1:%d/webhooks/github" % port)
        if "Non-2xx" in text:
            raise SystemExit("the webhooks were refused, so this measures nothing:\n" + text)
        return float(text.split("Requests/sec:")[1].split()[0])

    def look_into_all():
        """What was stored is looked into afterwards: the bare server is not to be measured beside that. How long it took."""
        connection = http.client.HTTPConnection("127.0.0.1", agent.port)
        begin = time.monotonic()
        while True:
            _, text = request(connection, agent, "GET", "/api/v1/deliveries?limit=1")
            if json.loads(text)["deliveries"][0]["outcome"]: # the newest, and they are looked into by age
                return time.monotonic() - begin
            time.sleep(0.1)

    limit = os.path.join(BUILD, "tests", "bench-intake_limit")
    reference = subprocess.Popen([limit, WORK + "/limit.db", SECRET.decode()], stdout=subprocess.PIPE, text=True)
    port = int(reference.stdout.readline())
    ratios = []
    for _ in range(ROUNDS):
        g = wrk(port)
        ours = wrk(agent.port)
        ratios.append(ours / g)
        print("durable POSTs: %.0f/s, bare group commit %.0f/s, ratio %.2f; looked into %.1f s later" % (
            ours, g, ours / g, look_into_all()))
    reference.kill()
    reference.wait()
    print("durable POSTs: median ratio %.2f; must be >= 0.6" % statistics.median(ratios))


config = os.path.join(WORK, "assay.yml")
try:
    for what in WANTED:
        with open(config, "w") as f:
            f.write("jobs: 2\n")
            if what == "log":
                f.write("sandbox:\n  mounts:\n    - {source: %s, target: /bench}\n" % WORK)
        agent = Agent("--config", config)
        try:
            globals()["bench_" + what](agent)
        finally:
            agent.stop()
            shutil.rmtree(DATA, ignore_errors=True)
finally:
    shutil.rmtree(WORK, ignore_errors=True)
