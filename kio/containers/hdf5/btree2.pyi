# Version 2 B-trees; for cimport only.

from typing import final

@final
class Records: ...
