# SPDX-License-Identifier: Apache-2.0
"""F1 to F20: files, mounts, descriptors, devices."""
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import socket
import stat
import struct
import subprocess
import tarfile
import time

from lib import Agent, Attempt, NotHere, PATH, SLOW, digest, entry, image_with, layer, sleep_until

GONE = "ENOENT EACCES"
SHUT = "EROFS EACCES EPERM"
DEVICES = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"


def F1(t):
    """reading the agent's state, tokens, other jobs' workspaces, /root, keys, /etc/shadow"""
    state = t.rig.sensitive
    other = t.base / "other-job/work"
    other.mkdir(parents=True)
    (other / "model").write_text("another job's\n")
    t.refused(Attempt(f"read={state}/token", GONE), Attempt(f"read={other}/model", GONE), Attempt("read=/etc/shadow", GONE),
              Attempt("list=/root", GONE, image=False), Attempt(f"list={state}", GONE), 
              Attempt("list=/var/lib", GONE), Attempt("list=/etc/ssl/private", GONE, absent="ENOENT"))
    homes = t.inside(["list=/home"])["list=/home"]
    t.check(homes[0] == "ok" and homes[1].split() == ([] if t.image else ["runner"]), "/home holds the steps' own alone", str(homes))
    # a real agent: its database, its key, the folder of the job itself and of others
    agent = Agent(t)
    names = ["assay.db", "key"]
    for name in names:
        t.need((agent.data / name).exists(), f"the agent has no {name}")
    t.refused(*(Attempt(f"read={agent.data}/{name}", GONE) for name in names), Attempt(f"list={agent.data}/jobs", GONE),
              Attempt(f"list={agent.data}", GONE))


def F2(t):
    """writing /usr, /etc and /, mounting over them, remounting"""
    places = ["/usr/local/bin/assay-abuse", "/usr/assay-abuse", "/etc/assay-abuse", "/assay-abuse"]
    # an image's root is the job's own: what is written there goes with it (F17)
    t.refused(*(Attempt(f"create={p}", SHUT, image=False) for p in places), Attempt("write=/etc/passwd", SHUT, image=False),
              Attempt("write=/usr/bin/env", SHUT, absent="ETXTBSY", image=False),
              *(Attempt(f"remount={p}", "EPERM", control="cage", outside="remount=/tmp") for p in ("/usr", "/etc", "/")),
              Attempt("mount_bind=/usr", "EPERM", control="cage"), Attempt("mount_tmpfs=/usr", "EPERM", control="cage"),
              Attempt("mount_setattr=/usr", "EPERM", control="cage", outside="mount_setattr=/tmp"))
    t.refused_without_filter(*(Attempt(f"create={p}", SHUT, image=False) for p in places), Attempt("mount_bind=/usr", "EPERM", control="cage"),
                             *(Attempt(f"remount={p}", "EPERM", control="cage", outside="remount=/tmp") for p in ("/usr", "/")))


def F3(t):
    """unmounting what covers, with and without the filter of system calls"""
    own = ["/__w", "/github/home", "/github/workflow", "/etc/hosts"] if t.image else ["/home/runner/work", "/home/runner", "/usr"]
    inside = ["/proc", "/tmp", *own, "/dev/shm", "/proc/sys", "/proc/keys", "/"]
    attempts = [Attempt(f"umount={p}", "EPERM", control="cage", outside="umount=/tmp") for p in inside]
    attempts.append(Attempt("fsopen", "EPERM", control="cage"))
    attempts.append(Attempt("open_tree=/usr", "EPERM", control="cage"))
    t.refused(*attempts)
    t.refused_without_filter(*attempts)


def F4(t):
    """descriptors that were left open, a working directory behind one (CVE-2024-21626)"""
    t.refused(Attempt("extra_descriptors", "ENOENT", control=None), Attempt("unreachable_folder", "ENOENT", control=None),
              Attempt("folder_by_descriptor", GONE, control=None), Attempt("list=/proc/1/fd", "EACCES EPERM", outside="list=/proc/self/fd"))
    gone = t.base / "gone"
    gone.mkdir()
    extra = os.open(t.base, os.O_RDONLY | os.O_DIRECTORY)
    got = subprocess.run(["sh", "-c", 'rmdir "$PWD"; exec "$0" extra_descriptors folder_by_descriptor unreachable_folder', t.rig.attempts],
                         cwd=gone, capture_output=True, text=True, check=False, pass_fds=[extra])
    os.close(extra)
    for name in ("extra_descriptors", "folder_by_descriptor", "unreachable_folder"):
        t.check(f"{name}\tok\t" in got.stdout, f"control: with a descriptor and a folder that is gone, {name} sees it", got.stdout)
    for folder in ("/proc/self/fd/7", "/proc/1/cwd", "/proc/self/cwd", "/dev/fd/3"):
        run = t.run(f"on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n      - run: pwd\n        working-directory: {folder}\n")
        t.check(run.status == "failure" and folder in run.message, f"working-directory {folder} is refused by name", str(run))
    run = t.run("on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n      - run: mkdir sub\n      - run: pwd\n        working-directory: sub\n")
    t.check(run.status == "success" and any(line.endswith("/app/app/sub") for line in run.lines), "control: a folder of its own is taken", str(run))


