# SPDX-License-Identifier: Apache-2.0
"""X1 to X8: archives, images, repositories, environments, secrets, logs, disks, descriptors."""
import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tarfile
import threading
import time
import urllib.request

from cases_files import holds
from cases_processes import workers
from lib import Agent, Attempt, NotHere, SLOW, Untried, rss_kib, sleep_until

HEAD = "on: [push, workflow_dispatch]\njobs:\n  a:\n    runs-on: any\n    steps:\n"


# ---- images, and what their layers hold ----

def entry(name, data=None, kind=tarfile.REGTYPE, link="", mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data or b"")
    info.pax_headers = more.pop("pax", {})
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def layer(*entries):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data) if data else None)
    return raw.getvalue()


def image(t, name, *layers, config=None, spoil=None):
    """An image: the list's own with layers upon it; spoil() may change the blobs and what is said of them."""
    folder = t.base / f"image-{name}"
    shutil.copytree(t.rig.image(), folder)
    blobs = folder / "blobs/sha256"

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}
    index = json.loads((folder / "index.json").read_text())
    index["manifests"] = [each for each in index["manifests"] if (blobs / each["digest"][7:]).exists()][:1]
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    said = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    for raw in layers:
        packed = gzip.compress(raw, 1) if isinstance(raw, bytes) else raw[0]
        described = put(packed)
        manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **described})
        said["rootfs"]["diff_ids"].append("sha256:" + (hashlib.sha256(raw).hexdigest() if isinstance(raw, bytes) else raw[1]))
    said["config"] = {**said.get("config", {}), **(config or {})}
    manifest["config"].update(put(json.dumps(said).encode()))
    if spoil:
        spoil(manifest, blobs)
    index["manifests"][0].update(put(json.dumps(manifest).encode()))
    (folder / "index.json").write_text(json.dumps(index))
    t.give_all(folder)
    return folder


def in_image(t, folder, script, store="store"):
    return t.call([t.rig.assay, "exec", "--image", f"oci:{folder}", "--store", t.base / store, "--", "/bin/sh", "-c", script],
                  timeout=180)


