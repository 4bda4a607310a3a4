from typing import final

@final
class GlobalHeap:
    def __new__(cls, base: int) -> GlobalHeap: ...