def F5(t):
    """writing the program of PID 1 or of the agent (CVE-2019-5736)"""
    helper = subprocess.Popen(["sleep", "60"])  # what the control reaches for
    t.closing.append(lambda: (helper.kill(), helper.wait()))
    agent = Agent(t)
    t.refused(Attempt("reopen_program=1", "EACCES EPERM ENOENT", outside=f"reopen_program={helper.pid}"),
              Attempt("write=/proc/1/exe", "EACCES EPERM", outside=f"write={t.rig.sensitive}/token"),
              Attempt("read=/proc/1/exe", "EACCES EPERM", outside=f"read=/proc/{helper.pid}/exe"),
              Attempt(f"read=/proc/{agent.process.pid}/exe", "ENOENT"),
              Attempt("self_program", "ETXTBSY", control=None))
    # PATH's programs of the host, through the mounts of the place
    t.refused(Attempt("write=/usr/bin/env", SHUT + " ETXTBSY", control=None, image=False))
    for path, before in t.rig.digests.items():
        t.check(digest(path) == before, f"{pathlib.Path(path).name} is as it was")


def F6(t):
    """leaving by chroot, pivot_root or file handles (Shocker)"""
    attempts = [Attempt("chroot", "EPERM", control="cage"), Attempt("chroot_escape=/etc/shadow", "EPERM", control="cage"),
                Attempt("pivot_root", "EPERM", control="cage", absent="EINVAL")]
    t.refused(*attempts, Attempt("name_to_handle", "EPERM ENOSYS"), Attempt("open_by_handle=/usr", "EPERM ENOSYS"))
    t.refused_without_filter(*attempts, Attempt("open_by_handle=/usr", "EPERM"))


def F7(t):
    """mounts that appear across the wall, either way"""
    if not t.rig.is_root:
        raise NotHere("making the host's side of it needs root")
    # A host of its own: a mount namespace whose mounts are shared, as systemd makes them.
    shared = t.base / "shared"
    shared.mkdir()
    who = [] if t.uid == 0 else ["setpriv", f"--reuid={t.uid}", f"--regid={t.uid}", "--clear-groups"]
    script = """
set -e
mount -t tmpfs none /usr/local/share
mkdir /usr/local/share/late
"$@" -c 'echo ready; while [ ! -e go ]; do sleep 0.05; done; ls /usr/local/share/late 2>/dev/null | wc -l' >"$OUT" &
for i in $(seq 4000); do grep -q ready "$OUT" && break; sleep 0.05; done
mount -t tmpfs late /usr/local/share/late
touch /usr/local/share/late/appeared
touch "$(ls -d "$TMPDIR"/assay-exec-*/work)/go"
wait
# the control: a namespace that follows sees it
unshare --mount --propagation slave sh -c 'mkdir -p /usr/local/share/c; echo r >"$OUT.c"; while [ ! -e "$OUT.go" ]; do sleep 0.05; done; ls /usr/local/share/c | wc -l >>"$OUT.c"' &
while [ ! -s "$OUT.c" ]; do sleep 0.05; done
mount -t tmpfs late /usr/local/share/c; touch /usr/local/share/c/appeared; touch "$OUT.go"
wait
"""
    out = t.base / "f7"
    inside = t.exec_command("")
    command = ["unshare", "--mount", "--propagation", "shared", "bash", "-c", script, "bash", *who,
               *map(str, inside[:inside.index("/bin/sh") + 1])]
    got = subprocess.run(command, env=t.environment(OUT=str(out)), capture_output=True, text=True, timeout=240 * SLOW,
                         check=False)
    t.check(got.returncode == 0, "the two sides", got.stderr)
    t.check(out.read_text().split() == ["ready", "0"], "a host's mount does not appear inside", out.read_text() + got.stderr)
    t.check(pathlib.Path(f"{out}.c").read_text().split() == ["r", "1"], "control: it does in a namespace that follows")
    before = pathlib.Path("/proc/self/mountinfo").read_text()
    t.refused_without_filter(Attempt("mount_tmpfs=/tmp", "EPERM", control="cage"))
    t.shell("mount -t tmpfs none /tmp; true")
    t.check(pathlib.Path("/proc/self/mountinfo").read_text() == before, "the host's mounts are as they were")


