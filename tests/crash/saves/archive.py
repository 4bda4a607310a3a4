"""A .keras file: JSON, weights and an asset in a zip."""

from kio import formats
from kio.contents import Contents, value_of
from kio.formats.target import Options, Target
from tests.crash.saves import weights

TARGET = "a.keras"
ZIPPED = True


def save(path, version):
    contents = Contents(
        tensors={name: value_of(name, array) for name, array in weights.tensors(version).items()},
        config='{"class_name": "Functional"}',
        metadata={"keras_version": "3.15.1"},
        assets={"layers/lookup/vocabulary.txt": version.encode()},
    )
    create = formats.format_named("keras_archive").create
    create(Target(path), contents, Options(zipped=ZIPPED))
