# The links of a group; for cimport only.

from typing import final

@final
class Links: ...
