#!/usr/bin/env python3
"""provisioner.py KUBECONFIG FOLDER: dynamic volumes for the test cluster, without CSI and without helper pods.

It serves the StorageClasses that name it: makes a folder and a PersistentVolume for each claim, grows both on request,
and removes them when the claim is gone. All nodes share this machine's disk, so a volume behaves like a network disk;
with the class parameter pinned=true it stays on its node, as a real local volume does. There is no quota.

For tests of failures, annotations on the StorageClass: local-cluster/fail-resize=true lets resizes hang until it is
removed, local-cluster/fail-provision=true does the same with new volumes.
"""
import base64
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse
from typing import Any

PROVISIONER = "local-cluster/folder"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
CLAIMS = "/api/v1/persistentvolumeclaims"
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
Object = dict[str, Any]


class Api:
    """A minimal client of the API server; one connection, so one for each thread."""

    def __init__(self, kubeconfig: str) -> None:
        with open(kubeconfig) as file:
            self.text = file.read()
        self.tls = ssl.create_default_context(cadata=self.embedded("certificate-authority-data").decode())
        with tempfile.NamedTemporaryFile() as pair:  # the ssl module reads a client's certificate from a file only
            pair.write(self.embedded("client-key-data") + self.embedded("client-certificate-data"))
            pair.flush()
            self.tls.load_cert_chain(pair.name)
        self.server = urllib.parse.urlparse(self.field("server"))
        self.connection: http.client.HTTPSConnection | None = None

    def field(self, name: str) -> str:
        found = re.search(rf"{name}: *\"?([^\s\"]+)", self.text)
        if not found:
            raise ValueError(f"the kubeconfig has no {name}")
        return found.group(1)

    def embedded(self, name: str) -> bytes:
        return base64.b64decode(self.field(name))

    def connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.server.hostname or "", self.server.port, context=self.tls, timeout=timeout)

    def request(self, method: str, path: str, body: Object | None = None) -> Object:
        """Sends one request. A second try covers a connection that the server has closed in the meantime."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        content = None if body is None else json.dumps(body)
        for last in (False, True):
            try:
                self.connection = self.connection or self.connect(10)
                self.connection.request(method, path, content, {"Content-Type": kind})
                answer = self.connection.getresponse()
                data = json.loads(answer.read() or b"{}")
            except (OSError, http.client.HTTPException):
                self.connection = None
                if last:
                    raise
                continue
            if answer.status >= 400 and answer.status not in (404, 409):
                raise RuntimeError(f"{method} {path}: {answer.status} {data.get('message')}")
            return data
        raise AssertionError("not reached")

    def list(self, path: str) -> list[Object]:
        return self.request("GET", f"{path}?resourceVersion=0")["items"]

    def wake_on_changes(self, path: str, changed: threading.Event) -> None:
        """Sets the event at each change of a kind of object, for ever. The state itself is always read anew."""
        while True:
            try:
                connection = self.connect(330)
                connection.request("GET", f"{path}?watch=true&resourceVersion=0&timeoutSeconds=300")
                answer = connection.getresponse()
                while answer.readline():
                    changed.set()
            except (OSError, http.client.HTTPException):
                time.sleep(1)


def size(quantity: str) -> float:
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity)
    if not found:
        raise ValueError(f"{quantity} is no quantity")
    return float(found[1]) * UNITS[found[2]]


def annotation(thing: Object, name: str) -> str | None:
    return thing["metadata"].get("annotations", {}).get(name)


def log(*words: object) -> None:
    print(time.strftime("%H:%M:%S"), *words, flush=True)


class Provisioner:
    def __init__(self, api: Api, folder: str) -> None:
        self.api = api
        self.folder = folder

    def step(self) -> None:
        classes = {item["metadata"]["name"]: item for item in self.api.list(CLASSES) if item["provisioner"] == PROVISIONER}
        volumes = {item["metadata"]["name"]: item for item in self.api.list(VOLUMES)}
        for claim in self.api.list(CLAIMS):
            storage_class = classes.get(claim["spec"].get("storageClassName"))
            if not storage_class or "deletionTimestamp" in claim["metadata"]:
                continue
            if "volumeName" not in claim["spec"]:
                if f"pvc-{claim['metadata']['uid']}" not in volumes:
                    self.provision(claim, storage_class)
            elif claim["spec"]["volumeName"] in volumes:
                self.expand(claim, storage_class, volumes[claim["spec"]["volumeName"]])
        for volume in volumes.values():
            self.remove_released(volume)

    def provision(self, claim: Object, storage_class: Object) -> None:
        metadata, spec = claim["metadata"], claim["spec"]
        node = annotation(claim, "volume.kubernetes.io/selected-node")  # the scheduler's choice
        if not node and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
            return
        if annotation(storage_class, "local-cluster/fail-provision") == "true":
            return
        path = os.path.join(self.folder, f"{metadata['namespace']}-{metadata['name']}-{metadata['uid'][:8]}")
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)  # as a new file system's root: who is not root needs fsGroup
        place: Object = {"key": "kubernetes.io/hostname", "operator": "Exists"}
        if storage_class.get("parameters", {}).get("pinned") == "true":
            place = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        reference.update({key: metadata[key] for key in ("namespace", "name", "uid")})
        volume = {
            "metadata": {"name": f"pvc-{metadata['uid']}", "annotations": {PROVISIONED_BY: PROVISIONER}},
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "volumeMode": spec.get("volumeMode", "Filesystem"),
                "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
                "storageClassName": storage_class["metadata"]["name"],
                "local": {"path": path},
                "claimRef": reference,
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [place]}]}},
            },
        }
        self.api.request("POST", VOLUMES, volume)
        log("made", path)

    def expand(self, claim: Object, storage_class: Object, volume: Object) -> None:
        """Raises the volume's and the claim's capacity to what the claim asks for, as an external resizer would."""
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        status = claim.get("status", {})
        if status.get("phase") != "Bound" or size(wanted) <= size(status["capacity"]["storage"]):
            return
        if annotation(storage_class, "local-cluster/fail-resize") == "true":
            return
        if annotation(volume, PROVISIONED_BY) != PROVISIONER:
            return
        metadata = claim["metadata"]
        claims = f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims"
        capacity = {"capacity": {"storage": wanted}}
        self.api.request("PATCH", f"{VOLUMES}/{volume['metadata']['name']}", {"spec": capacity})
        self.api.request("PATCH", f"{claims}/{metadata['name']}/status", {"status": {**capacity, "conditions": None}})
        log("resized", metadata["namespace"], metadata["name"], "to", wanted)
        self.report(claim, "FileSystemResizeSuccessful", f"volume resized to {wanted}")

    def remove_released(self, volume: Object) -> None:
        metadata, spec = volume["metadata"], volume["spec"]
        if volume.get("status", {}).get("phase") != "Released" or "deletionTimestamp" in metadata:
            return
        if annotation(volume, PROVISIONED_BY) != PROVISIONER or spec["persistentVolumeReclaimPolicy"] != "Delete":
            return
        path = spec["local"]["path"]
        if os.path.dirname(path) == self.folder:  # never anything but a folder of ours
            shutil.rmtree(path, ignore_errors=True)
        self.api.request("DELETE", f"{VOLUMES}/{metadata['name']}")
        log("removed", path)

    def report(self, claim: Object, reason: str, message: str) -> None:
        metadata = claim["metadata"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        involved = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
        involved.update({key: metadata[key] for key in ("namespace", "name", "uid")})
        event = {
            "metadata": {"generateName": f"{metadata['name']}."},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": "Normal",
            "source": {"component": PROVISIONER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self.api.request("POST", f"/api/v1/namespaces/{metadata['namespace']}/events", event)


def main() -> None:
    kubeconfig, folder = sys.argv[1], sys.argv[2]
    changed = threading.Event()
    for path in (CLASSES, VOLUMES, CLAIMS):
        threading.Thread(target=Api(kubeconfig).wake_on_changes, args=(path, changed), daemon=True).start()
    provisioner = Provisioner(Api(kubeconfig), folder)
    while True:
        changed.clear()
        try:
            provisioner.step()
            changed.wait(60)  # whatever the watches may have missed
        except Exception as error:  # an API server that restarts must not end this process
            log("trying again:", repr(error))
            time.sleep(1)


if __name__ == "__main__":
    main()
