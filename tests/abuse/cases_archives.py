# SPDX-License-Identifier: Apache-2.0
"""X1 and X2: archives of strangers, as layers of images, as artifacts and as caches over the wire; and what images say of themselves."""
import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import time
import warnings
import zipfile

from lib import Pointless, SLOW, entry, image_with, layer

EVIL = b"evil\n"


# ---- tars, for layers and for caches ----

def ways_out(outside):
    """Entries by which an archive that is unpacked carelessly reaches this folder of the host."""
    up = "../" * 20 + str(outside)[1:]
    sym, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    return {
        "dotdot": [entry(f"{up}/made", EVIL)], "absolute": [entry(f"{outside}/made", EVIL)],
        "dotdot-within": [entry(f"usr/../{up}/made", EVIL)],
        "link-then-file": [entry("way", kind=sym, link=str(outside)), entry("way/made", EVIL)],
        "link-up-then-file": [entry("way", kind=sym, link=up), entry("way/made", EVIL)],
        "links-in-links": [entry("a", kind=sym, link=".."), entry("b", kind=sym, link=f"a/{up}"), entry("b/made", EVIL)],
        "hardlink-out": [entry("took", kind=hard, link=f"{outside}/canary")],
        "hardlink-up": [entry("took", kind=hard, link=f"{up}/canary")],
        "hardlink-through-link": [entry("way", kind=sym, link=str(outside)), entry("took", kind=hard, link="way/canary")],
        "hardlink-to-link-then-file": [entry("way", kind=sym, link=f"{outside}/canary"), entry("took", kind=hard, link="way"),
                                       entry("took", EVIL)],
        "overwrite-through-link": [entry("way", kind=sym, link=f"{outside}/canary"), entry("way", EVIL)],
        "twice": [entry("double", b"one\n"), entry("double", kind=sym, link=str(outside)), entry("double/made", EVIL)],
    }


def sparse(size):
    """A file of GNU's sparse form, version 1.0: a few bytes that stand for many."""
    return entry("holes", f"1\n{size - 5}\n5\n".encode().ljust(512, b"\0") + EVIL,
                 pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes", "GNU.sparse.realsize": str(size)})


def packed_zeros(size):
    """A tar of one file of zeros, packed without ever being whole; and the digest of the tar."""
    raw, digest = io.BytesIO(), hashlib.sha256()
    pack = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9)
    info = tarfile.TarInfo("zeros")
    info.size = size
    for part in [info.tobuf(), *([b"\0" * (1 << 20)] * (size >> 20)), b"\0" * 1024]:
        pack.write(part)
        digest.update(part)
    pack.close()
    return raw.getvalue(), digest.hexdigest()


