"""Names side by side in legacy HDF5, however many are equal."""

from __future__ import annotations

import pytest

from kio.mapping.h5.names import distinct


def test_equal_names_are_numbered() -> None:
    assert distinct(["a", "a", "a"]) == ["a", "a_1", "a_2"]
    # Not what another has by itself, nor what is a group.
    assert distinct(["a", "a_1", "a", "a", "a_3/b"]) == ["a", "a_1", "a_2", "a_4", "a_3/b"]
    assert distinct(["a", "a", "a"], reserved=["a", "a_2"]) == ["a_1", "a_3", "a_4"]


@pytest.mark.timeout(20)
def test_time_is_linear_in_equal_names() -> None:
    found = distinct(["kernel"] * 60_000)
    assert found[-1] == "kernel_59999" and len(set(found)) == 60_000
