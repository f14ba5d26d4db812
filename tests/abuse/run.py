#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tries what a job must not be able to do: every case with every executor that confines, by a root's and by a user's agent.

    tests/abuse/run.py --build build-release [--guest] [--users root,user] [--executors sandbox] [CASE…]

One line a case: PASS, FAIL, KNOWN (it does not hold, and we know), NOT HERE with the reason for which this kernel
cannot show it, or - where it says nothing of the executor. With ASSAY_ABUSE_TABLE=FILE
the table also goes there. Exit status 1 when a case fails.
"""
import argparse
import os
import pathlib
import shutil
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import cases_archives  # noqa: E402
import cases_files  # noqa: E402
import cases_inputs  # noqa: E402
import cases_network  # noqa: E402
import cases_processes  # noqa: E402
import lib  # noqa: E402

# Asked of an ordinary user with ids, too, unless cases or users are named: rights, files, users, what is left behind.
OF_IDS = "F2 F3 F4 F6 F10 F11 F15 F17 F19 J1 J2 J3 J5 J8 J13 N6 X2".split()
# What does not hold yet, by case: it is tried and told, does not fail the run, and fails it once it holds.
KNOWN = {}
ALL = cases_files.CASES + cases_processes.CASES + cases_network.CASES + cases_archives.CASES + cases_inputs.CASES


def run_case(rig, case, executor, user):
    context = lib.Context(rig, executor, user, rig.root / f"{case.__name__}-{executor}-{user}")
    try:
        case(context)
    except lib.Untried as why:
        context.untried.append(str(why))
    except lib.Pointless as why:
        return "-", str(why)
    except lib.NotHere as why:
        context.not_here(str(why))
    except lib.Failed as why:
        context.failures.append(str(why))
    except Exception:  # a mistake in a case is a failure of that case, not of the list
        context.failures.append(traceback.format_exc(limit=4).strip().replace("\n", " / "))
    finally:
        context.close()
    if context.failures:
        known = KNOWN.get(case.__name__) or KNOWN.get(f"{case.__name__} {executor}")
        return ("KNOWN", f"{known}; {'; '.join(context.failures)}") if known else ("FAIL", "; ".join(context.failures))
    if (case.__name__ in KNOWN or f"{case.__name__} {executor}" in KNOWN) and context.passed:
        return "FAIL", "it holds now: take it from the list of what does not"
    if context.untried and not context.passed:
        return "UNTRIED", "; ".join(context.untried)
    if not context.controls and context.lacking or not context.passed:
        return "NOT HERE", "; ".join(dict.fromkeys(context.lacking)) or "nothing was tried"
    if not context.controls:
        return "FAIL", "no control of it works outside, so it says nothing"
    note = "; ".join(dict.fromkeys(context.lacking))
    return "PASS", f"{len(context.passed)} tried" + (f"; not here: {note}" if note else "") + (
        f"; untried: {'; '.join(context.untried)}" if context.untried else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build-release")
    parser.add_argument("--guest", action="store_true", help="this machine is a throw-away one: change it as a whole")
    parser.add_argument("--users", help="root, user, and ids: an ordinary user whom /etc/subuid gives ids (container alone)")
    parser.add_argument("--executors", default="sandbox,container")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    build = pathlib.Path(options.build).resolve()
    rig = lib.Rig(build, options.guest)
    if "container" in options.executors and not shutil.which("busybox"):
        print("NOT TRIED: executor container, whose image is made of busybox, which is not installed")
        options.executors = options.executors.replace("container", "").strip(",")
        if not options.executors:
            return 0
    users = (options.users or ("root,user,ids" if os.geteuid() == 0 else "user")).split(",")
    if "ids" in users and (os.geteuid() != 0 or not os.access("/usr/bin/newuidmap", os.X_OK) or not os.path.exists("/etc/subuid")):
        print("NOT TRIED: an ordinary user with ids, which takes root, newuidmap (uidmap) and an /etc/subuid")
        users.remove("ids")
    columns = [(e, u) for e in options.executors.split(",") for u in users if u != "ids" or e == "container"]
    for executor, user in columns:
        if executor == "container":
            has = lib.Context(rig, executor, user, rig.root / f"mode-{user}").has_users()
            print(f"container {user}: images {'have their users' if has else 'have one id'}")
    table, failed = [], 0
    try:
        for case in ALL:
            if options.cases and case.__name__ not in options.cases:
                continue
            row = []
            for executor, user in columns:
                if user == "ids" and not options.users and not options.cases and case.__name__ not in OF_IDS:
                    row.append(("-", "the same as root's"))
                    continue
                began = time.monotonic()
                verdict, note = run_case(rig, case, executor, user)
                failed += verdict == "FAIL"
                row.append((verdict, note))
                print(f"{verdict:8} {case.__name__:4} {executor} {user}: {case.__doc__.strip()} ({note}; "
                      f"{time.monotonic() - began:.1f} s)", flush=True)
            table.append((case, row))
    finally:
        rig.close()
    lines = [f"{'case':5}" + "".join(f"{executor + ' ' + user:16}" for executor, user in columns) + "what"]
    for case, row in table:
        partly = "*" if any(v == "PASS" and ("not here" in n or "untried" in n) for v, n in row) else ""
        lines.append(f"{case.__name__:5}" + "".join(f"{v + ('*' if v == 'PASS' and ('not here' in n or 'untried' in n) else ''):16}" for v, n in row)
                     + case.__doc__.strip() + (" (* in part)" if partly else ""))
    print("\n" + "\n".join(lines))
    if os.environ.get("ASSAY_ABUSE_TABLE"):
        pathlib.Path(os.environ["ASSAY_ABUSE_TABLE"]).write_text("\n".join(lines) + "\n")
    print(f"{len(table)} cases, {failed} failures")
    return 1 if failed else 0


sys.exit(main())
