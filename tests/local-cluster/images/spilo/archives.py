"""Which WAL archives a member knows, from the variables that Spilo reads: its own, a clone's source, a standby's source.

Imported by configure.py. Each archive is a folder of files named like variables, for `envdir`: that is how the commands in
Patroni's configuration get at an address and its keys, which stand in no environment and no configuration. What WAL-G
does in Spilo is done by curl (wal.sh) and barman-cloud (archive.py) here, so that neither can read the other's archive.
Only S3 is known.
"""
import os
import shutil
import subprocess

FOLDER = f"{os.environ.get('RW_DIR', '/run')}/etc/wal-e.d"
TOOL = "barman-cloud-restore"
PASSED_ON = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


def location(prefix: str) -> str:
    """`s3://bucket/path`, as given or made up of its parts; empty where there is no archive."""

    def given(name: str) -> str:
        return os.environ.get(prefix + name, "")

    if given("WALE_S3_PREFIX"):
        return given("WALE_S3_PREFIX").rstrip("/")
    if not given("WAL_S3_BUCKET") or not given("SCOPE"):
        return ""
    # as Spilo has it: the namespace belongs to the name of a member's own archive, unless the variable says otherwise
    namespace = os.environ.get("POD_NAMESPACE", "default")
    own = "" if prefix or namespace == "default" else f"{namespace}-"
    before = os.environ.get(f"{prefix}WAL_BUCKET_SCOPE_PREFIX", own)
    scope = before + given("SCOPE") + given("WAL_BUCKET_SCOPE_SUFFIX")
    # the version of a clone's source is not known: archive.py looks for it
    return f"s3://{given('WAL_S3_BUCKET')}/spilo/{scope}/wal/{given('PGVERSION')}".rstrip("/")


def folder(prefix: str) -> str:
    """Where the variables of an archive stand; Spilo's names."""
    scope = os.environ.get(f"{prefix}SCOPE", "") if prefix else ""
    parts = ["env", prefix.rstrip("_").lower(), scope]
    return f"{FOLDER}/{'-'.join(part for part in parts if part)}"


def write(prefix: str) -> str:
    """Writes the variables of an archive for `envdir`. Their folder, or nothing where there is no such archive."""
    if not location(prefix) or not shutil.which(TOOL):
        return ""
    endpoint = os.environ.get(f"{prefix}AWS_ENDPOINT") or os.environ.get(f"{prefix}WALE_S3_ENDPOINT", "")
    # Spilo's form of an endpoint says how buckets are addressed: http+path://host:port
    variables = {"WALE_S3_PREFIX": location(prefix), "AWS_ENDPOINT": endpoint.replace("+path:", ":")}
    variables.update({name: os.environ.get(prefix + name, "") for name in PASSED_ON})
    place = folder(prefix)
    os.makedirs(place, mode=0o700, exist_ok=True)
    for name, value in variables.items():
        with open(f"{place}/{name}", "w") as file:
            file.write(value)
    if os.getuid() == 0:
        subprocess.run(["chown", "--recursive", "postgres:", FOLDER], check=True)
    return place


def restore_command(place: str) -> str:
    return f'envdir "{place}" /scripts/restore_command.sh "%f" "%p"'


def archive_command(place: str) -> str:
    return f'envdir "{place}" /scripts/wal.sh push "%p"'
