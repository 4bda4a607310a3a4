"""Archives of a corpus are frozen: what a writer adds later goes into a new archive beside them.

``<writer>.zip`` is the first, ``<writer>+2.zip`` the second.  A repository stores each version of an archive whole,
so an archive that is packed again costs its full size.  ``frozen.json`` has the SHA-256 of each;
``python tests/corpus/frozen.py`` adds those that are new.  Never imports kio.
"""

import hashlib
import json
from pathlib import Path

HERE = Path(__file__).parent
LIST = HERE / "frozen.json"
SUFFIXES = (".zip", ".npz", ".json.gz")
# Below one of these, each case has files of its own.
FOLDERS = ("legacy", "masks", "old_layers", "theano")


def writer_of(path):
    """The writer of an archive: ``tf-2.15.1+2.zip`` → ``"tf-2.15.1"``."""
    name = Path(path).name
    suffix = next(each for each in SUFFIXES if name.endswith(each))
    return name.removesuffix(suffix).partition("+")[0]


def archives(folder, writer, suffix=".zip"):
    """The archives of one writer, the oldest first."""
    found = [path for path in Path(folder).glob(f"{writer}*{suffix}") if writer_of(path) == writer]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def following(folder, writer):
    """The stem of the next archive of a writer, which is not there yet."""
    number = 1 + max((len(archives(folder, writer, suffix)) for suffix in SUFFIXES), default=0)
    return writer if number == 1 else f"{writer}+{number}"


def found():
    """The archives that are here, with their SHA-256."""
    paths = [p for each in FOLDERS for p in sorted((HERE / each).iterdir()) if p.name.endswith(SUFFIXES)]
    return {p.relative_to(HERE).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def main():
    listed = json.loads(LIST.read_text(encoding="utf-8")) if LIST.exists() else {}
    LIST.write_text(json.dumps({**found(), **listed}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
