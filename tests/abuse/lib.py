# SPDX-License-Identifier: Apache-2.0
"""What the abuse cases share: users, attempts inside and outside, jobs, an agent, the table.

A case says what a job must not be able to do. Each attempt is made outside first, where it must work (the control),
then inside. An attempt whose control meets one of its `absent` errnos cannot be shown on this kernel: that is NOT HERE,
with the errno as its reason, and never an entry of a list.
"""
import contextlib
import gzip
import hashlib
import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

ORDINARY = 54321
ORDINARY_FIRST = 700000  # of the ids of a user who has some
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LACKING = {"ENOSYS", "EAFNOSUPPORT", "ENODEV", "ENOPKG", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP"}
SLOW = float(os.environ.get("ASSAY_ABUSE_SLOW", "1"))  # a factor for limits of time: the guest is slow


class Failed(Exception):
    pass


class NotHere(Exception):
    pass


class Untried(Exception):
    """This executor's part of a case that nobody has written."""


class Pointless(Exception):
    """A case that says nothing of this executor."""


def sleep_until(what, seconds, step=0.02):
    """Waits until what() is true; False when it does not become so."""
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(step)
    return what()


def processes(marker):
    """The numbers of this machine's processes whose command line holds the marker."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                line = pathlib.Path("/proc", entry, "cmdline").read_bytes()
                state = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()[0]
                if marker.encode() in line and state not in "ZX":
                    found.append(int(entry))
    return found


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def rss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


class Attempt:
    """One line for `try`: what it must meet inside, and how it is shown to work outside."""

    def __init__(self, text, met, outside=None, control="bare", absent=(), image=True):
        self.text = text
        self.met = set(met.split() if isinstance(met, str) else met)
        self.outside = outside or text
        self.control = control
        self.image = image if isinstance(image, bool) else set(image.split())  # in an image: not asked, or another outcome
        self.absent = set(absent.split() if isinstance(absent, str) else absent) | LACKING


class Rig:
    """One run of the list: the programs where every user can reach them, and a folder for all that is made."""

    def __init__(self, build, guest):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="assay-abuse."))
        self.root.chmod(0o711)
        programs = self.root / "bin"
        programs.mkdir()
        programs.chmod(0o755)
        for source in ("assay", "assay-agent", "assay-worker", "tests/abuse-try", "tests/abuse-unfiltered"):
            target = programs / os.path.basename(source)
            shutil.copy(build / source, target)
            target.chmod(0o755)
        self.assay, self.worker = programs / "assay", programs / "assay-worker"
        self.attempts, self.unfiltered = programs / "abuse-try", programs / "abuse-unfiltered"
        self.guest = guest
        self.is_root = os.geteuid() == 0
        self.controls = {}
        self.digests = {str(p): digest(p) for p in programs.iterdir()}
        self.sensitive = self.root / "state"  # stands for the agent's state and other jobs' workspaces
        self.sensitive.mkdir()
        self.sensitive.chmod(0o700)
        (self.sensitive / "token").write_text("canary-token\n")
        (self.sensitive / "token").chmod(0o600)

    def make_image(self, name, *layers):
        folder = self.root / name
        if not folder.exists():
            maker = pathlib.Path(__file__).resolve().parent.parent / "fixtures/oci-image.py"
            subprocess.run([sys.executable, maker, "layout", folder, "--config", '{"Env":["PATH=/usr/bin:/bin"]}'],
                           check=True, stdout=subprocess.DEVNULL)
            for make in layers:
                add_layer(folder, make())
            subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        return folder

    def image(self):
        """An image as a folder: busybox, and of this machine's programs those that the cases' jobs use."""
        return self.make_image("image", programs_layer)

    def small_image(self):
        """The same with busybox alone: what other images are made of."""
        return self.make_image("small-image")

    def close(self):
        subprocess.run(["chmod", "-R", "u+rwX", str(self.root)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.root, ignore_errors=True)

    def environment(self, **more):
        keep = {k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_"))}
        return {"PATH": PATH, "LANG": "C.UTF-8", "ASSAY_WORKER": str(self.worker), "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "bob", "GIT_AUTHOR_EMAIL": "bob@example.org",
                "GIT_COMMITTER_NAME": "bob", "GIT_COMMITTER_EMAIL": "bob@example.org", **keep, **more}

    def outside(self, text, control):
        """Makes an attempt outside, once: bare, or in a cage of namespaces where it can hurt nobody."""
        key = (text, control)
        if key not in self.controls:
            command = [str(self.attempts), text]
            if control == "cage":
                user = [] if self.is_root else ["--user", "--map-root-user"]
                command = ["unshare", *user, "--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--mount-proc",
                           "--propagation", "private", "sh", "-c",
                           'exec 9<"$1"; mount -t tmpfs none /tmp; exec /proc/self/fd/9 "$2"', "sh", *command]
            got = subprocess.run(command, capture_output=True, text=True, timeout=240 * SLOW, check=False,
                                 cwd=self.root, env=self.environment(), stdin=subprocess.DEVNULL)
            rows = parse(got.stdout)
            self.controls[key] = rows.get(text, ("lost", got.stderr.strip()))
        return self.controls[key]


PROGRAMS = ("bash cat chmod cp cut dd env find flock grep head id ln ls mkdir mkfifo mv printf rm seq setsid sha256sum sleep sort "
            "stat tail tee test touch tr true wc yes xxd python3").split()


def programs_layer():
    """Programs of this machine with what they are linked with, and Python's own modules."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        added = set()

        def add(path, name=None):
            real = os.path.realpath(path)
            name = (name or path).lstrip("/")
            if name not in added and os.path.exists(real):
                added.add(name)
                info = tar.gettarinfo(real, arcname=name)
                info.uid = info.gid = 0
                info.type, info.size = tarfile.REGTYPE, os.stat(real).st_size  # not a link to the same file's other name
                with open(real, "rb") as file:
                    tar.addfile(info, file)
        for program in PROGRAMS:
            path = shutil.which(program, path="/usr/bin:/bin")
            if path:
                add(path, f"usr/bin/{program}")
                if program == "python3":
                    add(path, "usr/bin/python")
                for library in re.findall(r"(/\S+\.so\S*)", subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout):
                    add(library)
        # only what starts an interpreter and what the scripts import
        top = pathlib.Path(os.path.realpath("/usr/bin/python3")).name.replace("python", "/usr/lib/python")
        for path in [*pathlib.Path(top).glob("*.py"), *(p for part in ("encodings", "collections", "importlib", "re", "ctypes", "json",
                                                                       "lib-dynload") for p in pathlib.Path(top, part).rglob("*"))]:
            if path.is_file() and "__pycache__" not in str(path):
                add(str(path))
                if path.suffix == ".so":
                    for library in re.findall(r"(/\S+\.so\S*)", subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout):
                        add(library)
    return raw.getvalue()


def add_layer(folder, raw):
    """One layer more upon an image's folder."""
    blobs = folder / "blobs/sha256"

    def put(data):
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}
    index = json.loads((folder / "index.json").read_text())
    index["manifests"] = [each for each in index["manifests"] if (blobs / each["digest"][7:]).exists()][:1]
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **put(gzip.compress(raw, 1))})
    config["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(raw).hexdigest())
    manifest["config"].update(put(json.dumps(config).encode()))
    index["manifests"][0].update(put(json.dumps(manifest).encode()))
    (folder / "index.json").write_text(json.dumps(index))


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


def image_with(t, name, *layers, config=None, spoil=None):
    """A small image with layers upon it; spoil() may change the blobs and what is said of them."""
    folder = t.base / f"image-{name}"
    shutil.copytree(t.rig.small_image(), folder)
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


def parse(text):
    rows = {}
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) == 3:
            rows[parts[0]] = (parts[1], parts[2])
    return rows


