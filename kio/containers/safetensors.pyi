from kio.limits import Limits
from kio.raw.source import Source
from kio.raw.tensor import Index

def open(source: Source, limits: Limits = ...) -> tuple[Index, dict[str, str]]: ...
