"""What pyproject.toml cannot express: the compiled modules and their build modes.

KIO_BUILD=release (default) | debug | asan | coverage
"""

import os
import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

# mode: (compile flags, link flags).  distutils forces NDEBUG, hence -UNDEBUG.
MODES = {
    "release": (["-O3", "-g0"], []),
    "debug": (["-O0", "-g", "-UNDEBUG"], []),
    "asan": (
        ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"],
        ["-fsanitize=address,undefined"],
    ),
    "coverage": (["-O0", "-g", "-UNDEBUG", "--coverage"], ["--coverage"]),
}
mode = os.environ.get("KIO_BUILD", "release")
if mode not in MODES:
    raise SystemExit(f"KIO_BUILD: expected one of {', '.join(MODES)}, found {mode!r}")

if sys.platform == "win32":
    # /std:c11 gives <stdatomic.h> only with the experimental switch; csrc does without it.
    cflags, ldflags = (["/std:c11", "/O2"], [])
else:
    cflags, ldflags = MODES[mode]
    cflags = ["-std=c11", "-fvisibility=hidden", *cflags]

KERNELS = sorted(glob("csrc/*.c"))
HEADERS = sorted(glob("csrc/**/*.h", recursive=True))
DOOR = os.path.join("kio", "raw", "kernels.pyx")


def extension(pyx: str) -> Extension:
    # csrc is compiled once, into kio.raw.kernels; every other module cimports that one.
    door = pyx == DOOR
    return Extension(
        pyx.removesuffix(".pyx").replace(os.sep, "."),
        [pyx, *(KERNELS if door else [])],
        include_dirs=["csrc"] if door else [],
        # Without its .pyx in depends, the sdist would lose it to the generated C.
        depends=[pyx, *HEADERS] if door else [pyx],
        extra_compile_args=cflags,
        extra_link_args=ldflags,
    )


setup(
    ext_modules=cythonize(
        [extension(pyx) for pyx in sorted(glob("kio/**/*.pyx", recursive=True))],
        build_dir="build/cython",
        nthreads=0 if sys.platform == "win32" else min(os.cpu_count() or 1, 8),
        annotate=mode == "debug",
        compiler_directives={
            "language_level": 3,
            "boundscheck": mode != "release",
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "freethreading_compatible": True,
            "autotestdict": False,
            "embedsignature": False,
            # An attribute of None is an AttributeError, and not the end of the process: objects that
            # Python made without their constructor have None in every field, and callers pass it.
            "nonecheck": True,
            # Cython's own pickling made such objects.  What can travel says how (see raw/source.pyx);
            # Python refuses the rest.
            "auto_pickle": False,
        },
    ),
)
