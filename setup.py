"""What pyproject.toml cannot express: the compiled modules and their build modes.

KIO_BUILD=release (default) | debug | asan | coverage
"""

import os
import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# mode: (compile flags, link flags).  distutils forces NDEBUG, hence -UNDEBUG.
MODES = {
    "release": (["-g0"], []),
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
    cflags, ldflags = (["/std:c11"], [])
else:
    cflags, ldflags = MODES[mode]
    cflags = ["-std=c11", "-fvisibility=hidden", *cflags]

KERNELS = sorted(glob("csrc/*.c"))
HEADERS = sorted(glob("csrc/**/*.h", recursive=True))
DOOR = os.path.join("kio", "raw", "kernels.pyx")
# What moves payload.  Everything else asks Python for most of what it does, where -O3 is no faster than -O2; -O1
# saves the compiler five seconds more, and opening 10,000 tensors takes a tenth longer.
MOVERS = {DOOR, *(os.path.join("kio", "raw", f"{name}.pyx") for name in ("jobs", "transfer", "transfer_out"))}
# What Cython would write into each module that uses it, memoryviews above all, is compiled once.
SHARED = "kio.raw._cython"
CORES = 1 if sys.platform == "win32" else os.cpu_count() or 1


def optimised(hot: bool) -> list[str]:
    """The compiler's flags for a module."""
    if sys.platform == "win32":
        return [*cflags, "/O2"]
    if mode != "release":
        return cflags
    return [*cflags, "-O3" if hot else "-O2"]


def extension(pyx: str) -> Extension:
    # csrc is compiled once, into kio.raw.kernels; every other module cimports that one.
    door = pyx == DOOR
    return Extension(
        pyx.removesuffix(".pyx").replace(os.sep, "."),
        [pyx, *(KERNELS if door else [])],
        include_dirs=["csrc"] if door else [],
        # Without its .pyx in depends, the sdist would lose it to the generated C.
        depends=[pyx, *HEADERS] if door else [pyx],
        extra_compile_args=optimised(pyx in MOVERS),
        extra_link_args=ldflags,
    )


class Parallel(build_ext):
    """As many compilers as cores, also where nobody can say -j: pip builds so."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            self.parallel = CORES


setup(
    cmdclass={"build_ext": Parallel},
    ext_modules=cythonize(
        [
            Extension(SHARED, [], extra_compile_args=optimised(False), extra_link_args=ldflags),
            *(extension(pyx) for pyx in sorted(glob("kio/**/*.pyx", recursive=True))),
        ],
        build_dir="build/cython",
        nthreads=0 if CORES == 1 else min(CORES, 8),
        shared_utility_qualified_name=SHARED,
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