def F8(t):
    """a mount's target that is a link, or is swapped for one while the place is made (CVE-2019-19921, 2021-30465, 2023-28642)"""
    tries = 50 if t.rig.guest else 400 if t.image else 1000  # of the same code
    outside = t.base / "outside"
    outside.mkdir()
    (outside / "canary").write_text("do-not-take-me\n")
    source = t.base / "source"
    source.mkdir()
    (source / "mark").write_text("mounted\n")
    for path in (outside, source):
        t.give_all(path)
    command = [t.rig.unfiltered, "--race", t.steps_uid(), t.temporary, source, outside, tries]
    got = t.call(command, timeout=600, env=t.place_environment())
    t.check(got.returncode == 0, f"{tries} tries: within or refused", got.stdout + got.stderr[-500:])
    t.passed.append(got.stdout.strip())
    t.check(os.listdir(outside) == ["canary"], "nothing was made where the link led", str(os.listdir(outside)))
    # the control: somebody who follows the link does get out
    t.check(re.search(r"control: [1-9]\d* of", got.stdout), "control: a path that is followed leads out", got.stdout)
    t.check(re.search(r"^[1-9]\d* opened, [1-9]\d* refused", got.stdout), "control: both, places were opened and refused", got.stdout)
    if t.image:
        linked_targets(t, outside)


def linked_targets(t, outside):
    """Images in which what we mount upon, or write into, is a link that leads out: into the host, if it is followed there."""
    up = "../" * 20 + str(outside)[1:]
    hostile = [(target, str(outside)) for target in ("proc", "dev", "sys", "tmp", "etc", "__w", "github")] + [("proc", up), ("dev", up)]
    hostile += [(target, f"{outside}/canary") for target in ("etc/hosts", "etc/resolv.conf", "etc/hostname")]
    hostile += [("dev/null", f"{outside}/canary"), ("dev/console", f"{outside}/canary"), ("dev/pts", up), ("dev/shm", up),
                ("proc/sys", up), ("proc/self", up)]
    met = []
    for number, (target, to) in enumerate(hostile):
        folder = image_with(t, f"link{number}", layer(entry(target, kind=tarfile.SYMTYPE, link=to)),
                            config={"WorkingDir": "/__w/made"} if target == "__w" else None)
        got = t.in_folder(folder, "cat /dev/null /etc/hosts /etc/resolv.conf; ls -lL /dev/null; df /dev /proc >/dev/null; ls /tmp /sys; echo inside")
        refused = got.returncode != 0 and "link" in got.stderr
        met.append("refused" if refused else "within")
        t.check(refused or ("inside" in got.stdout and re.search(r"^crw.* 1, +3 .*/dev/null$", got.stdout, re.M)),
                f"/{target} as a link: refused by name, or the place's own", f"{got.returncode} {got.stdout[-200:]} {got.stderr[-300:]}")
        t.check("do-not-take-me" not in got.stdout, f"/{target} as a link shows nothing of the host", got.stdout)
        t.check(os.listdir(outside) == ["canary"] and (outside / "canary").read_text() == "do-not-take-me\n",
                f"/{target} as a link: the host is as it was", str(os.listdir(outside)))
        shutil.rmtree(folder)
    t.passed.append(f"{met.count('refused')} refused, {met.count('within')} within")
    got = t.in_folder(image_with(t, "folders", layer(entry("proc", kind=tarfile.DIRTYPE, mode=0o755))), "echo inside")
    t.check(got.stdout == "inside\n", "control: with folders there it starts", got.stdout + got.stderr)


def F9(t):
    """covers of /proc, looked at after mounting"""
    # those that any user reads, and those that root reads
    t.refused(*(Attempt(f"uncovered=/proc/{name}", "ENOENT ENODATA EACCES EPERM", absent="ENOENT ENODATA") for name in
                ("keys", "key-users", "kallsyms", "kcore", "kmsg", "timer_list", "sched_debug", "latency_stats", "kpageflags")),
              Attempt("uncovered=/proc/config.gz", "ENOENT ENODATA EACCES", absent="ENOENT"),
              Attempt("writable_mount=/proc/sys", "EROFS"), Attempt("create=/dev/abuse", SHUT),
              Attempt("mount_type=proc", "EPERM", control="cage"))
    t.refused_without_filter(Attempt("mount_type=proc", "EPERM", control="cage"))


OVER_USERS = "00000000000000fb"  # executors/init_confine.c


