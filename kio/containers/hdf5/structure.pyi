from typing import final

from kio.raw.source import Image

def verify_checksums(on: bool) -> bool: ...

@final
class Ranges: ...

@final
class Structure:
    @property
    def image(self) -> Image: ...
    @property
    def name(self) -> str: ...
    @property
    def limits(self) -> object: ...
