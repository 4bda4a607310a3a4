from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class Codec:
    name: str
    compressor: bool = ...

TABLE: tuple[Codec, ...]