def F10(t):
    """set-user-ID programs and programs with capabilities"""
    t.refused(Attempt("mounts_without_nosuid", "ENOENT"))
    if not t.rig.is_root:
        t.not_here("making a root's set-user-ID program needs root")
        return
    process = t.popen(t.exec_command("while [ ! -e go ]; do sleep 0.02; done; ./setuid-copy euid; id -u; id -g; ./able-grep CapEff /proc/self/status"))
    work = t.exec_folder()
    able, may_chown = work / "able-grep", struct.pack("<5I", 0x02000001, 1, 0, 0, 0)  # permitted, and effective at once
    shutil.copy(shutil.which("grep"), able)
    able.chmod(0o755)
    os.setxattr(able, "security.capability", may_chown)
    copy = work / "setuid-copy"
    shutil.copy(t.rig.attempts, copy)
    os.chown(copy, 0, 0)
    copy.chmod(0o6755)
    control = subprocess.run([copy, "euid"], user=ORDINARY_UID, group=ORDINARY_UID, extra_groups=[], capture_output=True,
                             text=True, check=False) if reachable(copy) else None
    if control is None:  # the work folder is shut to strangers: the same file where it is not
        elsewhere = t.base / "setuid-copy"
        t.base.chmod(0o755)
        shutil.copy(t.rig.attempts, elsewhere)
        elsewhere.chmod(0o6755)
        os.chown(elsewhere, 0, 0)
        elsewhere.chmod(0o6755)
        control = subprocess.run([elsewhere, "euid"], user=ORDINARY_UID, group=ORDINARY_UID, extra_groups=[],
                                 capture_output=True, text=True, check=False)
        elsewhere.unlink()
    t.check(control.stdout == "0 0\n", "control: outside it becomes root", control.stdout + control.stderr)
    elsewhere = t.base / "able-grep"
    shutil.copy(able, elsewhere)
    elsewhere.chmod(0o755)
    t.base.chmod(0o755)
    os.setxattr(elsewhere, "security.capability", may_chown)
    control = subprocess.run([elsewhere, "CapEff", "/proc/self/status"], user=ORDINARY_UID, group=ORDINARY_UID, extra_groups=[],
                             capture_output=True, text=True, check=False)
    t.check(re.search(r"CapEff:\s0*[1-9a-f]", control.stdout), "control: outside a file's capabilities are had", control.stdout + control.stderr)
    (work / "go").touch()
    out = process.communicate(timeout=240 * SLOW)[0].decode()
    me = "0" if t.image else "1001"  # an image's root is nobody's root outside, as the next line sees
    rights = OVER_USERS if t.has_users() else "0000000000000000"
    t.check(out == f"{me} {me}\n{me}\n{me}\nCapEff:\t{rights}\n", "inside it stays who it was, and able to no more", out)
    if t.has_users():
        # root may become others here; they must not become root again, by whatever file he leaves them
        script = ("cat >try; chmod 755 try; cp try mine; chmod 6755 mine; cp try theirs; chown worker theirs; chmod 6755 theirs; ls -ln mine theirs; "
                  "./theirs euid; exec su worker -c './mine euid; grep CapEff /proc/self/status; grep CapBnd /proc/self/status'")
        got = t.call(t.exec_command(script), input=t.rig.attempts.read_bytes())
        t.check(got.stdout.count("-rwsr-sr-x") == 2, "control: the bits are set", got.stdout + got.stderr)
        lines = [line for line in got.stdout.splitlines() if not line.startswith("-rws")]
        t.check(lines == ["0 0", "1234 1235", "CapEff:\t0000000000000000", f"CapBnd:\t{OVER_USERS}"],
                "a set-user-ID file of the place's root or of another user makes nobody another", got.stdout + got.stderr)
        process = t.popen(t.exec_command("touch 0; chown 0:0 0; touch 1; chown 1:1 1; touch most; chown 65535:65535 most; chown 65536:0 0 || echo no more; sleep 60"))
        t.check(process.stdout.readline() == b"no more\n", "an id beyond the range is none")
        ids = [(os.stat(t.exec_folder() / each).st_uid, os.stat(t.exec_folder() / each).st_gid) for each in ("0", "1", "most")]
        t.check(ids == [(64001 if t.uid == 0 else t.uid,) * 2, (t.first_id(),) * 2, (t.first_id() + 65534,) * 2], "they are nobody's on the host", str(ids))
        process.kill()
    else:
        owner = t.shell("cat /proc/self/uid_map").stdout.split()
        t.check(owner[0] == me and owner[2] == "1" and (not t.image or owner[1] != "0"), "one id, and not the host's root", str(owner))
    run = t.run("on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n      - run: cp /bin/true p && chmod 6755 p && test -u p\n"
                "      - uses: actions/upload-artifact@v4\n        with: {name: p, path: p}\n"
                "  b:\n    runs-on: any\n    needs: a\n    steps:\n      - uses: actions/download-artifact@v4\n"
                "        with: {name: p}\n      - run: stat -c mode=%a p; test ! -u p -a ! -g p\n")
    t.check(run.status == "success", "the bits do not pass through an artifact", str(run))


