"""The benchmark suite: what it measures and how is in README.md beside this file."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "out"  # git-ignored: model files and results
