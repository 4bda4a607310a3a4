"""The TensorFlow checkpoint fuzzer for a second, and every input it ever failed on."""

import random

from tests.fuzz import fuzz_bundle


def test_seeds():
    assert all(fuzz_bundle.check(data) for data in fuzz_bundle.SEEDS)


def test_some_mutations():
    dice = random.Random(0)
    taken = sum(fuzz_bundle.check(fuzz_bundle.mutated(dice.choice(fuzz_bundle.SEEDS), dice)) for _ in range(2000))
    assert 0 < taken < 1000


def test_regressions():
    for path in sorted(fuzz_bundle.REGRESSIONS.glob("*")):
        fuzz_bundle.check(path.read_bytes())
