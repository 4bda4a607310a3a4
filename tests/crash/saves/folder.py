"""A folder that is replaced as a whole, with files of somebody else in it."""

import os

from kio.raw.folder_sink import FolderSink

TARGET = "model"


def owns(name):
    return name in ("config.json", "weights.h5", "assets") or name.startswith("assets/")


def prepare(folder):
    os.makedirs(os.path.join(folder, TARGET, "more"))
    for name in ("notes.txt", "more/notes.txt"):
        with open(os.path.join(folder, TARGET, name), "w") as file:
            file.write("not ours")
    os.symlink("notes.txt", os.path.join(folder, TARGET, "link"))


def save(path, version):
    with FolderSink(path, owns=owns) as folder:
        folder.open("config.json").write_at(0, version.encode())
        folder.open("weights.h5").write_at(10, version.encode() * 50)
        folder.open(f"assets/{version}.txt").write_at(0, b"asset")


def state(path):
    if not os.path.isdir(path):
        return None
    out = {}
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            with open(full, "rb") as file:
                out[os.path.relpath(full, path)] = file.read()
    return out
