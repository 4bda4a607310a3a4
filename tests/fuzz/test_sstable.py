"""The SSTable fuzzer for a second, and every input it ever failed on."""

import random

from tests.fuzz import fuzz_sstable


def test_seeds():
    assert all(fuzz_sstable.check(data) for data in fuzz_sstable.SEEDS)


def test_some_mutations():
    dice = random.Random(0)
    taken = sum(fuzz_sstable.check(fuzz_sstable.mutated(dice.choice(fuzz_sstable.SEEDS), dice)) for _ in range(2000))
    assert 0 < taken < 1000


def test_regressions():
    for path in sorted(fuzz_sstable.REGRESSIONS.glob("*")):
        fuzz_sstable.check(path.read_bytes())
