"""Keras picks its backend at import: the environment decides, else the lightest that trains."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