def packed_entries(count):
    """A tar of so many entries, likewise: gzip's members one behind the other are one stream."""
    member = gzip.compress(tarfile.TarInfo("one").tobuf() * 1000, 9)
    return member * (count // 1000) + gzip.compress(b"\0" * 1024), "0" * 64


def canary_folder(t):
    outside = t.base / "outside"
    outside.mkdir()
    (outside / "canary").write_text("do-not-take-me\n")
    (outside / "canary").chmod(0o644)
    t.give_all(outside)
    return outside


def is_untouched(outside):
    return (sorted(os.listdir(outside)) == ["canary"] and (outside / "canary").read_text() == "do-not-take-me\n"
            and (outside / "canary").stat().st_nlink == 1)


# ---- X1 ----

def X1(t):
    """archives: ways out by names and links, devices, set-user-ID, bombs; as artifacts, as caches, as layers of an image"""
    outside = canary_folder(t)
    over_the_wire(t, outside)
    if t.image:
        as_layers(t, outside)
    # the controls: Python's own modules, without their filters, do go out
    elsewhere = t.base / "plain"
    elsewhere.mkdir()
    with tarfile.open(fileobj=io.BytesIO(layer(*ways_out(outside)["link-then-file"]))) as tar:
        tar.extractall(elsewhere, **({"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}))
    t.check((outside / "made").exists(), "control: a tar that is unpacked plainly leads out")
    (outside / "made").unlink()
    with zipfile.ZipFile(io.BytesIO(zips(outside)["dotdot"])) as made:
        for name in made.namelist():
            (elsewhere / name).write_bytes(made.read(name))
    t.check((outside / "made").exists(), "control: so does a zip whose names are joined to a folder's")
    (outside / "made").unlink()


def zips(outside):
    """The same for artifacts, which come as zips."""
    up = "../" * 20 + str(outside)[1:]

    def zipped(*entries):
        raw = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as out:
            warnings.simplefilter("ignore")  # a name that is there twice is meant
            for name, data, mode in entries:
                info = zipfile.ZipInfo(name)
                info.create_system, info.external_attr, info.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
                out.writestr(info, data)
        return raw.getvalue()
    file, sym = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
    names = {"dotdot": f"{up}/made", "absolute": f"{outside}/made", "dotdot-within": f"usr/../{up}/made"}
    found = {name: zipped((path, EVIL, file)) for name, path in names.items()}
    found |= {
        "link": zipped(("way", str(outside), sym)), "link-then-file": zipped(("way", str(outside), sym), ("way/made", EVIL, file)),
        "overwrite-through-link": zipped(("way", f"{outside}/canary", sym), ("way", EVIL, file)),
        "file-then-folder": zipped(("double", EVIL, file), ("double/made", EVIL, file)),
        "device": zipped(("node", b"", stat.S_IFCHR | 0o666)), "pipe": zipped(("pipe", b"", stat.S_IFIFO | 0o666)),
        "twice": zipped(("double", b"one\n", file), ("double", b"two\n", file)),
        "suid": zipped(("suid", b"#!/bin/sh\n", stat.S_IFREG | 0o6755)),
    }
    # what the list says at its end is another name than what stands before the bytes
    honest = zipped(("inner/made", EVIL, file))
    at = honest.rindex(b"inner/made")
    found["two-names"] = honest[:at] + b"../../made" + honest[at + 10:]
    found["honest"] = zipped(("fine", b"take-me\n", file))
    return found


REFUSED_ZIPS = {"dotdot", "absolute", "dotdot-within", "link", "link-then-file", "overwrite-through-link", "device"}

# In the job, by any Python: it speaks to the job's service as GitHub's clients do.
CLIENT = r"""
import base64, hashlib, json, os, socket, sys
host = os.environ['ACTIONS_RESULTS_URL'].split('/')[2]
token = os.environ['ACTIONS_RUNTIME_TOKEN']
claims = json.loads(base64.urlsafe_b64decode(token.split('.')[1] + '==='))
run, job = claims['scp'].split('Actions.Results:')[1].split()[0].split(':')

def ask(method, path, body=b'', **headers):
    at, port = host.split(':')
    wire = socket.create_connection((at, int(port)))
    head = '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n' % (method, path, token, len(body))
    wire.sendall((head + ''.join('%s: %s\r\n' % (k.replace('_', '-'), v) for k, v in headers.items()) + '\r\n').encode())
    wire.sendall(body)
    got = b''
    while True:
        part = wire.recv(65536)
        if not part:
            break
        got += part
    head, _, body = got.partition(b'\r\n\r\n')
    return int(head.split()[1]), body

def call(service, method, **body):
    code, got = ask('POST', '/twirp/github.actions.results.api.v1.%s/%s' % (service, method), json.dumps(body).encode(), content_type='application/json')
    try:
        return code, json.loads(got)
    except ValueError:
        return code, {'msg': got[:200].decode(errors='replace')}

def put(made, data):
    url = made.get('signed_upload_url', '')
    return ask('PUT', '/' + url.split('/', 3)[3], data, x_ms_blob_type='BlockBlob')[0] if url else 0

def artifact(name, data):
    ids = {'workflow_run_backend_id': run, 'workflow_job_run_backend_id': job, 'name': name}
    code, made = call('ArtifactService', 'CreateArtifact', version=4, **ids)
    sent = put(made, data)
    code, end = call('ArtifactService', 'FinalizeArtifact', size=str(len(data)), **ids)
    print('ZIP', name, sent, code, end.get('msg', ''), flush=True)
    if code != 200:
        return
    code, signed = call('ArtifactService', 'GetSignedArtifactURL', **ids)
    code, got = ask('GET', '/' + signed.get('signed_url', 'x://x/').split('/', 3)[3])
    print('SERVED', name, base64.b64encode(got).decode(), flush=True)

def cache(key, data):
    version = hashlib.sha256(b'kept|zstd-without-long|1.0').hexdigest()
    code, made = call('CacheService', 'CreateCacheEntry', key=key, version=version)
    sent = put(made, data)
    code, end = call('CacheService', 'FinalizeCacheEntryUpload', key=key, version=version, size_bytes=str(len(data)))
    print('TAR', key, sent, code, end.get('msg', ''), flush=True)

for name in sys.argv[1:]:
    kind, _, last = name.rpartition('/')[2].rpartition('.')
    (artifact if last == 'zip' else cache)(kind, open(name, 'rb').read())
"""
LOOK = r"""
      - run: |
          find . ~ ! -type d ! -type l -perm /7000 -exec echo BI''TS {} +
          find . ~ ! -type f ! -type d ! -type l -exec echo NO''DE {} +
          find . ~ -type f \( -name canary -o -name took -o -name way \) -exec cat {} +
          cat got/honest/fine kept/fine
"""


def over_the_wire(t, outside):
    """Uploads as a job's client makes them; a second job takes them by the built-in actions."""
    archives = zips(outside)
    tars = {name: layer(*entries) for name, entries in ways_out(outside).items()}
    tars |= {"device": layer(entry("kept/node", kind=tarfile.CHRTYPE, devmajor=1, devminor=5, mode=0o666)),
             "suid": layer(entry("kept/suid", b"#!/bin/sh\n", mode=0o6755)), "honest": layer(entry("kept/fine", b"take-me\n"))}
    files = {"client.py": CLIENT} | {f"evil/{name}.zip": data for name, data in archives.items()} | {
        f"evil/{name}.tar": gzip.compress(data) for name, data in tars.items()}
    restore = "".join(f"      - uses: actions/cache/restore@v4\n        continue-on-error: true\n        with: {{path: kept, key: {name}}}\n"
                      for name in tars)
    head = "on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n      - uses: actions/checkout@v4\n"
    run = t.run(head + "      - run: python3 client.py evil/*\n  b:\n    runs-on: any\n    needs: a\n    steps:\n"
                "      - uses: actions/download-artifact@v4\n        with: {path: got}\n" + restore + LOOK, files=files, timeout=400)
    said = {(kind, name): (int(code), why) for kind, name, code, why in
            re.findall(r"^(ZIP|TAR) (\S+) 201 (\d+) ?(.*)$", run.text, re.M)}
    t.need(run.status == "success" and len(said) == len(archives) + len(tars), f"all are sent: {run}")
    for name in archives:
        code, why = said["ZIP", name]
        if name in REFUSED_ZIPS:
            t.check(code == 400 and why, f"artifact {name}: refused, {why}", f"{code} {why}")
        else:
            t.check(code == 200 or why, f"artifact {name}: {why or 'taken'}", f"{code} {why}")
    served = [(path.filename, path.external_attr >> 16) for packed in re.findall(r"^SERVED \S+ (\S+)$", run.text, re.M)
              for path in zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))).infolist()]
    t.check(served and all(not path.startswith("/") and ".." not in path.split("/") and mode & 0o7000 == 0
                           and stat.S_IFMT(mode) in (stat.S_IFREG, stat.S_IFDIR) for path, mode in served),
            "what is served again has names within, no links, nodes and bits", str(served))
    t.check(run.text.count("take-me") == 2, "control: an honest artifact and an honest cache come back", str(run))
    t.check("do-not-take-me" not in run.text, "nothing was taken from the host", run.text[-600:])
    t.check("BITS" not in run.text and "NODE" not in run.text, "no node and no set-user-ID came with them", run.text[-300:])
    t.check(is_untouched(outside), "the host is as it was")
    # bombs: what they unpack to is the job's disk space. Of an artifact it is asked before; that of steps is looked at once a
    # second, and a quick disk takes 200 MB within one
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as out, out.open("zeros", "w", force_zip64=True) as file:
        for _ in range(1500):
            file.write(b"\0" * (1 << 20))
    limit = "limits:\n  job_disk: 32 MiB\n"
    run = t.run(head + "      - run: python3 client.py bomb.zip\n", files={"client.py": CLIENT, "bomb.zip": zeros.getvalue()}, config=limit, timeout=400)
    refused = re.search(r"^ZIP bomb 201 400 .*limits\.job_disk", run.text, re.M)
    t.check(refused or run.cause == "disk", "a bomb as zip ends at the job's disk space", f"{run} {run.text[-300:]}")
    run = t.run(head + "      - run: python3 client.py bomb.tar\n      - uses: actions/cache/restore@v4\n        with: {path: kept, key: bomb}\n"
                "      - run: sleep 100\n", files={"client.py": CLIENT, "bomb.tar": packed_zeros(200 << 20)[0]}, config=limit, timeout=400)
    t.check(run.status == "failure" and run.cause == "disk", "a bomb as tar ends at the job's disk space", str(run))


def as_layers(t, outside):
    for name, entries in ways_out(outside).items():
        got = t.in_folder(image_with(t, name, layer(*entries)), "cat /took /way/canary /double/canary 2>/dev/null; echo inside")
        contained = got.returncode == 0 and "inside" in got.stdout and "do-not-take-me" not in got.stdout
        refused = got.returncode != 0 and got.stderr.strip() != ""
        t.check(contained or refused, f"{name}: {'refused' if refused else 'contained'}", f"{got.returncode} {got.stdout} {got.stderr[-300:]}")
        t.check(is_untouched(outside), f"{name}: the host is as it was")
    got = t.in_folder(image_with(t, "nodes", layer(entry("node", kind=tarfile.CHRTYPE, devmajor=1, devminor=5, mode=0o666),
                                                   entry("disk", kind=tarfile.BLKTYPE, devmajor=7, devminor=0, mode=0o666),
                                                   entry("suid", t.rig.attempts.read_bytes(), mode=0o6755))),
                      "head -c 1 /node | wc -c; /suid euid; id -u")
    if got.returncode == 0:
        t.check(got.stdout.split() == ["0", "0", "0", "0"], "nodes are none, set-user-ID has no effect", got.stdout + got.stderr)
    else:
        t.check("node" in got.stderr, "nodes are refused by name", got.stderr)
    # bombs: each with the limit that it meets
    got = t.in_folder(image_with(t, "ratio", packed_zeros(320 << 20)), "echo inside")
    t.check(got.returncode != 0 and re.search(r"times its size", got.stderr), "a bomb by its ratio is refused by name",
            f"{got.returncode} {got.stderr[-400:]}")
    t.check(disk_bytes(t.base / "store") < 1 << 30, "and takes no disk", str(disk_bytes(t.base / "store")))
    got = t.in_folder(image_with(t, "holes", layer(sparse(1 << 46))), "echo inside", store="store-holes")
    t.check((got.returncode != 0 and got.stderr.strip()) or "inside" in got.stdout, "64 TiB of holes: refused or there", got.stderr[-300:])
    t.check(disk_bytes(t.base / "store-holes") < 1 << 30, "and take no disk", str(disk_bytes(t.base / "store-holes")))
    got = t.in_folder(image_with(t, "entries", packed_entries(2000000)), "echo inside", store="store-entries")
    t.check(got.returncode != 0 and re.search(r"entries|times its size", got.stderr), "2,000,000 entries are refused by name", got.stderr[-300:])
    got = t.in_folder(image_with(t, "deep", layer(entry("/".join(["d"] * 400) + "/f", EVIL))), "echo inside")
    t.check((got.returncode != 0 and got.stderr.strip()) or "inside" in got.stdout, "400 folders deep: refused or there", got.stderr[-300:])


def disk_bytes(folder):
    total = 0
    for path in folder.rglob("*") if folder.exists() else ():
        with contextlib.suppress(OSError):
            total += path.lstat().st_blocks * 512
    return total


# ---- X2 ----

def X2(t):
    """images: wrong digests and sizes, whiteouts through links, overlay's own attributes, huge configurations"""
    if not t.image:
        raise Pointless("the sandbox knows no images")
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
        got = t.in_folder(image_with(t, name, plain, spoil=spoil), "echo inside", store=f"store-{name}")
        t.check(got.returncode != 0 and "inside" not in got.stdout and re.search(r"digest|size|bytes|sha256", got.stderr),
                f"{name}: refused by name", f"{got.returncode} {got.stdout} {got.stderr[-300:]}")
    got = t.in_folder(image_with(t, "diff-id", (gzip.compress(plain), "0" * 64)), "echo inside", store="store-diff")
    t.check(got.returncode != 0 and re.search(r"diff|digest|sha256", got.stderr), "diff_ids that are not true are refused", got.stderr[-300:])
    for name, entries in (("whiteout-through-link", [[entry("way", kind=tarfile.SYMTYPE, link=str(outside))], [entry("way/.wh.canary", b"")]]),
                          ("opaque-through-link", [[entry("way", kind=tarfile.SYMTYPE, link=str(outside))], [entry("way/.wh..wh..opq", b"")]]),
                          ("whiteout-up", [[entry("../" * 20 + str(outside)[1:] + "/.wh.canary", b"")]])):
        got = t.in_folder(image_with(t, name, *(layer(*each) for each in entries)), "echo inside")
        t.check((outside / "canary").exists(), f"{name}: the host's file is there", got.stderr[-200:])
    pax = {f"SCHILY.xattr.{prefix}.overlay.{key}": value for prefix in ("user", "trusted")
           for key, value in (("redirect", str(outside)), ("metacopy", ""), ("opaque", "y"), ("origin", "x"))}
    folder = image_with(t, "attributes", layer(entry("etc", kind=tarfile.DIRTYPE, mode=0o755, pax=pax), entry("meta", b"m\n", pax=pax)))
    got = t.in_folder(folder, "cat /etc/passwd /meta; ls /etc/canary 2>&1", store="store-attributes")
    marks = []
    for path in (t.base / "store-attributes").rglob("*"):
        with contextlib.suppress(OSError):
            marks += [f"{path}: {each}" for each in os.listxattr(path, follow_symlinks=False)
                      if re.search(r"overlay\.(redirect|metacopy|origin)", each)]
    t.check(not marks, "overlay's own attributes of a layer are dropped", str(marks[:3]))
    t.check(got.returncode != 0 or ("root:x:0" in got.stdout and "stay" not in got.stdout), "and hide and show nothing", got.stdout + got.stderr[-200:])
    many = {"Env": [f"V{i}=x" for i in range(100000)]}
    began = time.monotonic()
    got = t.in_folder(image_with(t, "environment", config=many), "env | wc -l")
    t.check(got.returncode != 0 or got.stdout.strip().isdigit(), "10^5 variables: refused by name or there", got.stderr[-300:])
    t.check(time.monotonic() - began < 20 * SLOW, "in bounded time")
    if got.returncode != 0:
        t.check(re.search(r"variables|Env|environment|larger|smaller", got.stderr), "the reason is the environment", got.stderr[-300:])
    dockerfiles(t, outside)
    # the control: an honest image with the same layers runs
    got = t.in_folder(image_with(t, "honest", plain), "cat /plain", store="store-honest")
    t.check(got.stdout == "x\n", "control: an honest one runs", got.stdout + got.stderr[-300:])


def dockerfiles(t, outside):
    """Actions whose Dockerfile wants out: by what it copies, by where to, by what its commands leave, by its size."""
    if "overlay" in subprocess.run(["stat", "-f", "-c", "%T", str(t.base)], capture_output=True, text=True, check=False).stdout:
        return t.not_here("a disk that carries an overlay, for Dockerfiles")
    base = image_with(t, "dockerfile", layer(entry("plain", b"x\n")))
    head = "on: push\njobs:\n  a:\n    runs-on: any\n    steps:\n      - uses: actions/checkout@v4\n"
    data = t.base / "data-dockerfile"

    def build(text, before="", config=None):
        files = {"evil/action.yml": "runs: {using: docker, image: Dockerfile}\n", "evil/file": "honest\n",
                 "evil/Dockerfile": text.replace("BASE", f"oci:{base}")}
        steps = f"      - run: {before}\n" if before else ""
        return t.run(head + steps + "      - uses: ./evil\n", files=files, data=data, config=config, timeout=400)
    links = f"ln -s {outside}/canary evil/link; ln -s {outside} evil/way; ln -s / evil/root; ln -s ../.. evil/up"
    for source in ("link", "way", "way/canary", "root/etc/passwd", f"root{outside}/canary", "up/.git", "../.git", "../../../../etc/shadow", "w*/canary", "li*"):
        run = build(f"FROM BASE\nRUN echo must-not-run\nCOPY {source} /took\nRUN cat /took /took/*\n", links)
        t.check(run.status == "failure" and "below the Dockerfile's folder" in run.message or "leads out" in run.message,
                f"COPY {source} is refused", str(run))
        t.check("must-not-run" not in run.text and "stay" not in run.text, "before anything runs", run.text[-300:])
    run = build('FROM BASE\nCOPY . /all/\nRUN cat /all/link /all/way/canary /all/up/* 2>/dev/null; cat /all/file\nENTRYPOINT ["/bin/cat", "/all/link"]\n', links)
    t.check("stay" not in run.text and "honest" in run.text, "links that are copied mean nothing of the host", str(run))
    for where in (str(outside), "/proc/1/root" + str(outside), "../" * 20 + str(outside)[1:], "/proc/self/cwd", "/run/assay/from"):
        build(f"FROM BASE\nRUN ln -s {where} /way\nCOPY file /way/made\nADD file /way/\nCOPY file {outside}/made\n")
        t.check(sorted(os.listdir(outside)) == ["canary"] and (outside / "canary").read_text() == "stay\n", f"COPY through a link to {where[:30]} stays within")
    run = build('FROM BASE\nRUN cp /bin/busybox /suid && chmod 6755 /suid && mkfifo /pipe; mknod /node c 1 5; touch /there\n'
                'ENTRYPOINT ["/bin/sh", "-c", "test -u /suid || test -g /suid || test -e /node || test -p /pipe || echo cle\'\'an; ls /there"]\n')
    t.check("clean" in run.text and "/there" in run.text, "no set-user-ID, no node and no pipe becomes a layer", str(run))
    for name, text in (("a million lines", "FROM BASE\n" + "RUN true\n" * 1000000), ("a line of 10 MB", "FROM BASE\nRUN echo " + "a" * 10000000),
                       ("100,000 continued lines", "FROM BASE\nRUN exit 3" + " \\\n" * 100000), ("variables in variables", "FROM BASE\nENV A=" + "x" * 1000 +
                        "\n" + "ENV A=$A$A$A$A\n" * 50), ("no end", "FROM BASE\nRUN <<EOF\n")):
        began = time.monotonic()
        run = build(text)
        t.check(run.status == "failure" and run.message, f"{name}: refused or ended by name", str(run))
        t.check(time.monotonic() - began < 20 * SLOW, "in bounded time")
    run = build("FROM BASE\nRUN dd if=/dev/zero of=/big bs=1048576 count=600; sleep 100\n", config="limits:\n  job_disk: 32 MiB\n")
    t.check(run.status == "failure" and run.cause == "disk", "a RUN that fills the disk ends at the job's disk space", str(run))
    run = build('FROM BASE\nRUN echo honest-run\nCOPY file /file\nENTRYPOINT ["/bin/cat", "/file"]\n')
    t.check(run.status == "success" and "honest-run" in run.text, "control: an honest one is built", str(run))
    layers = {p: p.read_bytes() for p in data.rglob("images/layers-*/*/file") if p.is_file()}
    run = build('FROM BASE\nRUN echo honest-run\nCOPY file /file\nENTRYPOINT ["/bin/sh", "-c", "echo evil >/file; echo evil >>/bin/busybox; rm -rf /plain; cat /file"]\n')
    t.check("evil" in run.text, "control: what its program writes it sees", str(run))
    t.check(layers and all(p.read_bytes() == b for p, b in layers.items()), "and what was kept of it is what it was")


CASES = [X1, X2]
