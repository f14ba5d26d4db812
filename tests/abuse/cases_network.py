# SPDX-License-Identifier: Apache-2.0
"""N1 to N7: what a job reaches. It has a network of its own, but in `host`, which says what it shares."""
import os
import re
import socket
import subprocess
import time

from lib import Agent, Attempt, NotHere, SLOW, sleep_until

FAMILIES = {"AF_VSOCK": "40,1", "AF_ALG": "38,5", "AF_TIPC": "30,5", "AF_BLUETOOTH": "31,3", "AF_CAN": "29,3", "AF_XDP": "44,3",
            "AF_PACKET": "17,3", "AF_KEY": "15,3,2", "AF_RDS": "21,5", "AF_SMC": "43,1", "AF_KCM": "41,5", "AF_QIPCRTR": "42,2",
            "netlink uevent": "16,3,15", "netlink netfilter": "16,3,12", "netlink audit": "16,3,9", "netlink xfrm": "16,3,6",
            "netlink sock_diag": "16,3,4", "netlink generic": "16,3,16", "netlink connector": "16,3,11"}


def listener(t):
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(64)
    t.closing.append(server.close)
    return server.getsockname()[1]


def N1(t):
    """`none`: connecting to anybody, raw and packet sockets"""
    port = listener(t)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    t.closing.append(udp.close)
    t.refused(Attempt(f"tcp=127.0.0.1:{port}", "ENETUNREACH"), Attempt(f"udp=127.0.0.1:{udp.getsockname()[1]}", "ENETUNREACH"),
              Attempt("tcp=10.0.0.1:80", "ENETUNREACH", control=None), Attempt("udp=8.8.8.8:53", "ENETUNREACH", control=None),
              Attempt("tcp=169.254.169.254:80", "ENETUNREACH", control=None),
              Attempt("family=2,3,1", "EPERM"), Attempt("family=17,3", "EAFNOSUPPORT EPERM"),
              Attempt("own_server", "ENETUNREACH EADDRNOTAVAIL"))
    for address in own_addresses():
        server = socket.socket()
        server.bind((address, 0))
        server.listen(8)
        t.closing.append(server.close)
        t.refused(Attempt(f"tcp={address}:{server.getsockname()[1]}", "ENETUNREACH"))


def own_addresses():
    got = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True, check=False)
    return re.findall(r"inet ([\d.]+)", got.stdout)[:2]


def N2(t):
    """`loopback`: its own server works, the host's does not answer"""
    agent = Agent(t)
    port = agent.url.rsplit(":", 1)[1]
    t.refused(Attempt("own_server", "ok"), Attempt(f"tcp=127.0.0.1:{port}", "ECONNREFUSED"),
              Attempt(f"tcp=127.0.0.1:{listener(t)}", "ECONNREFUSED"),
              Attempt("tcp=10.0.0.1:80", "ENETUNREACH", control=None), network="loopback")


def N3(t):
    """abstract sockets between host and job, and between jobs"""
    name = f"assay-abuse-{os.getpid()}-{t.user}"
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0" + name)
    server.listen(64)
    t.closing.append(server.close)
    for network in t.networks():
        rows = t.inside([f"abstract={name}"], network)
        outcome = rows[f"abstract={name}"][0]
        if network == "host" and outcome == "ok":
            said = t.shell("true", network="host").stderr
            if "abstract unix sockets" in said:
                t.not_here("host: this kernel has no Landlock scope (ABI 6), and the job's page says so")
                continue
        t.judge([Attempt(f"abstract={name}", "ECONNREFUSED EPERM")], rows, f" [{network}]")
    # a job's own, seen from the host and from another job
    for network in ("none", "loopback"):
        process = t.popen(t.exec_command(f"cat >try && chmod 755 try && exec ./try abstract_server={name}-in", network=network),
                          stdin=subprocess.PIPE)
        process.stdin.write(t.rig.attempts.read_bytes())
        process.stdin.close()
        t.need(t.await_line(process, "ready"), "the job listens")
        outside = subprocess.run([t.rig.attempts, f"abstract={name}-in"], capture_output=True, text=True, check=False)
        t.check("ECONNREFUSED" in outside.stdout, f"the host does not reach a job's [{network}]", outside.stdout)
        other = t.inside([f"abstract={name}-in"], network)[f"abstract={name}-in"]
        t.check(other[0] == "ECONNREFUSED", f"nor does another job [{network}]", str(other))
        process.terminate()
        process.wait()


def N4(t):
    """address families that no network namespace covers, or that no build needs"""
    for network in t.networks():
        t.refused(*(Attempt(f"family={text}", "EAFNOSUPPORT EPERM") for text in FAMILIES.values()),
                  Attempt("host_by_vsock", "EAFNOSUPPORT EPERM"), Attempt("family_high=40", "EAFNOSUPPORT EPERM"),
                  Attempt("pair=1", "ok"), Attempt("family=16,3,0", "ok"), Attempt("family=1,1", "ok"), network=network)