def X1(t):
    """archives: ways out by names and links, devices, set-user-ID, bombs (as layers of an image)"""
    if not t.image:
        raise Untried("tried as layers of images; archives of artifacts and caches, over the wire, are not tried here")
    outside = t.base / "outside"
    outside.mkdir()
    (outside / "canary").write_text("do-not-take-me\n")
    (outside / "canary").chmod(0o644)
    t.give_all(outside)
    up = "../" * 20 + str(outside)[1:]
    evil = b"evil\n"
    sym, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    ways = {
        "dotdot": [entry(f"{up}/made", evil)], "absolute": [entry(f"{outside}/made", evil)],
        "dotdot-within": [entry(f"usr/../{up}/made", evil)],
        "link-then-file": [entry("way", kind=sym, link=str(outside)), entry("way/made", evil)],
        "link-up-then-file": [entry("way", kind=sym, link=up), entry("way/made", evil)],
        "links-in-links": [entry("a", kind=sym, link=".."), entry("b", kind=sym, link=f"a/{up}"), entry("b/made", evil)],
        "hardlink-out": [entry("took", kind=hard, link=f"{outside}/canary")],
        "hardlink-up": [entry("took", kind=hard, link=f"{up}/canary")],
        "hardlink-through-link": [entry("way", kind=sym, link=str(outside)), entry("took", kind=hard, link="way/canary")],
        "overwrite-through-link": [entry("way", kind=sym, link=f"{outside}/canary"), entry("way", evil)],
        "twice": [entry("double", b"one\n"), entry("double", kind=sym, link=str(outside)), entry("double/made", evil)],
    }
    for name, entries in ways.items():
        folder = image(t, name, layer(*entries))
        got = in_image(t, folder, "cat /took /way/canary /double/canary 2>/dev/null; echo inside")
        contained = got.returncode == 0 and "inside" in got.stdout and "do-not-take-me" not in got.stdout
        refused = got.returncode != 0 and got.stderr.strip() != ""
        t.check(contained or refused, f"{name}: {'refused' if refused else 'contained'}", f"{got.returncode} {got.stdout} {got.stderr[-300:]}")
        t.check(sorted(os.listdir(outside)) == ["canary"] and (outside / "canary").read_text() == "do-not-take-me\n"
                and (outside / "canary").stat().st_nlink == 1, f"{name}: the host is as it was")
    got = in_image(t, image(t, "nodes", layer(entry("node", kind=tarfile.CHRTYPE, devmajor=1, devminor=5, mode=0o666),
                                              entry("disk", kind=tarfile.BLKTYPE, devmajor=7, devminor=0, mode=0o666),
                                              entry("suid", open(t.rig.attempts, "rb").read(), mode=0o6755))),
                   "head -c 1 /node | wc -c; /suid euid; id -u")
    if got.returncode == 0:
        t.check(got.stdout.split() == ["0", "0", "0", "0"], "nodes are none, set-user-ID has no effect", got.stdout + got.stderr)
    else:
        t.check("node" in got.stderr, "nodes are refused by name", got.stderr)
    # bombs: each with the limit that it meets
    zeros = 600 << 20
    packed, raw = bomb(zeros)
    got = in_image(t, image(t, "ratio", (packed, raw)), "echo inside")
    t.check(got.returncode != 0 and re.search(r"ratio|times|expands|more than|compress", got.stderr), "a bomb by its ratio is refused by name",
            f"{got.returncode} {got.stderr[-400:]}")
    t.check(disk_bytes(t.base / "store") < 1 << 30, "and takes no disk", str(disk_bytes(t.base / "store")))
    deep = layer(entry("/".join(["d"] * 400) + "/f", evil))
    got = in_image(t, image(t, "deep", deep), "echo inside")
    t.check(got.returncode != 0 or "inside" in got.stdout, "400 folders deep: refused or there", got.stderr[-300:])
    # the control: Python's own tarfile, without its filters, does go out
    elsewhere = t.base / "plain"
    elsewhere.mkdir()
    with tarfile.open(fileobj=io.BytesIO(layer(*ways["link-then-file"]))) as tar:
        tar.extractall(elsewhere, **({"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}))
    t.check((outside / "made").exists(), "control: a plain unpacking leads out")
    (outside / "made").unlink()


def bomb(size):
    """A layer of one file of zeros, packed without ever being whole."""
    raw, digest = io.BytesIO(), hashlib.sha256()
    pack = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9)
    info = tarfile.TarInfo("zeros")
    info.size = size
    block = b"\0" * (1 << 20)
    for part in [info.tobuf(), *([block] * (size >> 20)), b"\0" * 1024]:
        pack.write(part)
        digest.update(part)
    pack.close()
    return raw.getvalue(), digest.hexdigest()


def disk_bytes(folder):
    return sum(p.lstat().st_blocks * 512 for p in folder.rglob("*")) if folder.exists() else 0


def X2(t):
    """images: wrong digests and sizes, whiteouts through links, overlay's own attributes, huge configurations"""
    if not t.image:
        raise Untried("the sandbox knows no images")
    outside = t.base / "outside"
    outside.mkdir()
    (outside / "canary").write_text("stay\n")
    t.give_all(outside)

    def wrong_bytes(manifest, blobs):
        path = blobs / manifest["layers"][-1]["digest"][7:]
        data = bytearray(path.read_bytes())
        data[-9] ^= 1
        path.write_bytes(bytes(data))

    def other_layer(manifest, blobs):
        (blobs / manifest["layers"][-1]["digest"][7:]).write_bytes(gzip.compress(layer(entry("other", b"x"))))

    def wrong_size(manifest, blobs):
        manifest["layers"][-1]["size"] += 7

    def lied_config(manifest, blobs):
        path = blobs / manifest["config"]["digest"][7:]
        path.write_bytes(path.read_bytes().replace(b"PATH", b"HTAP"))
    plain = layer(entry("plain", b"x\n"))
    for name, spoil in (("wrong-bytes", wrong_bytes), ("other-layer", other_layer), ("wrong-size", wrong_size), ("config", lied_config)):
        got = in_image(t, image(t, name, plain, spoil=spoil), "echo inside", store=f"store-{name}")
        t.check(got.returncode != 0 and "inside" not in got.stdout and re.search(r"digest|size|bytes|sha256", got.stderr),
                f"{name}: refused by name", f"{got.returncode} {got.stdout} {got.stderr[-300:]}")
    got = in_image(t, image(t, "diff-id", (gzip.compress(plain), "0" * 64)), "echo inside", store="store-diff")
    t.check(got.returncode != 0 and re.search(r"diff|digest|sha256", got.stderr), "diff_ids that are not true are refused", got.stderr[-300:])
    for name, entries in (("whiteout-through-link", [[entry("way", kind=tarfile.SYMTYPE, link=str(outside))], [entry("way/.wh.canary", b"")]]),
                          ("opaque-through-link", [[entry("way", kind=tarfile.SYMTYPE, link=str(outside))], [entry("way/.wh..wh..opq", b"")]]),
                          ("whiteout-up", [[entry("../" * 20 + str(outside)[1:] + "/.wh.canary", b"")]])):
        got = in_image(t, image(t, name, *(layer(*each) for each in entries)), "echo inside")
        t.check((outside / "canary").exists(), f"{name}: the host's file is there", got.stderr[-200:])
    pax = {f"SCHILY.xattr.{prefix}.overlay.{key}": value for prefix in ("user", "trusted")
           for key, value in (("redirect", str(outside)), ("metacopy", ""), ("opaque", "y"), ("origin", "x"))}
    folder = image(t, "attributes", layer(entry("etc", kind=tarfile.DIRTYPE, mode=0o755, pax=pax), entry("meta", b"m\n", pax=pax)))
    got = in_image(t, folder, "cat /etc/passwd /meta; ls /etc/canary 2>&1", store="store-attributes")
    marks = []
    for path in (t.base / "store-attributes").rglob("*"):
        with contextlib.suppress(OSError):
            marks += [f"{path}: {each}" for each in os.listxattr(path, follow_symlinks=False)
                      if re.search(r"overlay\.(redirect|metacopy|origin)", each)]
    t.check(not marks, "overlay's own attributes of a layer are dropped", str(marks[:3]))
    t.check(got.returncode != 0 or ("root:x:0" in got.stdout and "stay" not in got.stdout), "and hide and show nothing", got.stdout + got.stderr[-200:])
    many = {"Env": [f"V{i}=x" for i in range(100000)]}
    began = time.monotonic()
    got = in_image(t, image(t, "environment", config=many), "env | wc -l")
    t.check(got.returncode != 0 or got.stdout.strip().isdigit(), "10^5 variables: refused by name or there", got.stderr[-300:])
    t.check(time.monotonic() - began < 20 * SLOW, "in bounded time")
    if got.returncode != 0:
        t.check(re.search(r"variables|Env|environment|larger|smaller", got.stderr), "the reason is the environment", got.stderr[-300:])
    # the control: an honest image with the same layers runs
    got = in_image(t, image(t, "honest", plain), "cat /plain", store="store-honest")
    t.check(got.stdout == "x\n", "control: an honest one runs", got.stdout + got.stderr[-300:])


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
    inside = "/home/runner/work/app/app"
    evil = f"#!/bin/sh\necho x >>{mark}\necho ran-inside\nexit 0\n"
    library = t.base / "evil.so"
    source = t.base / "evil.c"
    source.write_text('#include <stdlib.h>\n#include <fcntl.h>\n__attribute__((constructor)) static void c(void)'
                      f'{{ open("{mark}", O_CREAT | O_WRONLY, 0644); }}\n')
    built = subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], capture_output=True, check=False)
    if built.returncode != 0:
        t.not_here("LD_PRELOAD: there is no compiler here")
        library.write_bytes(b"")
    names = ("git", "sh", "bash", "tar", "python3", "node", "env", "ls", "assay-worker")
    script = (f"echo {inside}/evil >>$GITHUB_PATH\n"
              f"for v in LD_PRELOAD={inside}/evil.so LD_LIBRARY_PATH={inside} IFS=x BASH_ENV={inside}/evil/sh ENV={inside}/evil/sh "
              f"GIT_SSH_COMMAND={inside}/evil/sh GIT_CONFIG_GLOBAL={inside}/gc GIT_EXEC_PATH={inside}/evil PYTHONSTARTUP={inside}/evil/sh "
              f"ASSAY_WORKER={inside}/evil/sh HOME={t.base} TMPDIR={t.base} G_DEBUG=fatal-warnings; do echo \"$v\" >>$GITHUB_ENV; done\n")
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    workflow = (HEAD + f"      - run: |\n{lines}      - uses: actions/checkout@v4\n        continue-on-error: true\n"
                "      - run: echo art >art\n        shell: /bin/busybox-or-sh {0}\n        continue-on-error: true\n"
                "      - uses: actions/upload-artifact@v4\n        with: {name: a, path: .assay}\n"
                "      - uses: actions/cache@v4\n        with: {path: .assay, key: k4}\n"
                "      - run: git --version || true\n        continue-on-error: true\n")
    files = {f"evil/{name}": evil for name in names} | {"evil.so": library.read_bytes(), "gc": f"[core]\n\tpager = {mark}\n"}
    run = t.run(workflow, files=files)
    t.check(not mark.exists(), "nothing of the agent's ran by the job's environment", str(run))
    t.check("ran-inside" in run.text or "cannot be preloaded" in run.text or run.text.count("git version") == 0,
            "control: inside it had its effect", str(run))
    if built.returncode == 0:
        subprocess.run(["/bin/true"], env={"LD_PRELOAD": str(library)}, check=False)
        t.check(mark.exists(), "control: the library does what it should")
        mark.unlink()
    environ = pathlib.Path(f"/proc/{os.getpid()}/environ")
    t.check(environ.exists(), "the list's own environment is there")