class Context:
    """A case under way: one executor, one user."""

    def __init__(self, rig, executor, user, base):
        self.rig, self.executor, self.user = rig, executor, user
        self.uid = 0 if user == "root" else (ORDINARY if rig.is_root else os.geteuid())
        self.lent_ids = user == "ids"  # an ordinary user whom /etc/subuid gives a range
        self.known_users = None
        self.base = base
        self.base.mkdir()
        self.give(self.base)
        self.temporary = self.base / "tmp"
        self.temporary.mkdir()
        self.give(self.temporary)
        self.passed, self.lacking, self.failures, self.untried = [], [], [], []
        self.controls = 0  # what was shown to work outside
        self.image = executor == "container"
        self.closing = []
        self.known_networks = None

    # ---- what a case says ----

    def check(self, good, what, detail=""):
        if good:
            self.passed.append(what)
            self.controls += what.startswith("control: ")
        else:
            self.failures.append(f"{what}{': ' if detail else ''}{detail}")
        return good

    def need(self, good, what):
        if not good:
            raise Failed(what)
        self.controls += what.startswith("control: ")

    def not_here(self, why):
        self.lacking.append(why)

    # ---- who ----

    def give(self, path):
        if self.uid and self.rig.is_root:
            os.chown(path, self.uid, self.uid)

    def give_all(self, path):
        if self.uid and self.rig.is_root:
            subprocess.run(["chown", "-R", f"{self.uid}:{self.uid}", str(path)], check=True)

    def as_user(self):
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def steps_uid(self):
        return 64001 if self.uid == 0 else self.uid

    def environment(self, **more):
        return self.rig.environment(TMPDIR=str(self.temporary), HOME=str(self.base), **more)

    def lent_tun(self, command):
        """The command as the context's user, with a /dev/net/tun that everybody may open, as hosts have it."""
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && chmod 666 /dev/net/tun; "
                'id=$1; shift; exec setpriv --reuid "$id" --regid "$id" --clear-groups "$@"', "sh", str(self.uid), *command]

    def with_ids(self, command):
        """The command as the context's user, in sight of an /etc/subuid that gives him ids, and of no other."""
        for name, text in (("passwd", f"ids:x:{self.uid}:{self.uid}::/nonexistent:/bin/sh\n"), ("subuid", f"ids:{ORDINARY_FIRST}:65536\n")):
            own = self.rig.root / name
            if not own.exists():
                own.write_text((pathlib.Path("/etc/passwd").read_text() if name == "passwd" else "") + text)
                own.chmod(0o644)
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                'for each in passwd subuid subgid; do from=$each; [ $each != subgid ] || from=subuid; mount --bind "$1/$from" /etc/$each || exit 99; done; '
                'id=$2; shift 2; exec setpriv --reuid "$id" --regid "$id" --clear-groups "$@"', "sh", str(self.rig.root), str(self.uid), *command]

    def has_users(self):
        """Has the place other users than its own: an image's root, where the host gives ids?"""
        if self.known_users is None:
            self.known_users = self.image and len(self.shell("cat /proc/self/uid_map").stdout.splitlines()) > 1
        return self.known_users

    def first_id(self):
        """The host's id of an image's 1."""
        if self.lent_ids:
            return ORDINARY_FIRST
        said = self.shell("true").stderr
        return int(re.search(r"ids from (\d+)", said)[1])

    def popen(self, command, tun=False, **more):
        identity = self.as_user()
        if tun and identity and not os.stat("/dev/net/tun").st_mode & 0o6:
            command, identity = self.lent_tun(command), {}
        elif self.lent_ids:
            command, identity = self.with_ids(command), {}
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        more.setdefault("env", self.environment())
        process = subprocess.Popen([str(part) for part in command], cwd=self.base, **identity, **more)
        self.closing.append(lambda: end_process(process))
        return process

    def call(self, command, timeout=300, **more):
        given = more.pop("input", None)
        process = self.popen(command, stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL, **more)
        try:
            out, err = process.communicate(given, timeout=timeout * SLOW)
        except subprocess.TimeoutExpired as late:
            process.kill()
            process.communicate()
            raise Failed(f"{' '.join(map(str, command))[:200]} does not end within {timeout * SLOW:.0f} s") from late
        return subprocess.CompletedProcess(command, process.returncode, out.decode(errors="replace"),
                                           err.decode(errors="replace"))

    # ---- inside ----

    def store(self):
        """Where the list's own image is unpacked, once a user and not once a case."""
        folder = self.rig.root / f"store-{self.user}"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            self.give(folder)
        return folder

    def data_folder(self, path=None):
        """An agent's folder; its images are the shared ones."""
        path = path or self.base / "data"
        if self.image and not path.exists():
            path.mkdir(mode=0o700)
            (path / "images").symlink_to(self.store())
            self.give(path)
        return path

    def exec_command(self, script, *arguments, network="none", allow=()):
        where = ["--image", f"oci:{self.rig.image()}", "--store", self.store()] if self.image else []
        return [self.rig.assay, "exec", "--executor", self.executor, *where, "--network", network,
                *(f"--allow={each}" for each in allow), "--", "/bin/sh", "-c", script,
                "sh", *arguments]

    def inside(self, texts, network="none", allow=()):
        """Makes attempts in one place, one after the other."""
        command = self.exec_command('cat >try && chmod 755 try && exec ./try "$@"', *texts, network=network, allow=allow)
        got = self.call(command, input=self.rig.attempts.read_bytes(), tun=network == "full")
        rows = parse(got.stdout)
        for text in texts:
            if text not in rows:
                rows[text] = ("lost", f"exit {got.returncode} {got.stderr.strip()[-300:]}")
        return rows

    def shell(self, script, network="none", timeout=300):
        return self.call(self.exec_command(script, network=network), timeout=timeout, tun=network == "full")

    def networks(self):
        """What a job may be given here; `full` needs pasta, a tun device and a route out of this machine."""
        if self.known_networks is None:
            got = self.shell("true", network="full")
            self.why_not_full = got.stderr.strip()
            expected = ("install the package passt", "no default route", "/dev/net/tun")
            self.need(got.returncode == 0 or any(each in got.stderr for each in expected), got.stderr)
            self.known_networks = ("none", "loopback", *(("full",) if got.returncode == 0 else ()), "host")
        return self.known_networks

    def in_folder(self, image, script, store="store"):
        """In an image that is another than the list's own."""
        return self.call([self.rig.assay, "exec", "--image", f"oci:{image}", "--store", self.base / store, "--", "/bin/sh", "-c", script])

    def unfiltered(self, texts):
        """The same place without its filter of system calls: what the other walls hold alone."""
        command = self.place_command('cat >try && chmod 755 try && exec ./try "$@"', *texts)
        got = self.call(command, input=self.rig.attempts.read_bytes(), env=self.place_environment())
        rows = parse(got.stdout)
        for text in texts:
            if text not in rows:
                rows[text] = ("lost", f"exit {got.returncode} {got.stderr.strip()[-300:]}")
        return rows

    def place_command(self, script, *arguments):
        return [self.rig.unfiltered, self.steps_uid(), self.temporary, "/bin/sh", "-c", script, "sh", *arguments]

    def place_environment(self, **more):
        if self.image:
            more |= {"ABUSE_IMAGE": f"oci:{self.rig.image()}", "ABUSE_STORE": str(self.store())}
        return self.environment(**more)

    def judge(self, attempts, rows, where=""):
        for attempt in attempts:
            outcome, detail = rows[attempt.text]
            said = f"{attempt.text}{where}"
            met = attempt.image if self.image and isinstance(attempt.image, set) else attempt.met
            if outcome not in met:
                self.check(False, said, f"met {outcome} {detail}, wanted {'|'.join(sorted(met))}")
                continue
            if attempt.control is None:
                self.passed.append(said)
                continue
            control, why = self.rig.outside(attempt.outside, attempt.control)
            if control == "ok":
                self.passed.append(said)
                self.controls += 1
            elif control in attempt.absent:
                self.not_here(f"{attempt.outside} meets {control} outside too")
            elif control in ("EACCES", "EPERM") and not self.rig.is_root:
                self.not_here(f"{attempt.outside} is root's outside too, and this list is run by a user")
            else:
                self.check(False, said, f"its control {attempt.outside} ({attempt.control}) met {control} {why}")

    def refused(self, *attempts, network="none"):
        attempts = [each for each in attempts if not self.image or each.image]
        if not attempts:
            return
        self.judge(attempts, self.inside([a.text for a in attempts], network),
                   "" if network == "none" else f" [{network}]")

    def refused_without_filter(self, *attempts):
        attempts = [each for each in attempts if not self.image or each.image]
        self.judge(attempts, self.unfiltered([a.text for a in attempts]), " [no filter]")

    def await_line(self, process, wanted):
        """A line on stderr, behind what is said of images."""
        line = "-"
        while line and line.strip() != wanted:
            line = process.stderr.readline().decode()
        return bool(line)

    def exec_folder(self):
        """The work folder, on the host, of a command of `assay exec` that is under way."""
        found = sleep_until(lambda: [p for p in self.temporary.glob("assay-exec-*/work") if p.is_dir()], 120)
        self.need(found, "assay exec made no work folder")
        return found[0]

    # ---- jobs ----

    def repo(self, workflow, files=None):
        folder = self.base / f"repo{len(list(self.base.glob('repo*')))}/app"
        (folder / ".assay/workflows").mkdir(parents=True)
        (folder / ".assay/workflows/w.yml").write_text(self.in_image(workflow))
        for name, text in (files or {}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            path.chmod(0o755)
        self.give_all(folder.parent)
        return folder

    def in_image(self, workflow):
        """The workflow, its jobs in the image where this executor is the one of images; busybox' own shell is not meant."""
        if not self.image:
            return workflow
        return workflow.replace("    runs-on: any\n", f"    runs-on: any\n    container: 'oci:{self.rig.image()}'\n"
                                "    defaults: {run: {shell: 'bash -e {0}'}}\n")

    def config(self, text):
        if self.image:
            text += f"images:\n  local: ['{self.rig.root}']\n"
        path = self.base / f"assay{len(list(self.base.glob('assay*.yml')))}.yml"
        path.write_text(text)
        path.chmod(0o644)
        return path

    def run_command(self, workflow, *arguments, files=None, config=None, data=None):
        command = [self.rig.assay, "run", "--json", "--repo", self.repo(workflow, files), "--data",
                   self.data_folder(data), "--executor", "sandbox"]
        if config or self.image:
            command += ["--config", self.config(config or "")]
        return [*command, *arguments]

    def run(self, workflow, *arguments, timeout=300, **more):
        """`assay run`: the job's lines, and the run as JSON."""
        got = self.call(self.run_command(workflow, *arguments, **more), timeout=timeout)
        return Run(got)

    def job(self, script, *arguments, before="", **more):
        lines = "".join(f"          {line}\n" for line in script.splitlines())
        return self.run(f"on: push\njobs:\n  a:\n    runs-on: any\n{before}    steps:\n      - run: |\n{lines}", *arguments,
                        **more)

    def close(self):
        for each in reversed(self.closing):
            each()
        # what a case left for root to remove
        subprocess.run(["chmod", "-R", "u+rwX", str(self.base)], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", str(self.base)], check=False, stderr=subprocess.DEVNULL)


class Run:
    def __init__(self, got):
        self.code, self.err, self.lines, self.run = got.returncode, got.stderr, [], {}
        for line in got.stdout.splitlines():
            with contextlib.suppress(ValueError):
                read = json.loads(line)
                if "run" in read:
                    self.run = read["run"]
                elif "line" in read:
                    self.lines.append(read["line"])
        self.jobs = self.run.get("jobs", [])
        self.status = self.run.get("status")
        self.cause = self.jobs[0].get("cause") if self.jobs else None
        self.message = (self.jobs[0].get("message") if self.jobs else None) or self.run.get("message") or ""

    @property
    def text(self):
        return "\n".join(self.lines)

    def __str__(self):
        return f"exit {self.code}, {self.status}, cause {self.cause}, {self.message!r}; {self.text[-300:]} {self.err[-300:]}"


def end_process(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


class Agent:
    """`assay serve` as the context's user, and one repo that it knows."""

    def __init__(self, context, options=(), config=None, data=None):
        self.context = context
        self.data = context.data_folder(data or context.base / "agent")
        self.socket = context.base / "agent.sock"
        self.options = [*options]
        if config or context.image:
            self.options += ["--config", context.config(config or "")]
        self.process = None
        self.url = None
        self.start()

    def start(self):
        context = self.context
        self.log = open(context.base / "agent.log", "ab")
        self.process = context.popen([context.rig.assay, "serve", "--data", self.data, "--listen", "127.0.0.1:0", "--socket",
                                      self.socket, *self.options], stderr=self.log)
        line = "-"
        while line and not line.startswith("ready "):
            line = self.process.stdout.readline().decode()
        context.need(line, f"the agent did not start: {(context.base / 'agent.log').read_text()[-500:]}")
        self.url = line.split()[1]

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()

    def cli(self, *arguments, good=True, **more):
        got = self.context.call([self.context.rig.assay, *arguments],
                                env=self.context.environment(ASSAY_SOCKET=str(self.socket)), **more)
        if good:
            self.context.need(got.returncode == 0, f"assay {' '.join(map(str, arguments))}: {got.stderr}")
        return got

    def get(self, path):
        """A page or an answer of the API, as the socket's own user sees it."""
        wire = http.client.HTTPConnection("x", timeout=120 * SLOW)
        wire.sock = socket.socket(socket.AF_UNIX)
        wire.sock.connect(str(self.socket))
        wire.request("GET", path)
        return wire.getresponse().read().decode(errors="replace")

    def add_repo(self, name, workflow, files=None):
        """A bare repo with one commit."""
        context = self.context
        folder = context.repo(workflow, files)
        bare = context.base / f"{name.replace('/', '-')}.git"
        environment = context.environment()
        for command in (["git", "init", "-q", "-b", "main", folder], ["git", "-C", folder, "add", "-A"],
                        ["git", "-C", folder, "commit", "-q", "-m", "first"], ["git", "clone", "-q", "--bare", folder, bare]):
            got = context.call(command, env=environment)
            context.need(got.returncode == 0, f"{command}: {got.stderr}")
        self.cli("repo", "add", name, f"file://{bare}")
        return bare

    def dispatch(self, name, *arguments, workflow="w.yml"):
        """Starts a workflow; the number of its run."""
        got = self.cli("runs", "dispatch", name, workflow, "--ref", "main", "--json", *arguments)
        delivery = json.loads(got.stdout)["delivery"]
        found = sleep_until(lambda: json.loads(self.cli("runs", "list", "--delivery", delivery, "--json").stdout)["runs"], 120)
        self.context.need(found, f"the dispatch of {name} started no run")
        return found[0]["id"]

    def show(self, run):
        return json.loads(self.cli("runs", "show", str(run), "--json").stdout)

    def wait(self, run, statuses=("success", "failure", "cancelled", "skipped"), seconds=300):
        seen = {}

        def arrived():
            seen.update(self.show(run))
            return seen["status"] in statuses
        self.context.need(sleep_until(arrived, seconds, 0.1), f"run {run} is {seen.get('status')} after {seconds} s")
        return seen

    def run_log(self, run):
        return self.cli("runs", "log", str(run), good=False).stdout
