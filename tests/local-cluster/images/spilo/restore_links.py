#!/usr/bin/env python3
"""restore_links.py FOLDER: an npm package cannot hold symbolic links, this one lists them in pg-symlinks.json."""
import json
import os
import sys

folder = sys.argv[1]
with open(f"{folder}/pg-symlinks.json") as file:
    links = json.load(file)
for link in links:
    source, target = (link[key].removeprefix("native/") for key in ("source", "target"))
    if not os.path.lexists(f"{folder}/{target}"):
        os.symlink(os.path.relpath(source, os.path.dirname(target)), f"{folder}/{target}")
