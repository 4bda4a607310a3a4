"""The zip fuzzer for a second, and every input it ever failed on."""

import random

from tests.fuzz import fuzz_zip


def test_seeds():
    assert all(fuzz_zip.check(data) for data in fuzz_zip.SEEDS)


def test_some_mutations():
    dice = random.Random(0)
    taken = sum(fuzz_zip.check(fuzz_zip.mutated(dice.choice(fuzz_zip.SEEDS), dice)) for _ in range(5000))
    assert 0 < taken < 1000


def test_regressions():
    for path in sorted(fuzz_zip.REGRESSIONS.glob("*")):
        fuzz_zip.check(path.read_bytes())