ORDINARY_UID = 54322


def reachable(path):
    return all(os.stat(p).st_mode & stat.S_IXOTH for p in path.parents)


def F11(t):
    """making device nodes, and using one that came along"""
    t.refused(Attempt("mknod_char=node", "EPERM", outside=f"mknod_char={t.base}/c"),
              Attempt("mknod_block=node", "EPERM", outside=f"mknod_block={t.base}/b"),
              Attempt("mknod_char=/tmp/node", "EPERM", outside=f"mknod_char={t.base}/c"))
    if not t.rig.is_root:
        t.not_here("making a node needs root")
        return
    process = t.popen(t.exec_command("while [ ! -e go ]; do sleep 0.02; done; head -c 1 node | wc -c"))
    work = t.exec_folder()
    os.mknod(work / "node", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.chmod(work / "node", 0o666)
    with open(work / "node", "rb") as node:
        t.check(node.read(1) == b"\0", "control: outside the node is a device")
    (work / "go").touch()
    out, err = process.communicate(timeout=240 * SLOW)
    t.check(out == b"0\n" and b"ermission denied" in err, "inside it cannot be opened", f"{out} {err}")


def F12(t):
    """what /dev holds"""
    rows = t.inside(["list=/dev"])
    t.check(rows["list=/dev"][1].split() == DEVICES.split(), "exactly the list", rows["list=/dev"][1])
    t.refused(*(Attempt(f"open=/dev/{name}", GONE, absent="ENOENT ENXIO EPERM") for name in
                ("kmsg", "mem", "kvm", "fuse", "loop-control", "net/tun", "vda", "sda", "input/event0", "ptp0", "vsock")),
              Attempt("list=/dev/net", GONE, absent="ENOENT"), Attempt("list=/dev/mapper", GONE, absent="ENOENT"))


def F13(t):
    """writing the kernel's switches below /proc"""
    names = ["sys/kernel/core_pattern", "sysrq-trigger", "sys/vm/drop_caches", "sys/vm/overcommit_memory",
             "sys/net/core/somaxconn", "sys/net/ipv4/ip_forward", "irq/default_smp_affinity", "sys/kernel/modprobe",
             "sys/fs/file-max"]
    t.refused(*(Attempt(f"write=/proc/{name}", SHUT + " ENOENT", absent="ENOENT") for name in names))


def F14(t):
    """a crash, where the host pipes cores to a handler"""
    t.refused(Attempt("crash", ["signal 11"], control=None))
    run = t.shell("ulimit -c unlimited 2>/dev/null; ulimit -c; cd /tmp; sh -c 'kill -SEGV $$'; ls /tmp/core* 2>/dev/null")
    t.check(run.stdout == "0\n", "no core file, and no way to allow one", run.stdout)
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern")
    if pattern.read_text().strip() == "core":
        outside = subprocess.run(["bash", "-c", "ulimit -c unlimited; sh -c 'kill -SEGV $$'; ls"], cwd=t.temporary, capture_output=True,
                                 text=True, check=False)
        t.check("core" in outside.stdout, "control: outside there is a core file", outside.stdout + outside.stderr)
    if not t.rig.guest:
        t.not_here("core_pattern is the whole machine's, which is not ours: the guest's case")
        return
    mark = pathlib.Path("/run/assay-core-handler")
    handler = pathlib.Path("/usr/local/bin/core-handler")
    handler.write_text(f"#!/bin/sh\ncat >/dev/null\necho \"$1\" >>{mark}\n")
    handler.chmod(0o755)
    old = pattern.read_text()
    try:
        pattern.write_text(f"|{handler} %P")
        subprocess.run(["bash", "-c", "ulimit -c unlimited; cd /tmp; sh -c 'kill -SEGV $$'; true"], check=True)
        ran = sleep_until(lambda: mark.exists() and mark.read_text().endswith("\n"), 120)
        t.check(ran, "control: the handler runs for a crash outside")
        before = mark.read_text()
        t.shell("sh -c 'kill -SEGV $$'; sh -c 'kill -ABRT $$'; ulimit -c 0; sh -c 'kill -SEGV $$'; true")
        t.refused(Attempt("crash_without_limit", ["signal 11"], control=None))
        time.sleep(1)
        t.check(mark.read_text() == before, "no handler runs for a crash inside", f"{before!r} became {mark.read_text()!r}")
    finally:
        pattern.write_text(old)
        mark.unlink(missing_ok=True)


def F15(t):
    """writing /sys, mounting control groups, release_agent"""
    t.refused(Attempt("list=/sys/fs/cgroup", GONE), Attempt("create=/sys/abuse", SHUT + " ENOENT", control=None, image=False),
              Attempt("mount_type=cgroup2", "EPERM", control="cage"), Attempt("mount_type=sysfs", "EPERM", control="cage"),
              Attempt("mount_cgroup_v1", "EPERM", control="cage", absent="EBUSY EINVAL"),
              Attempt("cgroup_by_new_user=cgroup2", "EPERM"),
              Attempt("write=/sys/devices/system/cpu/cpu1/online", SHUT + " ENOENT", absent="ENOENT EACCES"),
              Attempt("list=/sys/kernel", GONE), Attempt("list=/sys/class", GONE))
    t.refused_without_filter(Attempt("mount_type=cgroup2", "EPERM", control="cage"),
                             Attempt("mount_cgroup_v1", "EPERM", control="cage", absent="EBUSY EINVAL"),
                             Attempt("mount_type=sysfs", "EPERM", control="cage"))


def F16(t):
    """environment, root, memory and maps of the host's processes; what the kernel tells"""
    helper = subprocess.Popen(["sleep", "60"], env={"CANARY": "secret", "PATH": PATH})
    t.closing.append(lambda: (helper.kill(), helper.wait()))
    time.sleep(0.1)
    t.refused(*(Attempt(f"read=/proc/{helper.pid}/{name}", "ENOENT", absent="EIO" if name == "mem" else "") for name in
                ("environ", "maps", "mem", "cmdline", "status")), Attempt(f"list=/proc/{helper.pid}/root", "ENOENT"),
              *(Attempt(f"read=/proc/1/{name}", "EACCES EPERM", outside=f"read=/proc/{helper.pid}/{name}",
                        absent="EIO" if name == "mem" else "") for name in ("environ", "maps", "mem")),
              *(Attempt(f"list=/proc/1/{name}", "EACCES EPERM", outside=f"list=/proc/{helper.pid}/{name}") for name in
                ("root", "cwd", "fd")),
              *(Attempt(f"uncovered=/proc/{name}", "ENOENT ENODATA EACCES EPERM", absent="ENOENT ENODATA") for name in
                ("kcore", "keys", "timer_list", "kallsyms", "config.gz", "slabinfo", "vmallocinfo", "kpagecount")))
    got = t.shell("ls -d /proc/[0-9]* | wc -l")
    t.check(int(got.stdout or 99) < 8, "only its own processes are listed", got.stdout)


def F17(t):
    """writing through what a cache, a data version or an image's layers brought"""
    if t.image:
        first = t.shell("cat /etc/passwd; cksum /bin/busybox")
        layers = {p: digest(p) for p in t.store().rglob("*") if p.is_file() and not p.is_symlink()}
        t.shell("echo evil >/etc/passwd; echo evil >>/bin/busybox; ln /bin/busybox /h && echo x >>/h; rm -rf /etc /bin/busybox /lib")
        again = t.shell("cat /etc/passwd; cksum /bin/busybox")
        t.check(first.stdout == again.stdout and first.stdout.count("\n") > 1, "the next job has the image as it was",
                f"{first.stdout} {again.stdout} {again.stderr}")
        t.check(layers and all(digest(p) == d for p, d in layers.items()), f"the {len(layers)} files kept of it are as they were")
        own = t.shell("echo evil >/etc/passwd && cat /etc/passwd")
        return t.check(own.stdout == "evil\n", "control: the job that wrote sees it", own.stdout + own.stderr)
    step = "      - uses: actions/cache@v4\n        with: {path: kept, key: k}\n"
    head = "on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n"
    data = t.base / "shared-data"
    first = t.run(head + step + "      - run: mkdir kept; for i in 1 2 3; do seq 20000 >kept/f$i; done; sha256sum kept/*\n", data=data)
    t.need(first.status == "success" and "Cache saved" in first.text, f"the cache is saved: {first}")
    wanted = [line for line in first.lines if re.fullmatch(r"[0-9a-f]{64}  kept/.*", line)]
    hostile = t.run(head + step + "      - run: |\n          sha256sum kept/*; ln kept/f1 h; echo evil >h; echo evil >>kept/f2; "
                    "chmod 777 kept/f3; dd if=/dev/zero of=kept/f3 bs=1 count=9 conv=notrunc; rm -rf kept/f2\n", data=data)
    t.check(hostile.status == "success", "the job that writes runs", str(hostile))
    last = t.run(head + step + "      - run: sha256sum kept/*\n", data=data)
    got = [line for line in last.lines if re.fullmatch(r"[0-9a-f]{64}  kept/.*", line)]
    t.check(got == wanted and len(wanted) == 3, "what was kept is what it was", f"{got} {last}")
    in_hostile = [line for line in hostile.lines if re.fullmatch(r"[0-9a-f]{64}  kept/.*", line)]
    t.check(in_hostile == wanted, "control: the hostile job had it", str(hostile))
    t.refused(Attempt("hardlink", "EXDEV EPERM EROFS", control=None))


def F18(t):
    """links that lead out, taken along by artifacts, caches, logs, environment files, working-directory"""
    canary = t.base / "canary"
    canary.write_text("do-not-take-me\n")
    t.give(canary)
    folder = t.base / "canary-folder"
    folder.mkdir()
    (folder / "file").write_text("do-not-take-me\n")
    t.give_all(folder)
    head = "on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n"
    data = t.base / "data18"
    for what, line in (("a file", f"ln -s {canary} leak"), ("a folder", f"ln -s {folder} leak"),
                       ("a folder within", f"mkdir leak; ln -s {folder} leak/in; ln -s {canary} leak/f")):
        run = t.run(head + f"      - run: {line}\n      - uses: actions/upload-artifact@v4\n        with: {{name: l, path: leak}}\n"
                    "  b:\n    runs-on: any\n    needs: a\n    steps:\n      - uses: actions/download-artifact@v4\n        with: {name: l}\n"
                    "      - run: find . -type f -exec cat {} +; ls -lR\n", data=data)
        t.check("do-not-take-me" not in run.text, f"an artifact through {what} holds nothing of the host", str(run))
        t.check(not holds(data, b"do-not-take-me"), f"nothing of it is stored ({what})")
    run = t.run(head + f"      - run: ln -s {canary} leak; ln -s {folder} leakdir\n      - uses: actions/cache/save@v4\n"
                "        with: {path: 'leak\n\n          leakdir', key: k}\n", data=data)
    t.check(not holds(data, b"do-not-take-me"), "nor through a cache", str(run))
    for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY", "GITHUB_PATH", "GITHUB_STATE"):
        run = t.run(head + f"      - id: x\n        run: rm -f \"${name}\" && ln -s {canary} \"${name}\"\n      - run: env\n"
                    "        if: always()\n", data=data)
        t.check("do-not-take-me" not in run.text and not holds(data, b"do-not-take-me"), f"{name} as a link is not followed", str(run))
    run = t.run(head + f"      - run: ln -s {folder} out\n      - run: cat file\n        working-directory: out\n", data=data)
    t.check(run.status == "failure" and "do-not-take-me" not in run.text, "working-directory through it leads nowhere", str(run))
    run = t.run(head + f"      - run: ln -s {canary} h\n      - run: echo \"got ${{{{ hashFiles('h') }}}}\"\n", data=data)
    t.check(hashlib_of(canary) not in run.text, "hashFiles does not follow it", str(run))
    # and the folders that the agent makes in the workspace
    run = t.run(head + f"      - run: cd ..; rm -rf ../../work/_temp; ln -s {folder} ../_temp; mkdir -p ../_temp/x || true\n"
                "      - run: echo still\n      - uses: actions/download-artifact@v4\n        continue-on-error: true\n", data=data)
    t.check(sorted(os.listdir(folder)) == ["file"], "nothing was made where it leads", str(run))
    # the controls: a job's own file does come along, and what is stored is found again by its words
    run = t.run(head + "      - run: |\n          echo take-me-along >real; echo \"got ${{ hashFiles('.assay/workflows/w.yml') }}\"\n"
                "          for f in $GITHUB_ENV $GITHUB_STEP_SUMMARY; do echo V=take-me-along >>$f; done\n"
                "      - run: echo \"has $V\"\n"
                "      - uses: actions/cache/save@v4\n        with: {path: real, key: real}\n"
                "      - uses: actions/upload-artifact@v4\n        with: {name: r, path: real}\n"
                "  b:\n    runs-on: any\n    needs: a\n    steps:\n      - uses: actions/download-artifact@v4\n        with: {name: r}\n"
                "      - run: cat real\n", data=data)
    t.check("take-me-along" in run.lines, "control: an own file is taken", str(run))
    t.check("Cache saved" in run.text and "has take-me-along" in run.lines, "control: so are a cache and a variable", str(run))
    t.check(re.search(r"^got [0-9a-f]{64}$", run.text, re.M), "control: hashFiles reads an own file", str(run))
    t.check(holds(data, b"take-me-along"), "control: the store is searched")


def hashlib_of(path):
    return hashlib.sha256(hashlib.sha256(path.read_bytes()).digest()).hexdigest()


def holds(folder, needle):
    """Is the needle in any file below, packed or not?"""
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                if needle in pathlib.Path(root, name).read_bytes():
                    return True
    return False


def F19(t):
    """trees that do not want to be removed"""
    script = r"""
import os
for i in range(40):
    os.makedirs(f'shut/{i}/below'); open(f'shut/{i}/below/f', 'w').close()
for i in range(40):
    os.chmod(f'shut/{i}/below', 0); os.chmod(f'shut/{i}', 0)
os.chmod('shut', 0)
at = os.getcwd()
for i in range(5000):
    os.mkdir('d'); os.chdir('d')
os.chdir(at)
os.mkdir('names')
for name in (b'a\nb', b'..x', b'...', b'\xff\xfe', b'-rf', b' ', b'*', b'\x1b[31m', b'x' * 255, 'é\u202e'.encode()):
    open(b'names/' + name, 'w').close(); os.makedirs(b'names/d' + name[:250])
os.mkdir('many')
for i in range(MANY):
    open(f'many/{i}', 'w').close()
os.mkfifo('fifo'); os.symlink('/', 'root'); os.symlink('loop', 'loop')
import socket; s = socket.socket(socket.AF_UNIX); s.bind('sock')
os.chmod('.', 0o500)
if os.geteuid() == 0 and open('/proc/self/uid_map').read().count('\n') > 1: # others' files, in others' folders
    for at in ('theirs', os.path.expanduser('~') + '/theirs', '/theirs', '/tmp/theirs'):
        os.makedirs(at + '/a/b'); open(at + '/a/b/f', 'w').close()
        for name in (at + '/a/b/f', at + '/a/b', at + '/a', at):
            os.chown(name, 65534, 1); os.chmod(name, 0)
    print('of others')
home = os.path.expanduser('~'); os.makedirs(home + '/h/i'); os.chmod(home + '/h/i', 0); os.chmod(home + '/h', 0)
print('made')
"""
    many = int(os.environ.get("ASSAY_ABUSE_FILES", "20000"))
    data = t.base / "data19"
    lines = "".join(f"          {line}\n" for line in script.replace("MANY", str(many)).strip().splitlines())
    began = time.monotonic()
    run = t.run("on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n      - shell: python\n        run: |\n" + lines, data=data,
                timeout=600)
    took = time.monotonic() - began
    t.check("made" in run.text and run.status == "success", "the job makes them", str(run))
    t.check(("of others" in run.lines) == t.has_users(), "and those of other users where it has some", str(run))
    left = [p for p in (data / "jobs").iterdir() if not p.name.startswith(".spare-")]
    t.check(not left, "nothing of it is left", str(left))
    for spare in (data / "jobs").glob(".spare-*"):
        t.check(not list((spare / "work").glob("*")), "nor in a folder that is kept", str(spare))
    t.passed.append(f"in bounded time: {took:.1f} s, {many} files")  # the call above ends after its limit
    # the control: the plain way, as the one who made it, does not remove such a tree
    plain = t.base / "plain/shut"
    plain.mkdir(parents=True)
    (plain / "f").touch()
    who = {"user": t.steps_uid(), "group": t.steps_uid(), "extra_groups": []} if t.rig.is_root else {}
    for path in (plain.parent, plain, plain / "f"):
        if who:
            os.chown(path, t.steps_uid(), t.steps_uid())
    plain.chmod(0)
    t.base.chmod(0o755)
    got = subprocess.run(["rm", "-rf", plain.parent], capture_output=True, check=False, **who)
    t.check(got.returncode != 0 and plain.exists(), "control: rm -rf does not remove them")
    plain.chmod(0o700)


def F20(t):
    """sockets by path: docker, dbus, systemd, the agent's own"""
    agent = Agent(t)
    path = t.base / "any.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(8)
    t.closing.append(server.close)
    t.refused(Attempt(f"unix={agent.socket}", "ENOENT EACCES"), Attempt(f"unix={path}", "ENOENT EACCES"),
              *(Attempt(f"unix={p}", "ENOENT EACCES", absent="ENOENT ECONNREFUSED") for p in
                ("/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/containerd/containerd.sock",
                 "/run/assay/assay.sock")), network="none")
    t.refused(Attempt(f"unix={agent.socket}", "ENOENT EACCES"), Attempt(f"unix={path}", "ENOENT EACCES"), network="host")
    for network in ("none", "host"):
        got = t.shell("find / -xdev -type s 2>/dev/null; find /run /var /tmp /dev -type s", network=network)
        t.check(got.stdout == "", f"no socket is to be found [{network}]", got.stdout)
    got = t.call(["find", t.base, "-type", "s"])
    t.check(str(path) in got.stdout.split(), "control: outside there are", got.stdout)


CASES = [F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12, F13, F14, F15, F16, F17, F18, F19, F20]
