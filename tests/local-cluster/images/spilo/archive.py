#!/usr/bin/env python3
"""archive.py: base backups in an S3-compatible store. Run under `envdir`, which says where the archive is.

  first-backup                              once this member leads: a base backup, as Spilo takes one at every start
  backup                                    a base backup of the running server
  list                                      base backups, the oldest first: id, end
  restore --datadir=FOLDER [--until=TIME] [--envdir=FOLDER]
                                            the newest base backup (that ended before a moment) into a folder

The work is done by barman-cloud, in a folder of its own. WAL files are beside it, see wal.sh.
"""
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

SERVER = "barman"
SOCKETS = "/run/postgresql"
PROGRAMS = "/usr/lib/postgresql"


def barman(program: str, *arguments: str, place: str = "", **options: Any) -> "subprocess.CompletedProcess[str]":
    """Runs `barman-cloud-PROGRAM OPTIONS PLACE SERVER ARGUMENTS`."""
    place = place or os.environ["WALE_S3_PREFIX"]
    before = [argument for argument in arguments if argument.startswith("-")]
    after = [argument for argument in arguments if not argument.startswith("-")]
    if os.environ.get("AWS_ENDPOINT"):
        before.append(f"--endpoint-url={os.environ['AWS_ENDPOINT']}")
    environment = {**os.environ, "AWS_DEFAULT_REGION": os.environ.get("AWS_REGION") or "us-east-1"}
    command = [f"barman-cloud-{program}", *before, place, SERVER, *after]
    return subprocess.run(command, text=True, env=environment, **options)


def backups(place: str = "") -> list[tuple[str, datetime]]:
    """Finished base backups, the oldest first: id and end."""
    listed = barman("backup-list", "--format=json", place=place, stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(listed or "{}").get("backups_list", [])
    ended = [(one["backup_id"], moment(one)) for one in found if one.get("status") == "DONE"]
    return sorted(ended, key=lambda one: one[1])


def moment(backup: dict[str, Any]) -> datetime:
    if backup.get("end_time_iso"):
        return datetime.fromisoformat(backup["end_time_iso"]).astimezone()
    return datetime.strptime(backup["end_time"], "%a %b %d %H:%M:%S %Y").astimezone()


def back_up() -> None:
    barman("backup", "--immediate-checkpoint", f"--host={SOCKETS}", "--user=postgres", check=True)


def leads() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8008/primary", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def first_backup() -> None:
    until = time.monotonic() + 3600
    while not leads():
        if time.monotonic() > until:
            return
        time.sleep(1)
    back_up()


def places() -> list[str]:
    """Where the archive may be. Spilo's path ends with the version, which who clones a cluster need not know."""
    place = os.environ["WALE_S3_PREFIX"]
    if not place.endswith("/wal"):
        return [place]
    versions = sorted((name for name in os.listdir(PROGRAMS) if name.isdigit()), key=int, reverse=True)
    return [f"{place}/{version}" for version in versions]


def restore(folder: str, until: str, envdir: str) -> None:
    limit = datetime.fromisoformat(until) if until else None
    for place in places():
        fitting = [name for name, ended in backups(place) if limit is None or ended < limit]
        if not fitting:
            continue
        print(f"restoring base backup {fitting[-1]} of {place}", flush=True)
        barman("restore", fitting[-1], folder, place=place, check=True)
        if envdir:  # WAL is then fetched from where the base backup was found
            with open(f"{envdir}/WALE_S3_PREFIX", "w") as file:
                file.write(place)
        return
    before = f" that ended before {until}" if until else ""
    sys.exit(f"there is no base backup{before} in {' or '.join(places())}")


def option(name: str) -> str:
    """The value of --NAME=VALUE; Patroni adds options of its own, which mean nothing here."""
    start = f"--{name}="
    return next((argument.removeprefix(start) for argument in sys.argv if argument.startswith(start)), "")


def main() -> None:
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "first-backup":
        first_backup()
    elif verb == "backup":
        back_up()
    elif verb == "list":
        for name, ended in backups():
            print(name, ended.isoformat())
    elif verb == "restore":
        restore(option("datadir"), option("until"), option("envdir"))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
