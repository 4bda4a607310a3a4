"""Shards and a JSON that names them."""

import json
import os
import re

from kio.raw.folder_sink import GroupSink

TARGET = "m.json"
SHARD = re.compile(r"m_([0-9a-f]{8})_\d\.bin")


def save(path, version):
    token = os.urandom(4).hex()
    with GroupSink(path, stale=lambda name: SHARD.fullmatch(name)) as group:
        names = [f"m_{token}_{i}.bin" for i in range(2)]
        for i, name in enumerate(names):
            group.open(name).write_at(0, f"{version} {i}".encode())
        group.head.write_at(0, json.dumps(names).encode())


def prepare(folder):
    with open(os.path.join(folder, "other.bin"), "w") as file:
        file.write("not ours")


def normalise(name):
    return re.sub(r"_[0-9a-f]{8}_", "_*_", name)


def state(path):
    try:
        with open(path) as file:
            names = json.load(file)
    except FileNotFoundError:
        return None
    out = []
    for name in names:
        with open(os.path.join(os.path.dirname(path), name)) as file:
            out.append(file.read())
    return out
