from typing import final

@final
class Pipeline:
    """Filters in the order in which they were applied."""

    @property
    def problem(self) -> str | None: ...
