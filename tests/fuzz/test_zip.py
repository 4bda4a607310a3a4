"""The zip fuzzer for a second, and every input it ever failed on."""

import random

import pytest

from tests.fuzz import fuzz_zip


def test_seeds():
    assert all(fuzz_zip.check(data) for data in fuzz_zip.SEEDS)


def test_some_mutations():
    dice = random.Random(0)
    assert any([fuzz_zip.check(fuzz_zip.mutated(dice.choice(fuzz_zip.SEEDS), dice)) for _ in range(5000)])


@pytest.mark.parametrize("path", sorted(fuzz_zip.REGRESSIONS.glob("*")), ids=lambda path: path.name)
def test_regressions(path):
    fuzz_zip.check(path.read_bytes())
