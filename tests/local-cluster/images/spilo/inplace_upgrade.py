#!/usr/bin/env python3
"""inplace_upgrade.py NUMBER_OF_MEMBERS: what an operator executes in the leader's pod, as postgres, for a major upgrade.

A small stand-in for Spilo's: pause Patroni, pg_upgrade --link (or dump and restore, for a version without pg_upgrade),
the new system identifier into the DCS, resume. The replicas then start over from a base backup, see rejoin.py. The
target is the pod's PGVERSION.
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from typing import Any

import yaml
from patroni.config import Config
from patroni.dcs import get_dcs

CONFIGURATION = "/home/postgres/postgres.yml"
SOCKETS = "/run/postgresql"


def programs(version: str) -> str:
    return f"/usr/lib/postgresql/{version}/bin"


def run(*command: str, **options: Any) -> None:
    print("+", *command, flush=True)
    subprocess.run(command, check=True, **options)


def query(sql: str) -> str:
    command = ["psql", "-XAt", "-h", SOCKETS, "-U", "postgres", "-d", "template1", "-c", sql]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def rest(path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:8008/{path}", timeout=20) as answer:
        return json.load(answer)


def dump_program(old: str, new: str) -> str | None:
    """pg_dumpall of the nearest version that can, where one of the two has no pg_upgrade (see more_versions.sh)."""
    complete = sorted((path.split("/")[-3] for path in glob.glob(f"{programs('*')}/pg_upgrade")), key=float)
    if {old, new} <= set(complete):
        return None
    return next(f"{programs(version)}/pg_dumpall" for version in complete if float(version) >= float(old))


def initialize(new: str, folder: str, superuser: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    collation, character_type, encoding = query(
        "select datcollate, datctype, pg_encoding_to_char(encoding) from pg_database where datname = 'template0'"
    ).split("|")
    locale = ["--lc-collate", collation, "--lc-ctype", character_type, "-E", encoding]
    # The two must agree for pg_upgrade; since PostgreSQL 18 checksums are the default and have to be refused.
    checksums = []
    if query("show data_checksums") == "on":
        checksums = ["--data-checksums"]
    elif float(new) >= 18:
        checksums = ["--no-data-checksums"]
    run(f"{programs(new)}/initdb", "-D", folder, "-U", superuser, *locale, *checksums, stdout=subprocess.DEVNULL)
    with open(f"{folder}/postgresql.conf", "a") as file:
        file.write(f"shared_preload_libraries = '{query('show shared_preload_libraries')}'\n")


def restore_dump(dump: str, new: str, folder: str) -> None:
    server = [f"{programs(new)}/pg_ctl", "-D", folder, "-w"]
    options = "-p 5499 -c listen_addresses='' -c unix_socket_directories=/tmp -c ssl=off"
    run(*server, "-o", options, "-l", "/tmp/upgrade.log", "start")
    restore = f"{os.path.dirname(dump)}/psql -Xq -h /tmp -p 5499 -U postgres -d postgres -f - >/dev/null"
    run("sh", "-c", f"{dump} -h {SOCKETS} -U postgres | {restore}")
    run(*server, "stop", "-m", "fast")


def publish_system_identifier(new: str, data: str) -> None:
    control = subprocess.run([f"{programs(new)}/pg_controldata", data], check=True, capture_output=True, text=True).stdout
    identifier = next(line.split(":")[1].strip() for line in control.splitlines() if line.startswith("Database system id"))
    dcs = get_dcs(Config(CONFIGURATION))
    dcs.get_cluster()
    dcs.cancel_initialization()
    dcs.get_cluster()
    print("initialize key:", dcs.initialize(create_new=True, sysid=identifier), identifier, flush=True)


def restart_patroni() -> None:
    """It has to read the new bin_dir; launch.sh starts it again."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path) as file:
                arguments = file.read().split("\0")
        except OSError:
            continue
        if CONFIGURATION in arguments and any(argument.endswith("/patroni") for argument in arguments[:2]):
            os.kill(int(path.split("/")[2]), signal.SIGTERM)


def wait_until(seconds: float, *command: str) -> None:
    """Repeats a command until it succeeds; after the time it simply goes on, the caller's next step then fails."""
    until = time.monotonic() + seconds
    while subprocess.run(command, capture_output=True).returncode != 0 and time.monotonic() < until:
        time.sleep(0.5)


def main() -> None:
    with open(CONFIGURATION) as file:
        configuration = yaml.safe_load(file)
    data = configuration["postgresql"]["data_dir"]
    with open(f"{data}/PG_VERSION") as file:
        old = file.read().strip()
    new = os.environ["PGVERSION"]  # `su postgres` keeps the environment
    if float(new) <= float(old):
        print("no upgrade required")
        return
    if rest("patroni")["role"] not in ("master", "primary"):
        sys.exit("not the leader")
    members = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    if len(rest("cluster")["members"]) < members:
        sys.exit("members are missing")

    os.chdir(os.path.dirname(data))
    new_data = f"{data}_new"
    initialize(new, new_data, configuration["postgresql"]["authentication"]["superuser"]["username"])
    dump = dump_program(old, new)
    upgrade = [f"{programs(new)}/pg_upgrade", "-b", programs(old), "-B", programs(new), "-d", data, "-D", new_data]
    upgrade += ["-U", "postgres", "--link", "-s", "/tmp"]
    if not dump:
        run(*upgrade, "--check")
    run("patronictl", "-c", CONFIGURATION, "pause", "--wait")
    try:
        if dump:
            restore_dump(dump, new, new_data)
        run(f"{programs(old)}/pg_ctl", "-D", data, "stop", "-m", "fast", "-w")
        if not dump:
            run(*upgrade)
        shutil.rmtree(f"{data}_old", ignore_errors=True)
        os.rename(data, f"{data}_old")
        os.rename(new_data, data)
        configuration["postgresql"]["bin_dir"] = programs(new)
        with open(CONFIGURATION, "w") as file:
            yaml.safe_dump(configuration, file, default_flow_style=False, width=200)
        publish_system_identifier(new, data)
        restart_patroni()
    finally:
        # Patroni is just restarting; it starts PostgreSQL only when it is no longer paused.
        time.sleep(1)
        wait_until(20, "patronictl", "-c", CONFIGURATION, "resume")
    is_primary = "select 1 / (not pg_is_in_recovery())::int"
    wait_until(30, "psql", "-XAtq", "-h", SOCKETS, "-U", "postgres", "-c", is_primary)
    analyze = programs(new) if os.path.exists(f"{programs(new)}/vacuumdb") else programs(old)
    run(f"{analyze}/vacuumdb", "-h", SOCKETS, "-U", "postgres", "--all", "--analyze-in-stages", stdout=subprocess.DEVNULL)
    print("upgraded to", new)


if __name__ == "__main__":
    main()
