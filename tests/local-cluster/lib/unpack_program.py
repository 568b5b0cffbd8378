#!/usr/bin/env python3
"""unpack_program.py ARCHIVE LIST: takes the program out of an image that `local-cluster service-image` has packed.

Light mode has no containers: the program is run as it is. LIST has a line IMAGE=PATH for each name of such an image; the
programs stand beside it. A program that is replaced is a new file, because the old one may be running.
"""
import hashlib
import json
import os
import sys
import tarfile
from typing import Any


def read_json(archive: tarfile.TarFile, name: str) -> Any:
    content = archive.extractfile(name)
    if content is None:
        raise ValueError(f"{name} is no file")
    return json.load(content)


def program(archive: tarfile.TarFile, image: dict[str, Any]) -> bytes:
    """The image's only file, which has to be its entrypoint."""
    if len(image["Layers"]) != 1:
        raise ValueError("the image has several layers")
    entrypoint = read_json(archive, image["Config"])["config"]["Entrypoint"][0].lstrip("/")
    with tarfile.open(fileobj=archive.extractfile(image["Layers"][0])) as layer:
        if layer.getnames() != [entrypoint]:
            raise ValueError("the image has more than one file")
        content = layer.extractfile(entrypoint)
        if content is None:
            raise ValueError("the entrypoint is no file")
        return content.read()


def write(path: str, content: bytes, mode: int) -> None:
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.chmod(path + ".part", mode)
    os.rename(path + ".part", path)


def main() -> None:
    source, list_path = sys.argv[1], sys.argv[2]
    known = {}
    if os.path.exists(list_path):
        with open(list_path) as file:
            known = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    with tarfile.open(source) as archive:
        for image in read_json(archive, "manifest.json"):
            content = program(archive, image)
            path = os.path.join(os.path.dirname(list_path), hashlib.sha256(content).hexdigest())
            if not os.path.exists(path):
                write(path, content, 0o755)
            for name in image["RepoTags"]:
                known[name] = path
                print(f"{name}: a program, to be run as it is")
    write(list_path, "".join(f"{name}={path}\n" for name, path in sorted(known.items())).encode(), 0o644)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError, TypeError, IndexError, tarfile.TarError) as error:
        sys.exit(f"{sys.argv[1]}: {error!r}")