def X5(t):
    """a secret in arguments, environments, caches, artifacts, the log; split, encoded, reversed"""
    secret = "s3cr3t-Value-%d" % os.getpid()
    data = t.base / "data5"
    mark = "7%d.5" % os.getpid()
    encoded = base64.b64encode(secret.encode()).decode()
    script = ("echo plain $S\necho $S | base64\nprintf %s $S | base64\nprintf %s \"$S\" | sed 's/./&\\n/g' | head -3\n"
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
    seen = []
    process = t.popen(t.run_command(workflow, "--secret", f"S={secret}", data=data))
    watcher = threading.Thread(target=watch_arguments, args=(secret, process, seen))
    watcher.start()
    out, err = process.communicate(timeout=90 * SLOW)
    watcher.join()
    text = (out + err).decode(errors="replace")
    # the split one: its halves come in two writes of one line, and are masked all the same
    t.check(secret not in text, "no line shows it", text[-800:])
    t.check(encoded not in text and base64.b64encode(secret.encode() + b"\n").decode() not in text, "nor in base64")
    t.check(secret.encode().hex() not in text, "nor in hexadecimal")
    t.check("***" in text, "control: it was printed, and masked")
    own = [line for line in seen if str(process.pid) not in line]
    t.check(not own, "no process of the agent has it among its arguments or environment", str(own[:3]))
    t.check(not holds(data, secret.encode()), "no file of the agent holds it")
    summary = json.loads(text.splitlines()[-1])["run"] if text.strip().endswith("}") else {}
    t.check(secret not in json.dumps(summary), "nor the run")
    # what it is not: a job's own author can send it away. Reversed it is shown, as docs/security.md says.


def watch_arguments(secret, process, seen):
    """Looks at all command lines and, as root, environments while the command runs, but the steps' own."""
    wanted = secret.encode()
    while process.poll() is None:
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                line = pathlib.Path("/proc", entry, "cmdline").read_bytes()
                typed = b"/assay\0run\0" in line  # the command itself, or a child of its before it is another program
                if wanted in line and not typed:
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
        deadline = time.monotonic() + 120 * SLOW
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
    log = agent.data / f"logs/{run}"
    text = agent.run_log(run)
    t.check(peak - before < 16384, f"the agent's memory is flat ({before} to {peak} KiB)")
    t.check(worker_peak < 65536, f"the worker's too ({worker_peak} KiB)")
    t.check(slow < 2 * SLOW, f"the agent answers meanwhile ({slow:.2f} s)")
    sizes = [p.stat().st_size for p in (agent.data / "logs").rglob("*.log")]
    t.check(all(size < 5 << 20 for size in sizes), "the log keeps its limit", str(sizes))
    run2 = t.run(HEAD + "      - run: printf 'a\\0b \\033[2J\\033]0;title\\007 \\377\\376 <script>alert(1)</script>\\n'\n")
    t.check(any("a\ufffdb" in each or "a\\0b" in each or "a�b" in each for each in run2.lines), "NUL and bytes that are no text are shown as such", str(run2))
    with contextlib.suppress(Exception):
        page = urllib.request.urlopen(f"{agent.url}/runs/{run}", timeout=10).read().decode()
        t.check("<script>alert" not in page, "a page shows markup as text")
    del log, text


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
                             env=t.environment(), capture_output=True, text=True, timeout=150 * SLOW, check=False)
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
for i in $(seq 400); do grep -q '^ready' $folder/mnt/out && break; sleep 0.05; done
export ASSAY_SOCKET=$folder/mnt/s
for r in fill calm; do "$@" {assay} repo add acme/$r file://$folder/$r; done
"$@" {assay} runs dispatch acme/fill w.yml --ref main >/dev/null
lowest=100
began=
for i in $(seq 900); do
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
    t.check(sleep_until(lambda: count() <= before + 1, 10), "it keeps none of the descriptors", f"{before} to {count()}")
    t.check(rss_kib(agent.process.pid) - memory < 16384, "nor memory", f"{memory} to {rss_kib(agent.process.pid)} KiB")
    log = (t.base / "agent.log").read_text()
    t.check(len(log) < 200000, "and does not flood its own log", str(len(log)))
    # control: descriptors sent to somebody who takes them do arrive
    ends = socket.socketpair(socket.AF_UNIX)
    socket.send_fds(ends[0], [b"x"], [0])
    t.check(len(socket.recv_fds(ends[1], 10, 5)[1]) == 1, "control: a descriptor that is taken arrives")
    # inside: init's control socket is out of reach
    t.refused(Attempt("take_descriptor=1", "EPERM", control=None), Attempt("open=/proc/1/fd/3", "EACCES EPERM", control=None))


CASES = [X1, X2, X3, X4, X5, X6, X7, X8]
