"""Two rows of layers of different length: which is which, going by order.

Layers pair in their order, each with one that it fits.  Of several ways to pair as many as
possible the leftmost is taken: the first that fits.  Whether it is the only one is told, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kio.errors import shown

_CELLS = 1_000_000  # comparisons; longer rows are paired from the front
_LISTED = 4


def align(n: int, m: int, fits: Callable[[int, int], bool]) -> tuple[dict[int, int], bool]:
    """Pair as many of ``n`` with ``m`` as their order allows.

    Args:
        n, m: Lengths of the two rows.
        fits: Whether two places may be paired.

    Returns:
        Places of the second row by those of the first; and whether no other pairing has as many.
    """
    if n * m > _CELLS:
        return {i: i for i in range(min(n, m)) if fits(i, i)}, False
    good = [[fits(i, j) for j in range(m)] for i in range(n)]
    # By the places from which rows go on: how many pairs they allow, and in how many ways.
    most = [[0] * (m + 1) for _ in range(n + 1)]
    ways = [1] * (m + 1)
    for i in range(n - 1, -1, -1):
        below, here = most[i + 1], most[i]
        fresh = [1] * (m + 1)
        for j in range(m - 1, -1, -1):
            paired = below[j + 1] + 1 if good[i][j] else 0
            best = here[j] = max(below[j], here[j + 1], paired)
            if best:
                # Leaving out both places is counted with either.
                fresh[j] = (
                    (paired == best) * ways[j + 1]
                    + (below[j] == best) * ways[j]
                    + (here[j + 1] == best) * fresh[j + 1]
                    - (below[j + 1] == best) * ways[j + 1]
                )
        ways = fresh
    pairs: dict[int, int] = {}
    i = j = 0
    while i < n and j < m:
        if good[i][j] and most[i][j] == most[i + 1][j + 1] + 1:
            pairs[i] = j
            i, j = i + 1, j + 1
        elif most[i][j + 1] == most[i][j]:
            j += 1
        else:
            i += 1
    return pairs, ways[0] == 1


def told(mine: Sequence[str], theirs: Sequence[str], pairs: dict[int, int]) -> str:
    """A pairing for people: ``"dense_1 <- dense; the file's dense_1 is not used"``."""
    rows = [f"{shown(mine[i])} <- {shown(theirs[j])}" for i, j in pairs.items()]
    missing = [shown(mine[i]) for i in range(len(mine)) if i not in pairs]
    used = set(pairs.values())
    unused = [shown(theirs[j]) for j in range(len(theirs)) if j not in used]
    text = _some(rows) if rows else "nothing fits"
    if missing:
        text += f"; missing {_some(missing)}"
    if unused:
        text += f"; the file's {_some(unused)} not used"
    return text


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
