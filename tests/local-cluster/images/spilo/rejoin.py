#!/usr/bin/env python3
"""Run when Patroni has ended by itself: does this replica have to start over after its leader's major upgrade?

It does if its data are of an older major version than the pod asks for and belong to another system than the one that
the DCS knows. The data then go, so that the next start of Patroni takes a base backup. (Spilo rsyncs instead.)
"""
import os
import shutil
import subprocess
import sys

import yaml
from patroni.config import Config
from patroni.dcs import get_dcs

CONFIGURATION = "/home/postgres/postgres.yml"


def system_identifier(version: str, data: str) -> str:
    command = [f"/usr/lib/postgresql/{version}/bin/pg_controldata", data]
    output = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    return next(line.split(":")[1].strip() for line in output.splitlines() if line.startswith("Database system id"))


def main() -> None:
    with open(CONFIGURATION) as file:
        configuration = yaml.safe_load(file)
    data = configuration["postgresql"]["data_dir"]
    try:
        with open(f"{data}/PG_VERSION") as file:
            version = file.read().strip()
    except OSError:
        return
    wanted = os.environ.get("PGVERSION", "")
    if not wanted or float(wanted) <= float(version):
        return
    mine, theirs = system_identifier(version, data), get_dcs(Config(CONFIGURATION)).get_cluster().initialize
    if not theirs or theirs == mine:
        return
    print(f"the leader was upgraded ({mine} -> {theirs}): dropping the data of version {version}", flush=True)
    shutil.rmtree(data)
    os.mkdir(data, 0o700)
    parent = os.stat(os.path.dirname(data))
    os.chown(data, parent.st_uid, parent.st_gid)
    configuration["postgresql"]["bin_dir"] = f"/usr/lib/postgresql/{wanted}/bin"
    with open(CONFIGURATION, "w") as file:
        yaml.safe_dump(configuration, file, default_flow_style=False, width=200)


if __name__ == "__main__":
    sys.exit(main())
