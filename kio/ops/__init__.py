"""TensorFlow's operations on ``keras.ops``: one table, for every backend.

    FUNCTIONS["math.add"]      by the name in TensorFlow's API, which models of tf.keras hold
    NODES["AddV2"]             by the name of a node in TensorFlow's graphs

``table`` says what a row is, ``stock`` what operation of Keras's own stands for a call, ``specs``
what shape comes out where a symbolic call cannot tell; all other modules are rows by subject.
"""

from __future__ import annotations

# Their rows enter the table.
from kio.ops import arrays, elementwise, images, linalg, losses, nn, reductions, shapes, windows  # noqa: F401
from kio.ops.table import FUNCTIONS, NODES, Node, Row, node

__all__ = ["FUNCTIONS", "NODES", "Node", "Row", "node"]
