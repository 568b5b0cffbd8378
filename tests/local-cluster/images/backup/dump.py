#!/usr/bin/env python3
"""Dumps all databases of a cluster to an S3-compatible store: the entrypoint of the logical backup image.

A small stand-in for the image that upstream's operator starts from its CronJob: the same variables, the same place in the
bucket (BUCKET/PREFIX/CLUSTER/UID/logical_backups/SECONDS.sql.gz), a replica rather than the primary, old dumps removed
but never the last one. Of its providers only s3 is there.
"""
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from typing import Any

import boto3

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def variable(name: str) -> str:
    return os.environ.get(name, "")


def pods(**selectors: str) -> list[dict[str, Any]]:
    """Pods of this namespace, as the API server answers."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    with open(f"{ACCOUNT}/token") as file:
        token = file.read()
    path = f"/api/v1/namespaces/{os.environ['POD_NAMESPACE']}/pods?{urllib.parse.urlencode(selectors)}"
    request = urllib.request.Request(f"https://{host}:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    trust = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
        return json.load(answer)["items"]


def database_address() -> str:
    """A replica on this node, else any replica, else the primary."""
    node = pods(fieldSelector=f"metadata.name={os.uname().nodename}")[0]["spec"]["nodeName"]
    cluster = f"{os.environ['CLUSTER_NAME_LABEL']}={os.environ['SCOPE']}"
    replicas = pods(labelSelector=f"{cluster},spilo-role=replica")
    here = [pod for pod in replicas if pod["spec"]["nodeName"] == node]
    for pod in [*here, *replicas, *pods(labelSelector=f"{cluster},spilo-role=master")]:
        if pod["status"].get("podIP"):
            return pod["status"]["podIP"]
    sys.exit(f"no member of {os.environ['SCOPE']} has an address")


def dump(store: Any, bucket: str, key: str, host: str) -> None:
    """Streams pg_dumpall through gzip into the store. What came of a dump that failed is taken out again."""
    programs = f"/usr/lib/postgresql/{os.environ['PG_VERSION']}/bin"
    extra = {"ServerSideEncryption": variable("LOGICAL_BACKUP_S3_SSE")} if variable("LOGICAL_BACKUP_S3_SSE") else {}
    dumping = subprocess.Popen([f"{programs}/pg_dumpall"], stdout=subprocess.PIPE, env={**os.environ, "PGHOST": host})
    packing = subprocess.Popen(["gzip"], stdin=dumping.stdout, stdout=subprocess.PIPE)
    store.upload_fileobj(packing.stdout, bucket, key, ExtraArgs=extra)
    failed = [process.args for process in (dumping, packing) if process.wait() != 0]
    if failed:
        store.delete_object(Bucket=bucket, Key=key)
        sys.exit(f"failed: {failed}")


def remove_outdated(store: Any, bucket: str, folder: str) -> None:
    """Removes dumps older than, for example, `2 weeks`."""
    retention = variable("LOGICAL_BACKUP_S3_RETENTION_TIME")
    if not retention:
        return
    limit = subprocess.run(["date", "--date", f"{retention} ago", "+%s"], check=True, capture_output=True, text=True)
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    found = sorted((one for page in pages for one in page.get("Contents", [])), key=lambda one: one["LastModified"])
    for one in found[:-1]:
        if one["LastModified"].timestamp() < int(limit.stdout):
            print("removing", one["Key"])
            store.delete_object(Bucket=bucket, Key=one["Key"])


def main() -> None:
    provider = variable("LOGICAL_BACKUP_PROVIDER") or "s3"
    if provider != "s3":
        sys.exit(f"LOGICAL_BACKUP_PROVIDER={provider}: this test image knows s3 only")
    store = boto3.client(
        "s3",
        endpoint_url=variable("LOGICAL_BACKUP_S3_ENDPOINT") or None,
        region_name=variable("LOGICAL_BACKUP_S3_REGION") or "us-east-1",
    )
    bucket = os.environ["LOGICAL_BACKUP_S3_BUCKET"]
    scope = f"{os.environ['SCOPE']}{variable('LOGICAL_BACKUP_S3_BUCKET_SCOPE_SUFFIX')}"
    folder = f"{variable('LOGICAL_BACKUP_S3_BUCKET_PREFIX')}/{scope}/logical_backups/"
    key, host = f"{folder}{int(time.time())}.sql.gz", database_address()
    dump(store, bucket, key, host)
    print(f"dumped {host} to s3://{bucket}/{key}")
    remove_outdated(store, bucket, folder)


if __name__ == "__main__":
    main()
