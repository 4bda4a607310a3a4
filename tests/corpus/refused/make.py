"""Writes the corpus of refused: what kio tells by its content and does not read.  Needs torch and TensorFlow."""

import bz2
import gzip
import json
import lzma
import os
import pickle
import sys
import tarfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf
import torch
import zstandard
from writing import case, fresh

DATA = {"kernel": np.arange(6, dtype="float32").reshape(2, 3)}


def refused(name, about, opened, says, write, by=()):
    folder = fresh(__file__, name)
    write(folder)
    error = "TruncatedError" if name == "empty" else "ForeignFormatError"
    case(folder, about, opened, by=by, error=error, says=says)


def content(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def tar(folder):
    (folder / "a.txt").write_text("hello")
    with tarfile.open(folder / "x.tar", "w") as out:
        out.add(folder / "a.txt", "a.txt")


def saved_model(folder):
    module = tf.Module()
    module.v = tf.Variable([1.0, 2.0])
    tf.saved_model.save(module, str(folder / "x.keras"))
    for path in (folder / "x.keras").glob("fingerprint.pb"):
        path.unlink()


def orbax(folder):
    (folder / "7").mkdir()
    (folder / "7" / "_CHECKPOINT_METADATA").write_text("{}")
    (folder / "7" / "pytree").mkdir()
    (folder / "7" / "pytree" / "_METADATA").write_text("{}")


def prototype(folder):
    (folder / "x").mkdir()
    (folder / "x" / "config.keras").write_text("{}")


index = {"metadata": {"total_size": 24}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123\n"
config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": []}}

refused("pickle", "A pickle.", "x.keras", "a Python pickle", content("x.keras", pickle.dumps({"a": 1}, 4)))
refused("torch", "torch.save: a zip with a pickle.", "x.pt", "a PyTorch checkpoint",
        lambda f: torch.save({"a": torch.ones(2)}, f / "x.pt"), ("torch",))  # fmt: skip
refused("torch_old", "torch.save before 1.6: a pickle.", "x.pt", "a Python pickle",
        lambda f: torch.save({"a": torch.ones(2)}, f / "x.pt", _use_new_zipfile_serialization=False), ("torch",))  # fmt: skip
refused("tar", "A tar archive.", "x.tar", "a tar archive", tar)
refused("gzip", "gzip.", "x.h5.gz", "a gzip-compressed file", content("x.h5.gz", gzip.compress(b"hello", mtime=0)))
refused("bzip2", "bzip2.", "x", "a bzip2-compressed file", content("x", bz2.compress(b"hello")))
refused("xz", "xz.", "x", "an xz-compressed file", content("x", lzma.compress(b"hello")))
refused("zstd", "zstd.", "x", "a zstd-compressed file", content("x", zstandard.compress(b"hello")), ("zstandard",))
refused("7z", "The first bytes of a 7z archive.", "x.7z", "a 7z archive", content("x.7z", b"7z\xbc\xaf'\x1c\0\4" + bytes(24)))
refused("npy", "A single array.", "x.npy", "a single NumPy array", lambda f: np.save(f / "x.npy", DATA["kernel"]), ("numpy",))
refused("gguf", "The first bytes of a GGUF file.", "x", "a GGUF model", content("x", b"GGUF\3\0\0\0" + bytes(16)))
refused("lfs_pointer", "A clone without git lfs.", "x.keras", "a Git LFS pointer", content("x.keras", pointer))
refused("web_page", "A download that failed.", "x.h5", "a web page", content("x.h5", b"<!DOCTYPE html>\n<html><body>404"))
refused("empty", "No bytes.", "x.keras", "expected at least one byte", content("x.keras", b""))
refused("saved_model", "A SavedModel folder.", "x.keras", "a TensorFlow SavedModel", saved_model, ("tensorflow",))
refused("orbax", "An Orbax step (its names only).", "7", "an Orbax checkpoint", orbax)
refused("safetensors_index", "The index of sharded safetensors.", "x.json", "the index of sharded safetensors",
        content("x.json", json.dumps(index).encode()))  # fmt: skip
refused("model_config", "model.to_json().", "model.json", "the configuration of a Keras model",
        content("model.json", json.dumps(config).encode()))  # fmt: skip
refused("config_keras", "The folder of Keras 2.10's prototype.", "x", "Keras 2.10's prototype", prototype)
