from kio.raw.source import Origins

class Jobs(Origins):
    def __new__(cls) -> Jobs: ...

class Span:
    def __new__(cls) -> Span: ...

class Region:
    def __new__(cls) -> Region: ...
