#!/usr/bin/env python3
"""Writes Patroni's configuration from the environment variables that an operator sets on a Spilo container.

A small stand-in for Spilo's configure_spilo.py: Kubernetes as DCS (on Endpoints or ConfigMaps), the merge of
SPILO_CONFIGURATION, WAL archives (see archives.py), clones and standby clusters of a running cluster and of an archive,
TLS files, PGVERSION.
"""
import glob
import json
import os
import shlex
import subprocess
import sys
from typing import Any

import archives
import yaml

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
HOME = os.environ.get("PGHOME", "/home/postgres")
DATA = os.environ.get("PGDATA", f"{HOME}/pgdata/pgroot/data")
WRITABLE = os.environ.get("RW_DIR", "/run")
PORT = os.environ.get("PGPORT", "5432")
API_PORT = os.environ.get("APIPORT", "8008")
POD_ADDRESS = os.environ.get("POD_IP", "127.0.0.1")
MEMBER = os.environ.get("POD_NAME") or os.uname().nodename
SUPERUSER = os.environ.get("PGUSER_SUPERUSER", "postgres")
STANDBY_USER = os.environ.get("PGUSER_STANDBY", "standby")
HUMAN_ROLE = os.environ.get("HUMAN_ROLE", "zalandos")


def variable(name: str) -> str:
    return os.environ.get(name, "")


def is_true(name: str, default: str = "") -> bool:
    return os.environ.get(name, default).lower() in ("true", "on", "1", "yes")


def merge(wanted: Any, default: Any) -> Any:
    """Spilo's merge: dicts key by key, anything else (lists too) as wanted; null stands for the default."""
    if isinstance(wanted, dict) and isinstance(default, dict):
        merged = {key: merge(wanted[key], default[key]) if key in default else wanted[key] for key in wanted}
        return {**default, **merged}
    return default if wanted is None else wanted


def labels(name: str, default: dict[str, str]) -> dict[str, str]:
    try:
        return json.loads(variable(name))
    except ValueError:
        return default


def give_to_postgres(*paths: str) -> None:
    for path in paths:
        os.chmod(path, 0o600)
    if os.getuid() == 0:
        subprocess.run(["chown", "postgres:", *paths], check=True)


