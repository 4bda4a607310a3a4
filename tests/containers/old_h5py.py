"""Run by the interpreter of another h5py: does it read a file of kio's, and edit it?

    python old_h5py.py FILE EXPECTED.npz

Prints the versions.  Knows nothing of kio or of pytest; any h5py from 2.10 on will do.
"""

import os
import shutil
import sys

import h5py
import numpy as np

path, expected = sys.argv[1], dict(np.load(sys.argv[2]))
edited = path + ".edited"


def check(file, but=()):
    """Every dataset that should be there is, byte for byte."""
    found = []
    file.visititems(lambda name, it: found.append(name) if isinstance(it, h5py.Dataset) else None)
    wanted = [name for name in expected if not name.startswith(tuple(but))]
    assert set(wanted) <= set(found), set(wanted) - set(found)
    for name in wanted:
        array = np.asarray(file[name][()])
        assert array.tobytes() == expected[name].tobytes() and array.shape == expected[name].shape, name


def nothing(file):
    pass


def attributes(file):
    for name in [*file, "/", "layers/dense_0/vars/0", "empty/inside"]:
        file[name].attrs["new"] = "value"
    file["layers/dense_1/vars"].attrs["name"] = "other"
    file["layers/dense_1/vars"].attrs["names"] = np.arange(500)
    del file["layers/dense_2/vars"].attrs["name"]


def add(file):
    for k in range(100):
        file[f"layers/dense_0/vars/n{k}"] = np.arange(k)
    file["empty/inside/x/y/z"] = np.arange(3)
    file["top"] = 1


def delete(file):
    del file["all"]
    del file["layers/dense_3"]
    for k in range(0, 300, 2):
        del file[f"many/{k}"]
    file["all/again"] = 3


def rename(file):
    file.move("layers/dense_3", "layers/moved")


def change(file):
    file["layers/dense_3/vars/0"][...] = 7


with h5py.File(path, "r") as file:
    check(file)
    assert file["layers/dense_1/vars"].attrs["name"] in ("drei ü", b"drei \xc3\xbc")
    assert len(file.attrs["long"]) == 100000 and list(file["empty"]) == ["inside"]

gone = {delete: ["all", "layers/dense_3", "many"], rename: ["layers/dense_3"], change: ["layers/dense_3"]}
for edit in (nothing, attributes, add, delete, rename, change):
    for mode in ("r+", "a"):
        shutil.copy(path, edited)
        with h5py.File(edited, mode) as file:
            edit(file)
        with h5py.File(edited, "r") as file:
            check(file, gone.get(edit, ()))
            if edit is add:
                assert (file["layers/dense_0/vars/n99"][()] == np.arange(99)).all() and file["top"][()] == 1
            if edit is delete:
                assert sorted(file["many"]) == sorted(str(k) for k in range(1, 300, 2)) and file["all/again"][()] == 3
            if edit is rename:
                assert "layers/moved/vars/0" in file
        # An edited file has no table of checksums: not even a wrong one.
        with open(edited, "rb") as raw:
            assert not raw.read().endswith(b"kio-sums")
        os.remove(edited)
print(h5py.version.version, h5py.version.hdf5_version)
