"""The files of a .keras archive in a folder of their own."""

from tests.crash.saves import archive

TARGET = "model"


def save(path, version):
    archive.ZIPPED = False
    archive.save(path, version)
