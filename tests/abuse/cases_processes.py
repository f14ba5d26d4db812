# SPDX-License-Identifier: Apache-2.0
"""J1 to J16: processes, ends, limits, namespaces, kernel interfaces."""
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import time
import urllib.request

from lib import Agent, Attempt, SLOW, end_process, processes, sleep_until

NEW = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x8000000, "uts": 0x4000000,
       "cgroup": 0x2000000, "time": 0x80}
HEAD = "on: [push, workflow_dispatch]\njobs:\n  a:\n    runs-on: any\n    steps:\n"
REFUSED = "EPERM ENOSYS EACCES"


def marker():
    marker.count += 1
    return f"7{os.getpid()}.{marker.count}"


marker.count = 0


def workers(agent):
    """The workers of jobs that are under way: by their first event."""
    found = {}
    for events in (agent.data / "jobs").glob("*/events.jsonl"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = [json.loads(line) for line in events.read_text().splitlines()]
            if lines and lines[0]["type"] == "begin" and not any(e["type"] == "end" for e in lines):
                found[events.parent] = lines[0]["pid"]
    return found


def J1(t):
    """looking into PID 1 and into other jobs' processes"""
    helper = subprocess.Popen(["sleep", "60"])
    t.closing.append(lambda: (helper.kill(), helper.wait()))
    for verb, met in (("ptrace", "EPERM"), ("read_memory", "EPERM"), ("take_descriptor", "EPERM")):
        t.refused(Attempt(f"{verb}=1", met, outside=f"{verb}={helper.pid}"),
                  Attempt(f"{verb}={helper.pid}", "EPERM ESRCH"), Attempt(verb, met))
    # no call at all would be another wall: what holds PID 1 alone
    t.refused_without_filter(Attempt("ptrace=1", "EPERM", outside=f"ptrace={helper.pid}"),
                             Attempt("take_descriptor=1", "EPERM", outside=f"take_descriptor={helper.pid}"),
                             Attempt("read_memory=1", "EPERM", outside=f"read_memory={helper.pid}"),
                             Attempt(f"ptrace={helper.pid}", "ESRCH"))


def J2(t):
    """kill -1, kill of every number, kill of PID 1"""
    agent = Agent(t, config="jobs: 4\n")
    agent.add_repo("acme/calm", HEAD + "      - run: touch here; while [ ! -e go ]; do sleep 0.1; done; echo survived\n")
    calm = agent.dispatch("acme/calm")
    here = sleep_until(lambda: list((agent.data / "jobs").glob("*/work/*/*/here")), 120)
    t.need(here, "the calm job is under way")
    script = ("import os,signal\nfor p in range(1, 140000):\n    if p != os.getpid():\n        try: os.kill(p, 9)\n"
              "        except OSError: pass\ntry: os.kill(-1, 9)\nexcept OSError: pass\nprint('tried all')\n")
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    agent.add_repo("acme/wild", HEAD + f"      - shell: python\n        run: |\n{lines}      - run: kill -9 1; echo alive after\n")
    wild = agent.dispatch("acme/wild")
    after = agent.wait(wild)
    t.check(after["status"] == "success", "the killer's own job is its only victim, and lives", str(after))
    t.check(agent.show(calm)["status"] == "running", "control: another job was there all the time")
    here[0].with_name("go").touch()
    calm_end = agent.wait(calm)
    t.check(calm_end["status"] == "success" and "survived" in agent.run_log(calm), "another job lives on", str(calm_end))
    t.check(agent.process.poll() is None, "the agent lives")
    got = subprocess.run(["unshare", *([] if t.rig.is_root else ["-Ur"]), "--pid", "--fork", "--mount-proc", "sh", "-c",
                          "sleep 60 & kill -9 $! && wait $!; echo $?"], capture_output=True, text=True, check=False)
    t.check(got.stdout == "137\n", "control: a kill in one's own namespace kills", got.stdout + got.stderr)


# Each says that it is born, and inherits a lock: who can take it knows that none of them lives, however fast they change numbers.
LOCKED = "exec 9>lock\nflock 9\n"
LEAVE = """
setsid -f sh -c 'printf x >>born; exec sleep {mark}'
sh -c 'trap "" TERM INT HUP; printf x >>born; exec sleep {mark}' &
python3 -c 'import ctypes,os,signal,time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
ctypes.CDLL(None).prctl(4, 0); signal.signal(15, signal.SIG_IGN); open("born", "a").write("x"); time.sleep(600)' {mark} &
"""
RABBITS = """
python3 -c 'import os,time
for i in range(2): os.fork()
with open("born", "a") as born: born.write("x")
while True:
    if os.fork(): os._exit(0)
    os.setsid(); time.sleep(0.005)' {mark} &
"""
THERE = "while [ \"$(wc -c <born)\" -lt {count} ]; do sleep 0.1; done\ntouch ready\n"
UNTIL_TOLD = "while [ ! -e go ]; do sleep 0.1; done\n"
DEAF = "trap '' INT TERM\nwhile :; do sleep 1; done\n"


def is_free(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def J3(t):
    """daemons: double fork, deaf to TERM, not dumpable, forking while they are ended"""
    plain = t.base / "plain"
    plain.mkdir()
    (plain / "go").touch()
    (plain / "leave.sh").write_text((LOCKED + "touch born\n" + LEAVE + THERE + UNTIL_TOLD).format(mark=marker(), count=3))
    outside = subprocess.run(["unshare", *([] if t.rig.is_root else ["-Ur"]), "--pid", "--fork", "--mount-proc", "sh", "-c",
                              "bash leave.sh; sleep 1; flock -n lock true; echo $?"], cwd=plain, capture_output=True, text=True, check=False)
    t.check(outside.stdout.split() == ["1"], "control: outside they live on", outside.stdout + outside.stderr)
    for name, script, count, end in (("daemons", LEAVE, 3, UNTIL_TOLD), ("rabbits", RABBITS, 4, UNTIL_TOLD), ("all", LEAVE + RABBITS, 7, DEAF)):
        mark = marker()
        data = t.base / f"data-{name}"
        lines = "".join(f"          {line}\n" for line in
                        (LOCKED + "touch born\n" + script + THERE + end).format(mark=mark, count=count).splitlines())
        process = t.popen(t.run_command(HEAD + "      - run: |\n" + lines, data=data))
        ready = sleep_until(lambda: list((data / "jobs").glob("*/work/*/*/ready")), 300)
        t.need(ready, f"the {name} are there")
        with open(ready[0].with_name("lock"), "rb") as lock:
            t.need(not is_free(lock), f"control: the lock of the {name} is held")
            if end == UNTIL_TOLD:
                ready[0].with_name("go").touch()
            else:
                process.send_signal(signal.SIGINT)
            out = process.communicate(timeout=300 * SLOW)[0].decode(errors="replace")
            t.check(is_free(lock) and not processes(mark), f"{name} are dead when the job is reported {'done' if end == UNTIL_TOLD else 'cancelled'}",
                    f"{processes(mark)} {out[-300:]}")
            t.check(process.returncode == 0 or end == DEAF, f"control: the job of the {name} went well", out[-300:])


def soon_gone(mark, whom):
    """What lives a second after its owner's end would stay; how long a loaded machine takes is not what is asked."""
    began = time.monotonic()
    gone = sleep_until(lambda: not processes(mark), 60)
    return gone, f"nothing of it outlives {whom} ({time.monotonic() - began:.2f} s)", str(processes(mark))


def J4(t):
    """SIGKILL of the worker, of the agent, of the waiting process, in the middle of a job"""
    agent = Agent(t, config="jobs: 4\n")
    mark = marker()
    agent.add_repo("acme/w", HEAD + f"      - run: setsid -f sleep {mark}; sleep {mark}\n")
    # the worker
    run = agent.dispatch("acme/w")
    t.need(sleep_until(lambda: len(processes(mark)) >= 2, 120), "control: its processes are there")
    (folder, worker), = workers(agent).items()
    first = [worker, *children(agent.process.pid)]
    os.kill(worker, signal.SIGKILL)
    t.check(*soon_gone(mark, "its worker"))
    end = agent.wait(run)
    t.check(end["jobs"][0]["cause"] == "agent", "its cause is the agent's", str(end))
    t.check(sleep_until(lambda: not folder.exists(), 60), "its folder is gone")
    # the agent: jobs go on, and are adopted
    mark = marker()
    agent.add_repo("acme/on", HEAD + f"      - run: |\n          sleep {mark} || true\n          echo went on\n")
    run = agent.dispatch("acme/on")
    t.need(sleep_until(lambda: processes("sleep\0" + mark), 120), "the job is under way")
    agent.kill()
    time.sleep(0.3)
    napping = processes("sleep\0" + mark)
    t.check(napping, "a job goes on without the agent")
    agent.start()
    for pid in napping:
        os.kill(pid, signal.SIGTERM)
    end = agent.wait(run)
    t.check(end["status"] == "success" and "went on" in agent.run_log(run), "and is adopted", str(end))
    # agent and worker at once: nothing is left, and the next agent says what became of it
    mark = marker()
    agent.add_repo("acme/both", HEAD + f"      - run: setsid -f sleep {mark}; sleep {mark}\n")
    run = agent.dispatch("acme/both")
    t.need(sleep_until(lambda: len(processes(mark)) >= 2, 120), "the job is under way")
    (folder, worker), = workers(agent).items()
    second = [worker, *children(agent.process.pid)]
    agent.kill()
    os.kill(worker, signal.SIGKILL)
    t.check(*soon_gone(mark, "both"))
    agent.start()
    end = agent.wait(run)
    t.check(end["status"] == "failure" and end["jobs"][0]["cause"] == "agent", "the next agent tells", str(end))
    t.check(sleep_until(lambda: not folder.exists(), 60), "and has cleaned up")
    # the process that waits to become workers
    zygotes = [p for p in children(agent.process.pid)]
    t.need(zygotes, "the agent has a waiting process")
    for pid in zygotes:
        os.kill(pid, signal.SIGKILL)
    agent.add_repo("acme/next", HEAD + "      - run: echo hello\n")
    end = agent.wait(agent.dispatch("acme/next"))
    t.check(end["status"] == "success", "without its waiting process the agent makes another", str(end))
    ended = {*first, *second, *zygotes}
    t.check(sleep_until(lambda: not group_folders(ended), 60), "no control group is left", str(group_folders(ended)))
    t.check(not ready_folders(zygotes), "nor one that it had made ready", str(ready_folders(zygotes)))


def children(pid):
    with contextlib.suppress(OSError):
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def ready_folders(pids):
    """Control groups that wait for a place, made by these."""
    return [str(path) for pid in pids for path in pathlib.Path("/sys/fs/cgroup/memory").glob(f"**/assay-ready-{pid}-*")]


def group_folders(pids):
    """Control groups made by these; other agents of this machine have theirs, some by numbers of other namespaces."""
    found = []
    for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"):
        for path in pathlib.Path(root).glob("**/assay-[0-9]*-*"):
            number = re.match(r"assay-(\d+)-", path.name)
            if number and int(number[1]) in pids:
                found.append(str(path))
    return found


AS_OTHERS = """
import os, time
born, users = 0, set()
try:
    for i in range(300):
        ours, theirs = os.pipe()
        if os.fork() == 0:
            os.setgid(1000 + i); os.setuid(1000 + i)
            os.write(theirs, str(os.getuid()).encode())
            time.sleep(600)
        born += 1
        users.add(os.read(ours, 16))
        os.close(ours); os.close(theirs)
except OSError:
    pass
print('born', born, 'as', len(users))
"""


def J5(t):
    """a fork bomb"""
    config = "limits:\n  job_processes: 50\n"
    run = t.run(HEAD + "      - run: ./try fork_bomb=300\n", files={"try": t.rig.attempts.read_bytes()}, config=config)
    row = re.search(r"fork_bomb=300\t(\w+)\t(\d+)", run.text)
    if "number of processes is not limited" in str(run):
        t.not_here("this host gives no pids controller, and steps run as root")
        return
    t.check(row and row[1] == "EAGAIN" and 20 <= int(row[2]) <= 51, "it stops at the limit", str(run))
    if t.has_users():
        lines = "".join(f"          {line}\n" for line in AS_OTHERS.strip().splitlines())
        run = t.run(HEAD + f"      - shell: python\n        run: |\n{lines}", config=config)
        row = re.search(r"^born (\d+) as (\d+)$", run.text, re.M)
        t.check(row and 20 <= int(row[1]) <= 51 and int(row[2]) >= 15, "nor do all the place's users together pass it", str(run))
    outside = subprocess.run(["unshare", *([] if t.rig.is_root else ["-Ur"]), "--pid", "--fork", "--mount-proc",
                              t.rig.attempts, "fork_bomb=300"], capture_output=True, text=True, check=False)
    t.check("ok\t300" in outside.stdout, "control: outside it does not", outside.stdout + outside.stderr)
    # the agent answers meanwhile, and the reason is told where the kernel counts refusals for us
    agent = Agent(t, config=config + "  job_memory: 1 GiB\n")
    agent.add_repo("acme/bomb", HEAD + "      - shell: python\n        run: |\n          import os, time\n          end = time.time() + 3\n"
                   "          while time.time() < end:\n              try: os.fork()\n              except OSError: time.sleep(0.001)\n"
                   "          os._exit(9)\n")
    run = agent.dispatch("acme/bomb")
    agent.wait(run, ("running", "failure"))
    worst = 0
    for _ in range(20):
        began = time.monotonic()
        with urllib.request.urlopen(agent.url + "/healthz", timeout=60 * SLOW) as answer:
            answer.read()
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.05)
    t.check(worst < 20 * SLOW, f"the agent answers meanwhile ({worst * 1000:.0f} ms)")
    job = agent.wait(run)["jobs"][0]
    if "pids" in controllers(t) and "version 2, usable" in t.call([t.rig.assay, "doctor"]).stdout:
        t.check(job["cause"] == "limit" and "processes" in job["message"], "the reason is the limit of processes", str(job))
    else:
        t.not_here("the reason: this agent has no pids controller of version 2, and elsewhere the kernel counts no refusals")


def controllers(t):
    """The controllers by which this user's agent limits jobs, as `assay doctor` found them out."""
    got = t.call([t.rig.assay, "doctor"])
    line = re.search(r"^ok +cgroup +(.*)$", got.stdout, re.M)
    return [name for name in ("memory", "pids", "cpu") if line and re.search(rf"\b{name}\b", line[1].split(":")[-1])]


def J6(t):
    """memory: anonymous, tmpfs, shm, memfd, System V, page tables, pipes"""
    ways = ("anon", "tmpfs", "shm", "memfd", "sysv", "tables", "pipes")
    if t.image:  # an image's /tmp is the disk's
        ways = tuple(how for how in ways if how != "tmpfs")
    jobs = "".join(f"  {how}:\n    runs-on: any\n    steps:\n      - run: ./try memory={how} | tee said; grep -q ok said\n" for how in ways)
    run = t.run("on: push\njobs:\n" + jobs, files={"try": t.rig.attempts.read_bytes()}, timeout=400,
                config="limits:\n  job_memory: 64 MiB\njobs: 2\n")
    held = "memory" in controllers(t)
    by_name = {job["name"]: job for job in run.jobs}
    t.need(len(by_name) == len(ways), str(run))
    outcomes = dict(re.findall(r"memory=(\w+)\t([^\t]+)", run.text))
    for how, job in by_name.items():
        met = outcomes.get(how)
        if job["cause"] == "oom":
            t.check("memory" in job["message"], f"{how}: its process is killed, and the reason says so", str(job))
        elif met in ("ENOSPC", "ENOMEM", "EMFILE", "EPERM", "EFBIG"):
            t.passed.append(f"{how}: refused with {met}")
        elif held:
            t.check(False, f"{how} is limited", f"{job} {met}")
        else:
            t.not_here(f"{how}: this agent has no memory controller, only its processes are limited one by one")
    bare = subprocess.run([t.rig.attempts, *(f"memory={how}" for how in ("anon", "memfd", "tmpfs"))], capture_output=True,
                          text=True, check=False)
    pathlib.Path("/tmp/abuse-fill").unlink(missing_ok=True)
    t.check(bare.stdout.count("\tok\t") == 3, "control: outside 256 MiB are had", bare.stdout)


def writing(t):
    """Four MiB with a limit of one in a second take three seconds, and less without."""
    command = t.place_command("dd if=/dev/zero of=big bs=65536 count=64 conv=fsync 2>/dev/null; rm big")
    took = {}
    for limit in ("1048576", "0"):
        began = time.monotonic()
        got = t.call(command, env=t.place_environment(ABUSE_WRITE=limit))
        took[limit] = time.monotonic() - began
        if "is not limited" in got.stderr:
            t.not_here(f"writing: {got.stderr.strip().splitlines()[-1].split('is not limited: ')[-1]}")
            return
        t.need(got.returncode == 0, got.stderr)
    if took["0"] >= 2.5:
        t.not_here(f"writing: this disk is so slow that {took['0']:.1f} s are needed without a limit")
        return
    t.check(took["1048576"] >= 2.5, f"1 MiB/s: 4 MiB in {took['1048576']:.1f} s, without a limit in {took['0']:.1f} s", str(took))


def J7(t):
    """burning processors, writing to the disk"""
    writing(t)
    burn = ("import os,time\nfor i in range(3): os.fork()\ne=time.time()+%d\nwhile time.time()<e: pass\n"
            "try:\n  while True: os.wait()\nexcept OSError: pass\n") % (2 * SLOW)
    script = f"python3 -c '{burn}'; sleep 0.2; cat /proc/self/stat >/dev/null; times"
    command = t.place_command(script)
    began = time.monotonic()
    got = t.call(command, env=t.place_environment(ABUSE_CPUS="0.5"))
    wall = time.monotonic() - began
    if "CPU time is not limited" in got.stderr:
        t.not_here("no cpu controller is this agent's")
        return
    spent = sum(float(m) * 60 + float(s) for m, s in re.findall(r"(\d+)m([\d.]+)s", got.stdout.splitlines()[-1]))
    t.check(got.returncode == 0 and spent <= 0.5 * wall * 1.1 + 0.1, f"0.5 processors: {spent:.2f} s in {wall:.2f} s",
            got.stdout + got.stderr)
    for _ in range(5):
        began = time.monotonic()
        free = t.call(command, env=t.place_environment())
        share = sum(float(m) * 60 + float(s) for m, s in re.findall(r"(\d+)m([\d.]+)s", free.stdout.splitlines()[-1])) / (
            time.monotonic() - began)
        if share > 0.6:
            return t.check(True, f"control: without the limit {share:.2f} processors")
    t.not_here(f"the machine is so busy that without the limit a job has {share:.2f} processors")


def J8(t):
    """more namespaces, by unshare, clone, clone3, and into others' by setns"""
    outside = "cage"
    attempts = [Attempt(f"unshare={bits:#x}", "EPERM", control=outside) for bits in NEW.values()]
    attempts += [Attempt(f"clone={bits:#x}", "EPERM", control=outside) for name, bits in NEW.items() if name != "time"]
    attempts += [Attempt(f"clone3={bits:#x}", "ENOSYS", control=outside) for bits in NEW.values()]
    attempts += [Attempt(f"setns={name}", "EPERM", control=outside) for name in ("net", "uts", "ipc")]
    attempts += [Attempt("setns_by_pidfd=1", "EPERM", control=None)]
    t.refused(*attempts)
    if t.image:
        return
    # libraries fall back from clone3, and threads work
    got = t.shell("python3 -c 'import threading; x=[]; a=threading.Thread(target=x.append, args=(1,)); a.start(); a.join(); print(x)'")
    t.check(got.stdout == "[1]\n", "threads and processes work without clone3", got.stdout + got.stderr)


def J9(t):
    """keyrings"""
    t.refused(Attempt("add_key", REFUSED), Attempt("join_keyring", REFUSED), Attempt("read_keyring=-3", REFUSED),
              Attempt("read_keyring=-4", REFUSED), Attempt("request_key", REFUSED))


def J10(t):
    """kernel interfaces that a build never needs"""
    t.refused(*(Attempt(name, REFUSED, absent="EPERM") for name in ("io_uring", "bpf", "perf", "userfault", "kexec", "module", "quota", "acct",
                                                 "swapon", "reboot", "process_madvise", "fanotify", "syslog")),
              Attempt("call=1000", "ENOSYS", control=None), Attempt("call=467", "ENOSYS", control=None),
              Attempt("call=470", "ENOSYS", control=None))


def J11(t):
    """other tables of system calls, typing into a terminal"""
    t.refused(Attempt("int80", ["signal 31"], absent=["signal 11"]), Attempt("x32", "ENOSYS"),
              Attempt("type=0", "EPERM EIO", absent="EIO"), Attempt("type=0x100000000", "EPERM EIO", absent="EIO"),
              Attempt("type_linux", "EPERM ENODEV", absent="EPERM"), Attempt("terminal", "ok", control=None))


def J12(t):
    """stealing the terminal"""
    t.refused(Attempt("controlling_terminal", "ENXIO", control=None))
    script = "./try controlling_terminal steal_terminal; true"
    command = t.exec_command("cp /home/runner/work/in try 2>/dev/null; while [ ! -x try ]; do sleep 0.05; done; " + script)
    said, code = on_terminal(t, command, feed=True)
    t.check("controlling_terminal\tENXIO" in said, "with a terminal as its input it has no controlling one", said)
    t.check(re.search(r"steal_terminal\t(EPERM|ENOTTY|EIO)", said), "and cannot take it", said)
    said, code = on_terminal(t, [t.rig.attempts, "controlling_terminal", "steal_terminal"], feed=False)
    t.check("controlling_terminal\tok" in said, "control: outside it has", said)
    if t.uid == 0:  # taking one that is another session's is root's
        t.check("steal_terminal\tok" in said, "control: outside root takes it", said)


def on_terminal(t, command, feed):
    pid, master = pty.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            if t.uid != os.geteuid():
                os.setgroups([])
                os.setresgid(t.uid, t.uid, t.uid)
                os.setresuid(t.uid, t.uid, t.uid)
            os.chdir(t.base)
            os.execve(str(command[0]), [str(c) for c in command], t.environment())
        os._exit(126)
    if feed:
        work = t.exec_folder()
        (work / "try.new").write_bytes(t.rig.attempts.read_bytes())
        (work / "try.new").chmod(0o755)
        (work / "try.new").rename(work / "try")
    said = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(master, 4096):
            said += chunk
    os.close(master)
    return said.decode(errors="replace"), os.waitpid(pid, 0)[1]


def J13(t):
    """priorities, locked memory, limits, the out-of-memory order"""
    t.refused(Attempt("fifo", "EPERM", absent="EPERM"), Attempt("nice", "EPERM EACCES", absent="EACCES"),
              Attempt("mlockall", "EPERM ENOMEM EAGAIN", absent="EPERM ENOMEM"),
              Attempt("raise_limit", "EPERM", absent="EPERM"), Attempt("oom_score", "EACCES EPERM", absent="EACCES"))


def J14(t):
    """steps that do not end: stopped, deaf, frozen children, a FIFO that nobody opens"""
    scripts = {"stopped": "kill -STOP $$; echo woke", "deaf": "trap '' TERM INT; while :; do sleep 1; done",
               "fifo": "mkfifo f; cat f", "children": "sleep 600 & kill -STOP $!; wait",
               "many": "for i in 1 2 3 4 5; do (trap '' INT TERM; sleep 600) & done; wait",
               "heeds": "trap 'echo heard; exit 3' INT; sleep 600 & wait"}
    limit = 15 if t.image else 3  # six images are made ready at once, and that counts
    jobs = "".join(f"  {name}:\n    runs-on: any\n    timeout-minutes: {limit / 60}\n    steps:\n      - run: {json.dumps(text)}\n"
                   f"      - if: always()\n        run: echo afterwards\n"
                   for name, text in scripts.items())
    began = time.monotonic()
    run = t.run("on: push\njobs:\n" + jobs, config="jobs: 8\n", timeout=300)
    took = time.monotonic() - began
    t.need(len(run.jobs) == len(scripts), str(run))
    for job in run.jobs:
        t.check(job["cause"] == "timeout", f"{job['name']} ends by its time limit", str(job))
    t.check("heard" in run.lines, "control: one that heeds is told first", run.text[-600:])
    # the limit, then INT, 7.5 s later TERM, 2.5 s later KILL; the scripts sleep ten minutes, and the call ends before them
    t.check(limit + 10 <= took, f"each has its grace, and ends: {took:.1f} s for {limit} s and the grace of 10")
    t.check(run.text.count("afterwards") >= 2 * len(scripts), "steps with always() run afterwards", run.text[-600:])
    calm = t.run("on: push\njobs:\n  calm:\n    runs-on: any\n    timeout-minutes: 10\n    steps:\n      - run: sleep 1\n")
    t.check(calm.status == "success", "control: within its limit it is left alone", str(calm))


def J15(t):
    """ten thousand orphans, every exit code, every fatal signal"""
    count = int(os.environ.get("ASSAY_ABUSE_ORPHANS", "3000" if not t.rig.guest else "500"))
    got = t.call(t.exec_command("cat >try && chmod 755 try && ./try orphans=%d; "
                            "for i in $(seq 600); do n=$(ls -d /proc/[0-9]* | wc -l); [ $n -lt 10 ] && break; sleep 0.1; done; echo $n" % count),
                 input=t.rig.attempts.read_bytes(), timeout=400)
    t.check(f"ok\t{count}" in got.stdout, f"control: {count} orphans are made", got.stdout + got.stderr)
    t.check(int(got.stdout.split()[-1]) < 10, "all reaped", got.stdout[-100:])
    codes = range(0, 256, 50 if t.rig.guest or t.image else 1)
    wrong = [code for code in codes if t.shell(f"exit {code}").returncode != code]
    t.check(not wrong, "exit codes are exact", str(wrong))
    ignored = {17, 18, 19, 20, 21, 22, 23, 28, 32, 33}
    numbers = [n for n in range(1, 65) if n not in ignored] if not t.rig.guest and not t.image else [6, 9, 11, 34]
    wrong = [n for n in numbers if t.shell(f"kill -{n} $$").returncode != 128 + n]
    t.check(not wrong, "fatal signals are exact", str(wrong))
    run = t.job("kill -SEGV $$")
    t.check(run.cause == "signal" and "11" in run.message, "and have their cause", str(run))


def J16(t):
    """clocks, names, personalities, descriptor tables"""
    before = (os.uname().nodename, pathlib.Path("/proc/sys/kernel/domainname").read_text())
    t.refused(Attempt("set_time", "EPERM", absent="EPERM"), Attempt("clock", "EPERM", absent="EPERM"),
              Attempt("adjtime", "EPERM"), Attempt("hostname", "EPERM", control="cage"), Attempt("personality", "EPERM"),
              Attempt("ldt", "EPERM"))
    t.check((os.uname().nodename, pathlib.Path("/proc/sys/kernel/domainname").read_text()) == before, "the host's names are as they were")


CASES = [J1, J2, J3, J4, J5, J6, J7, J8, J9, J10, J11, J12, J13, J14, J15, J16]
