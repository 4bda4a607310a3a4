"""Pack what ``make.py`` wrote: ``python pack.py FOLDER …``, one folder a writer, named as the writer.

Archives are frozen (``../frozen.py``): kinds that no archive of the writer has go into a new one, and
nothing is packed where there are none.  The same files make the same archive.  Writers between others keep the kinds
of ``BETWEEN`` only.
"""

import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import frozen  # noqa: E402

WHOLE = ("tf-2.12.1", "tf-2.15.1", "tf_keras-2.21", "keras-3.0.5", "keras-3.15.1")
BETWEEN = set(
    "dense convolutions recurrent bidirectional stacked_cells attention shared nested nested_frozen shared_model time_distributed "
    "operators custom subclassed outputs_by_name normalization_adapted text_adapted lambda_layer mixed_precision "
    "opt_sgd opt_adam opt_nadam opt_ema opt_loss_scale opt_adafactor opt_accumulated opt_legacy_adam opt_legacy_rmsprop "
    "opt_legacy_loss_scale".split()
)
TOO_LARGE = {"mobilenet"}


def formats(writer, kind):
    """What is kept of a kind."""
    if writer.startswith("keras-3") and kind not in BETWEEN:
        return (".h5", ".only.h5")  # the corpus next door has .keras and .weights.h5 of all sorts of models
    return (".h5", ".keras", ".weights.h5", ".only.h5")


def packed(writer):
    """The kinds that the archives of a writer have."""
    kinds = set()
    for path in frozen.archives(HERE, writer):
        with zipfile.ZipFile(path) as archive:
            kinds |= {name.split(".")[0] for name in archive.namelist()}
    return kinds


def chosen(folder):
    """The files of a folder that are kept, of kinds that are not packed yet."""
    done = packed(folder.name)
    for path in sorted(folder.iterdir()):
        kind = path.name.split(".")[0]
        if kind in TOO_LARGE or kind in done or (folder.name not in WHOLE and kind not in BETWEEN):
            continue
        kept = formats(folder.name, kind)
        if path.suffix != ".npz" and path.name.removeprefix(kind) not in kept:
            continue
        if not any((folder / f"{kind}{suffix}").exists() for suffix in kept if suffix in (".h5", ".keras")):
            continue  # it could not write the model, for the weights to be loaded into
        yield path


def main(folders):
    for folder in map(Path, folders):
        paths = list(chosen(folder))
        if not paths:
            continue
        target = HERE / f"{frozen.following(HERE, folder.name)}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in paths:
                # A date and rights that say nothing.
                member = zipfile.ZipInfo(path.name)
                member.external_attr = 0o644 << 16
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, path.read_bytes(), compresslevel=9)
    frozen.main()


if __name__ == "__main__":
    main(sys.argv[1:])
