#!/usr/bin/env python3
"""Packs layers into an image archive (the `docker save` format) that `ctr images import` takes. Nothing else is needed.

A layer is a tar file. Single files (--file PATH=DESTINATION, mode 755, owned by root) go together into one last layer.
The same layers can get several images, each with a name and a command of its own: they are stored once.
"""
import argparse
import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile
from typing import Any

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", help="the archive")
    parser.add_argument("--image", action="append", required=True, metavar="NAME[=ARGUMENT,...]", help="with its command")
    parser.add_argument("--layer", action="append", default=[], metavar="TAR", help="the lowest first")
    parser.add_argument("--file", action="append", default=[], metavar="PATH=DESTINATION")
    parser.add_argument("--entrypoint", default="", metavar="ARGUMENT,...")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--path", default=STANDARD_PATH)
    parser.add_argument("--user", default="")
    parser.add_argument("--workdir", default="/")
    return parser.parse_args()


def file_layer(files: list[str], folder: str) -> str:
    """Writes the layer of single files; the same content always gives the same layer."""
    path = os.path.join(folder, "files.tar")
    with tarfile.open(path, "w") as layer:
        for entry in files:
            source, _, destination = entry.partition("=")
            member = layer.gettarinfo(os.path.realpath(source), destination.lstrip("/"))
            member.uid = member.gid = member.mtime = 0
            member.uname = member.gname = "root"
            member.mode = 0o755
            with open(source, "rb") as content:
                layer.addfile(member, content)
    return path


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def configuration(options: argparse.Namespace, name: str, command: str, layers: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {"Env": [f"PATH={options.path}", *options.env], "WorkingDir": options.workdir}
    # The name makes images of the same layers differ: nodes report an image by its content, and would mix them up.
    settings["Labels"] = {"name": name}
    if options.entrypoint:
        settings["Entrypoint"] = options.entrypoint.split(",")
    if command:
        settings["Cmd"] = command.split(",")
    if options.user:
        settings["User"] = options.user
    return {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}" for layer in layers]},
        "history": [{"created_by": "pack_image.py"} for _ in layers],
    }


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def pack(options: argparse.Namespace, layer_paths: list[str]) -> None:
    layers = {digest(path): path for path in layer_paths}
    unfinished = options.out + ".part"
    manifest = []
    with tarfile.open(unfinished, "w") as archive:
        for image in options.image:
            name, _, command = image.partition("=")
            content = json.dumps(configuration(options, name, command, list(layers))).encode()
            config_name = hashlib.sha256(content).hexdigest() + ".json"
            add_bytes(archive, config_name, content)
            paths = [f"{layer}/layer.tar" for layer in layers]
            manifest.append({"Config": config_name, "RepoTags": [name], "Layers": paths})
        for layer, path in layers.items():
            archive.add(path, f"{layer}/layer.tar")
        add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
    os.rename(unfinished, options.out)


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(options.out))) as folder:
        files = [file_layer(options.file, folder)] if options.file else []
        pack(options, options.layer + files)
    size = os.path.getsize(options.out) / 2**20
    print(f"{options.out}: {', '.join(image.partition('=')[0] for image in options.image)}, {size:.1f} MiB")


if __name__ == "__main__":
    main()