def memory_megabytes() -> int:
    """What the container may use: the machine's memory, or less where its cgroup says so."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"):
        try:
            with open(path) as file:
                memory = min(memory, int(file.read()))
        except (OSError, ValueError):
            pass
    return memory // 2**20


def certificate() -> tuple[str, str]:
    """Paths of the server's certificate and key: given as files, given as text, or made here, self-signed."""
    certificate_file = variable("SSL_CERTIFICATE_FILE") or f"{WRITABLE}/certs/server.crt"
    key_file = variable("SSL_PRIVATE_KEY_FILE") or f"{WRITABLE}/certs/server.key"
    if variable("SSL_CERTIFICATE") and variable("SSL_PRIVATE_KEY"):
        for path, name in ((certificate_file, "SSL_CERTIFICATE"), (key_file, "SSL_PRIVATE_KEY")):
            with open(path, "w") as file:
                file.write(variable(name))
        give_to_postgres(certificate_file, key_file)
    elif not os.path.exists(certificate_file):
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        subprocess.run(
            ["openssl", "req", "-nodes", "-new", "-x509", *curve, "-subj", "/CN=spilo.example.org", "-days", "3650"]
            + ["-keyout", key_file, "-out", certificate_file],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        give_to_postgres(certificate_file, key_file)
    return certificate_file, key_file


def dynamic_configuration(memory: int) -> dict[str, Any]:
    """What Patroni writes into the DCS at the bootstrap; Spilo's values."""
    parameters = {
        "archive_mode": "on",
        "archive_timeout": "1800s",
        "wal_level": "hot_standby",
        "wal_log_hints": "on",
        "max_wal_senders": 10,
        "max_connections": min(max(100, memory // 30), 1000),
        "max_replication_slots": 10,
        "hot_standby": "on",
        "tcp_keepalives_idle": 900,
        "tcp_keepalives_interval": 100,
        "log_checkpoints": "on",
        "log_lock_waits": "on",
        "log_min_duration_statement": 500,
        "log_connections": "on",
        "log_disconnections": "on",
        "log_statement": "ddl",
    }
    dynamic: dict[str, Any] = {
        "ttl": 30,
        "loop_wait": 10,
        "retry_timeout": 10,
        "maximum_lag_on_failover": 33554432,
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters},
    }
    if standby_cluster():
        dynamic["standby_cluster"] = standby_cluster()
    return dynamic


def standby_cluster() -> dict[str, Any]:
    """What a standby cluster follows: a host, an archive, or both."""
    standby: dict[str, Any] = {}
    if variable("STANDBY_HOST"):
        standby["host"] = variable("STANDBY_HOST")
        if variable("STANDBY_PORT"):
            standby["port"] = int(variable("STANDBY_PORT"))
        if variable("STANDBY_PRIMARY_SLOT_NAME"):
            standby["primary_slot_name"] = variable("STANDBY_PRIMARY_SLOT_NAME")
    if archives.location("STANDBY_"):
        standby["restore_command"] = archives.restore_command(archives.folder("STANDBY_"))
    methods = ["bootstrap_standby_with_wale"] if "restore_command" in standby else []
    return {"create_replica_methods": [*methods, "basebackup_fast_xlog"], **standby} if standby else {}


def clone_from_archive() -> dict[str, Any]:
    """The part of `bootstrap` that starts from another cluster's archive, and ends at a moment."""
    place = archives.write("CLONE_")
    if not place:
        sys.exit("CLONE_METHOD=CLONE_WITH_WALE: no archive in S3 is named, or this machine has no barman-cloud")
    until = variable("CLONE_TARGET_TIME")
    recovery = {
        "restore_command": archives.restore_command(place),
        "recovery_target_timeline": "latest",
        "recovery_target_action": "promote",
    }
    if until:
        recovery["recovery_target_time"] = until
    options = [f"--until={until}", f"--envdir={place}"]
    return {
        "method": "clone_with_wale",
        "clone_with_wale": {
            "command": shlex.join(["envdir", place, f"{SCRIPTS}/archive.py", "restore", *options]),
            "recovery_conf": recovery,
        },
    }


def clone_from_host() -> dict[str, Any]:
    """The part of `bootstrap` that starts from a base backup of another cluster."""
    host, port = variable("CLONE_HOST"), os.environ.get("CLONE_PORT", "5432")
    user = os.environ.get("CLONE_USER", STANDBY_USER)
    password_file = f"{HOME}/.pgpass_clone"
    with open(password_file, "w") as file:
        file.write(":".join([host, port, "*", user, variable("CLONE_PASSWORD")]) + "\n")
    give_to_postgres(password_file)
    return {
        "method": "clone_with_basebackup",
        "clone_with_basebackup": {
            "command": shlex.join([f"{SCRIPTS}/clone.sh", password_file, host, port, user]),
            "recovery_conf": {
                "recovery_target": "immediate",
                "recovery_target_timeline": "latest",
                "recovery_target_action": "promote",
                "restore_command": "/bin/false",
            },
        },
    }


def bootstrap(memory: int) -> dict[str, Any]:
    locale = os.environ.get("INITDB_LOCALE", "en_US")
    section: dict[str, Any] = {
        "dcs": dynamic_configuration(memory),
        "post_init": shlex.join([f"{SCRIPTS}/post_init.sh", HUMAN_ROLE]),
        "initdb": [{"encoding": "UTF8"}, {"locale": f"{locale}.UTF-8"}, "data-checksums"],
    }
    if variable("CLONE_METHOD") == "CLONE_WITH_BASEBACKUP" and variable("CLONE_HOST"):
        section.update(clone_from_host())
    elif variable("CLONE_METHOD") == "CLONE_WITH_WALE":
        section.update(clone_from_archive())
    return section


def client_authentication() -> list[str]:
    rules = [
        "local all all trust",
        "host all all 127.0.0.1/32 md5",
        "host all all ::1/128 md5",
        f"local replication {STANDBY_USER} trust",
        f"hostssl replication {STANDBY_USER} all md5",
    ]
    if variable("ALLOW_NOSSL"):
        return [*rules, "host all all all md5"]
    return [*rules, "hostnossl all all all reject", "hostssl all all all md5"]


def postgresql(memory: int) -> dict[str, Any]:
    certificate_file, key_file = certificate()
    archive, followed = archives.write(""), archives.write("STANDBY_")
    parameters = {
        "archive_command": archives.archive_command(archive) if archive else "/bin/true",
        "shared_buffers": f"{max(16, min(memory // 5, 8192))}MB",
        "logging_collector": "on",
        "log_destination": "csvlog",
        "log_directory": "../pg_log",
        "log_filename": "postgresql-%u.log",
        "log_file_mode": "0644",
        "log_rotation_age": "1d",
        "log_truncate_on_rotation": "on",
        "ssl": "on",
        "ssl_cert_file": certificate_file,
        "ssl_key_file": key_file,
        "shared_preload_libraries": "pg_stat_statements",
        "unix_socket_directories": "/run/postgresql",
    }
    if variable("SSL_CA_FILE"):
        parameters["ssl_ca_file"] = variable("SSL_CA_FILE")
    section: dict[str, Any] = {}
    if archive:
        section["recovery_conf"] = {"restore_command": archives.restore_command(archive)}
    if followed:
        restore = shlex.join(["envdir", followed, f"{SCRIPTS}/archive.py", "restore"])
        section["bootstrap_standby_with_wale"] = {"command": restore, "no_leader": True}
    return {
        **section,
        "pgpass": "/run/postgresql/pgpass",
        "use_unix_socket": True,
        "use_unix_socket_repl": True,
        "name": MEMBER,
        "listen": f"*:{PORT}",
        "connect_address": f"{POD_ADDRESS}:{PORT}",
        "data_dir": DATA,
        "parameters": parameters,
        "pg_hba": client_authentication(),
        "create_replica_methods": ["basebackup"],
        "basebackup": {"checkpoint": "fast"},
        "basebackup_fast_xlog": {"command": f"{SCRIPTS}/basebackup.sh", "retries": 2},
        "authentication": {
            "superuser": {"username": SUPERUSER, "password": os.environ.get("PGPASSWORD_SUPERUSER", "zalando")},
            "replication": {"username": STANDBY_USER, "password": os.environ.get("PGPASSWORD_STANDBY", "standby")},
        },
    }


def kubernetes() -> dict[str, Any]:
    section: dict[str, Any] = {
        "namespace": os.environ.get("POD_NAMESPACE", "default"),
        "labels": labels("KUBERNETES_LABELS", {"application": "spilo"}),
        "bootstrap_labels": labels("KUBERNETES_BOOTSTRAP_LABELS", {}),
        "scope_label": os.environ.get("KUBERNETES_SCOPE_LABEL", "version"),
        "role_label": os.environ.get("KUBERNETES_ROLE_LABEL", "spilo-role"),
        "leader_label_value": os.environ.get("KUBERNETES_LEADER_LABEL_VALUE", "master"),
        "standby_leader_label_value": os.environ.get("KUBERNETES_STANDBY_LEADER_LABEL_VALUE", "master"),
    }
    if not is_true("KUBERNETES_USE_CONFIGMAPS"):
        endpoint = {"port": int(PORT), "name": "postgresql"}
        section.update(use_endpoints=True, pod_ip=POD_ADDRESS, ports=[endpoint])
    if is_true("KUBERNETES_BYPASS_API_SERVICE", "true"):
        section["bypass_api_service"] = True
    return section


def program_folder() -> str:
    """The version of the data where there are any, else the one asked for, else the newest."""
    installed = sorted((path.split("/")[-2] for path in glob.glob("/usr/lib/postgresql/*/bin")), key=float)
    version = variable("PGVERSION")
    try:
        with open(f"{DATA}/PG_VERSION") as file:
            version = file.read().strip()
    except OSError:
        pass
    return f"/usr/lib/postgresql/{version if version in installed else installed[-1]}/bin"


def main() -> None:
    memory = memory_megabytes()
    configuration: dict[str, Any] = {
        "name": MEMBER,
        "scope": os.environ.get("SCOPE", "dummy"),
        "bootstrap": bootstrap(memory),
        "restapi": {"listen": f":{API_PORT}", "connect_address": f"{POD_ADDRESS}:{API_PORT}"},
        "postgresql": postgresql(memory),
    }
    if is_true("DCS_ENABLE_KUBERNETES_API") or variable("KUBERNETES_SERVICE_HOST"):
        configuration["kubernetes"] = kubernetes()
    wanted = yaml.safe_load(variable("SPILO_CONFIGURATION") or variable("PATRONI_CONFIGURATION")) or {}
    if not isinstance(wanted, dict):
        sys.exit("SPILO_CONFIGURATION should contain a dict")
    configuration = merge(wanted, configuration)
    if not configuration["postgresql"].get("bin_dir"):
        configuration["postgresql"]["bin_dir"] = program_folder()
    path = f"{HOME}/postgres.yml"
    with open(path, "w") as file:
        yaml.safe_dump(configuration, file, default_flow_style=False, width=200)
    give_to_postgres(path)


if __name__ == "__main__":
    main()