def N5(t):
    """`full`: the host's loopback, the gateway's, metadata addresses, other jobs"""
    if "full" not in t.networks():
        raise NotHere(t.why_not_full)
    port = listener(t)
    wanted = [Attempt(f"tcp=127.0.0.1:{port}", "ECONNREFUSED"), Attempt(f"tcp=192.0.0.1:{port}", "ENETUNREACH", control=None),
              Attempt("tcp=192.0.0.3:80", "ENETUNREACH", control=None), Attempt("tcp=100.100.100.200:80", "ENETUNREACH", control=None),
              Attempt("udp=224.0.0.251:5353", "ENETUNREACH", control=None)]
    routes = subprocess.run(["ip", "-4", "route", "show", "default"], capture_output=True, text=True, check=False).stdout
    for address in own_addresses() if routes else []:
        server = socket.socket()
        server.bind((address, 0))
        server.listen(8)
        t.closing.append(server.close)
        where = f"{address}:{server.getsockname()[1]}"
        wanted.append(Attempt(f"tcp={where}", "ENETUNREACH"))
        # the control of all that is refused: who is named is reached, by its port alone, and bound to the link too
        for allow in (["*", where], [where]):
            t.judge([Attempt(f"tcp={where}", "ok"), Attempt(f"tcp={address}:1", "ENETUNREACH", control=None)],
                    t.inside([f"tcp={where}", f"tcp={address}:1"], "full", allow), f" [full, {' '.join(allow)}]")
        t.judge([Attempt(f"tcp_by_link={where}", "EHOSTUNREACH ETIMEDOUT ENETUNREACH", control=None)],
                t.inside([f"tcp_by_link={where}"], "full"), " [full]")
    wanted.append(Attempt("tcp_by_link=169.254.169.254:80", "EHOSTUNREACH ETIMEDOUT ENETUNREACH", control=None))
    other = t.popen(t.exec_command("cat >try && chmod 755 try && exec ./try hold_port=23457", network="full"), tun=True,
                    stdin=subprocess.PIPE)
    other.stdin.write(t.rig.attempts.read_bytes())
    other.stdin.close()
    t.need(t.await_line(other, "ready"), "another job listens")
    wanted += [Attempt("tcp=127.0.0.1:23457", "ECONNREFUSED", control=None), Attempt("tcp=192.0.0.2:23457", "ECONNREFUSED", control=None)]
    if t.rig.guest:  # a metadata service of our own; elsewhere the address may be a real one's, which is left alone
        subprocess.run(["ip", "addr", "replace", "169.254.169.254/32", "dev", "lo"], check=True)
        metadata = socket.socket()
        metadata.bind(("169.254.169.254", 0))
        metadata.listen(8)
        t.closing.append(metadata.close)
        wanted.append(Attempt(f"tcp=169.254.169.254:{metadata.getsockname()[1]}", "ENETUNREACH"))
    else:
        wanted.append(Attempt("tcp=169.254.169.254:80", "ENETUNREACH", control=None))
    t.refused(*wanted, network="full")
    other.terminate()
    other.wait()


def N6(t):
    """changing links, packet filters and switches of the own network; what the next job finds"""
    for network in t.networks():
        t.refused(Attempt("set_link=lo", "EPERM", control="cage"), Attempt("family=16,3,12", "EAFNOSUPPORT EPERM"),
                  Attempt("write=/proc/sys/net/ipv4/ip_forward", "EROFS EACCES ENOENT"),
                  Attempt("write=/proc/sys/net/ipv4/ip_unprivileged_port_start", "EROFS EACCES ENOENT"), network=network)
    first = t.shell("cat /proc/net/dev /proc/net/tcp /proc/net/unix | wc -l; ls -i -L /proc/self/ns/net", network="loopback")
    second = t.shell("cat /proc/net/dev /proc/net/tcp /proc/net/unix | wc -l; ls -i -L /proc/self/ns/net", network="loopback")
    t.check(first.stdout.split()[0] == second.stdout.split()[0], "the next job finds it as the first did",
            f"{first.stdout} {second.stdout}")
    own = os.stat("/proc/self/ns/net").st_ino
    t.check(str(own) not in first.stdout.split(), "and it is not the host's", first.stdout)


def N7(t):
    """two jobs with the same port"""
    port = "23456"
    holders = []
    for _ in range(2):
        process = t.popen(t.exec_command(f"cat >try && chmod 755 try && exec ./try hold_port={port}", network="loopback"),
                          stdin=subprocess.PIPE)
        process.stdin.write(t.rig.attempts.read_bytes())
        process.stdin.close()
        holders.append(process)
    t.check(all([t.await_line(p, "ready") for p in holders]), "both have it at the same time")
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(1)
    got = subprocess.run([t.rig.attempts, f"hold_port={server.getsockname()[1]}"], capture_output=True, text=True, check=False)
    server.close()
    t.check("EADDRINUSE" in got.stdout, "control: on one network they could not", got.stdout)
    for process in holders:
        process.terminate()
        process.wait()


CASES = [N1, N2, N3, N4, N5, N6, N7]
