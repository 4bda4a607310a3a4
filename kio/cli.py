"""The ``kio`` command.

Exit codes: 0 all is well, 1 a problem was found, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import re
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from kio import api, optional
from kio.checkpoint import Checkpoint, nbytes_of
from kio.errors import KioError, LimitError, MissingDependencyError
from kio.limits import Limits
from kio.raw import codecs

# What only the JSON shows in full.
_LONG = frozenset({"metadata: training_config"})
_SLICE = re.compile(r"(?P<name>.*?)(?:\[(?P<slice>[-\d:,.\s]*)\])?", re.DOTALL)


def size(nbytes: int) -> str:
    """``nbytes`` for people: ``"1.5 MiB"``."""
    amount = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _print(as_json: bool, value: Any, text: str) -> None:
    print(json.dumps(value, indent=1, default=_without_json) if as_json else text)


def _without_json(value: Any) -> Any:
    """What JSON has no type for: bytes without a number as hexadecimal digits, a complex number as two."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(f"no JSON for {type(value).__name__}")


def _size_of(row: dict[str, Any]) -> str:
    return size(row["nbytes"]) if "problem" not in row else "-"


def _compression(text: str) -> str:
    """What ``compression=`` takes."""
    if codecs.of_option(text) is None:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(codecs.options())}, found {text!r}")
    return text


def _limit(text: str) -> tuple[str, int]:
    """``"tensor_bytes=2TB"`` as a field of ``Limits`` and its value."""
    name, _, amount = text.partition("=")
    known = [field.name for field in dataclasses.fields(Limits)]
    if name not in known:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(known)}, found {name!r}")
    try:
        return name, nbytes_of(amount)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(**dict(args.limit))


def ls(args: argparse.Namespace) -> int:
    """List the tensors."""
    with api.open(args.file, limits=_limits(args)) as ckpt:
        rows: list[dict[str, Any]] = [
            {"name": t.name, "shape": list(t.shape)}
            | ({"problem": t.problem} if t.problem else {"dtype": t.dtype_name, "nbytes": t.nbytes})
            for t in ckpt.values()
        ]
    width = max((len(row["name"]) for row in rows), default=0)
    text = "\n".join(
        f"{row['name']:{width}}  {row.get('dtype', '-'):14} {row['shape']!s:20} {_size_of(row):>10}"
        + (f"  not read: {row['problem']}" if "problem" in row else "")
        for row in rows
    )
    _print(args.json, rows, text)
    return 0


def _model_summary(ckpt: Checkpoint) -> dict[str, Any]:
    """Class, name and number of layers of a model configuration, without building it."""
    from kio.models.builder.config_text import check_text, recursion

    if ckpt.config is None:
        return {}
    check_text(ckpt.config, ckpt.limits)
    with recursion():
        parsed = json.loads(ckpt.config)
    inner = parsed.get("config") if isinstance(parsed, dict) else None
    layers = inner.get("layers", []) if isinstance(inner, dict) else inner or []
    out = {"model class": parsed.get("class_name"), "layers": len(layers)}
    if isinstance(inner, dict):
        out["model name"] = inner.get("name")
    if isinstance(parsed.get("compile_config"), dict):
        optimizer = parsed["compile_config"].get("optimizer")
        out["optimizer"] = optimizer.get("class_name") if isinstance(optimizer, dict) else optimizer
    return out


def _legacy(ckpt: Checkpoint) -> dict[str, Any]:
    """Writer of the file, and what loading its model takes today."""
    from kio.models.info import backend, upgrades, writer

    facts: dict[str, Any] = {"written by": writer(ckpt)}
    try:
        facts["backend"] = backend(ckpt)
    except KioError as error:
        facts["backend"] = f"not known: {error}"
    if ckpt.config is None or str(ckpt.metadata.get("keras_version", "")).startswith("3."):
        return facts
    optional.suggest_backend(optional.LOOKS)
    try:
        with optional.needed("kio info"):
            facts |= upgrades(ckpt)
    except MissingDependencyError as error:
        # The rest of the file is worth showing.
        facts["upgrades"] = {f"not known: {error}": 1}
    return facts


def _facts(ckpt: Checkpoint) -> dict[str, Any]:
    tensors = list(ckpt.values())
    dtypes: collections.Counter[str] = collections.Counter()
    for t in tensors:
        if t.problem is None:
            dtypes[t.dtype_name] += t.nbytes
    return {
        "file": ckpt.name,
        "format": ckpt.format,
        "layout": ckpt.layout,
        **{f"metadata: {k}": v for k, v in ckpt.metadata.items()},
        **_model_summary(ckpt),
        **_legacy(ckpt),
        "tensors": len(tensors),
        "nbytes": sum(t.nbytes for t in tensors if t.problem is None),
        "nbytes stored": sum(t.nbytes_stored for t in tensors if t.problem is None),
        "dtypes": dict(dtypes),
        "assets": list(ckpt.assets),
        "not read": [f"{name}: {why}" for name, why in ckpt.unread.items()],
    }


def info(args: argparse.Namespace) -> int:
    """Show format, writer, sizes and the model in short."""
    with api.open(args.file, limits=_limits(args)) as ckpt:
        facts = _facts(ckpt)
    shown = {
        k: size(v)
        if k.startswith("nbytes")
        else ", ".join(f"{d} {size(n)}" for d, n in v.items())
        if k == "dtypes"
        else ", ".join(f"{name} ({n})" if n > 1 else name for name, n in v.items())
        if k == "upgrades"
        else ", ".join(v)
        if k in ("assets", "needs", "not read")
        else v
        for k, v in facts.items()
    }
    lines = [f"{k:24} {v}" for k, v in shown.items() if v not in (None, "") and k not in _LONG]
    _print(args.json, facts, "\n".join(lines))
    return 0


def _key(text: str) -> Any:
    """``"3:5,0"`` as the index NumPy takes."""
    parts: list[Any] = []
    for part in text.split(","):
        part = part.strip()
        if part == "...":
            parts.append(...)
        elif ":" in part:
            parts.append(slice(*[int(p) if p.strip() else None for p in part.split(":")]))
        elif part:
            parts.append(int(part))
    return tuple(parts)


def _text_of(value: Any) -> Any:
    """Text of files as JSON has it; what is no UTF-8 is shown in escapes."""
    if isinstance(value, list):
        return [_text_of(each) for each in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def cat(args: argparse.Namespace) -> int:
    """Print a tensor, or a slice of it."""
    import numpy as np

    with api.open(args.file, limits=_limits(args)) as ckpt:
        name, key = args.name, None
        if name not in ckpt:
            match = _SLICE.fullmatch(name)
            if match and match["slice"] is not None:
                name, key = match["name"], _key(match["slice"])
        if name not in ckpt:
            near = get_close_matches(name, ckpt, n=3)
            hint = f"nearest: {', '.join(near)}; " if near else ""
            print(f"kio: no tensor {name!r}; {hint}`kio ls {args.file}` lists them", file=sys.stderr)
            return 1
        array = np.asarray(ckpt[name] if key is None else ckpt[name][key])
    threshold = sys.maxsize if args.all else 1000
    value = array.tolist()
    # Bytes of a type that NumPy lacks are no text.
    _print(
        args.json,
        _text_of(value) if array.dtype.kind in "SO" else value,
        np.array2string(array, threshold=threshold),
    )
    return 0


def verify(args: argparse.Namespace) -> int:
    """Check structure, bounds and every checksum of files."""
    reports = [api.verify(file, limits=_limits(args)) for file in args.files]
    value = [
        {
            "file": r.source,
            "ok": r.ok,
            "format": r.format,
            "tensors": r.tensors,
            "nbytes": r.nbytes,
            "checksums": list(r.checksums),
            "problems": r.problems,
            "verdict": r.verdict,
            "unread": r.unread,
            "refused": r.refused,
        }
        for r in reports
    ]
    _print(args.json, value, "\n".join(str(report) for report in reports))
    return 0 if all(reports) else 1


def diff(args: argparse.Namespace) -> int:
    """Compare the tensors of two files."""
    report = api.diff(args.a, args.b, limits=_limits(args))
    value = {
        "only_a": report.only_a,
        "only_b": report.only_b,
        "different": [
            {
                "name": d.name,
                "what": d.what,
                "a": d.a,
                "b": d.b,
                "nelems": d.nelems,
                "max_abs": d.max_abs,
                "max_ulp": d.max_ulp,
            }
            for d in report.different
        ],
        "equal": report.equal,
        "unread": report.unread,
    }
    _print(args.json, value, str(report))
    return 0 if report else 1


def convert(args: argparse.Namespace) -> int:
    """Write what a file holds into another format."""
    from kio import writing

    optional.suggest_backend(optional.LOOKS)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        result = writing.convert(
            args.src,
            args.dst,
            format=args.format,
            dtype=args.dtype,
            compression=args.compression,
            zipped=not args.folder,
            max_shard_size=args.max_shard_size,
            overwrite=not args.keep,
            compat=args.compat,
            original_backend=args.original_backend,
            unsupported=args.unsupported,
            limits=_limits(args),
        )
    notes = [str(each.message) for each in said if issubclass(each.category, UserWarning)]
    value = {
        "path": result.path,
        "format": result.format,
        "nbytes": result.nbytes,
        "seconds": result.seconds,
        "needs": [f"kio.layers.{name}" for name in result.needs],
        "notes": notes,
    }
    _print(args.json, value, "\n".join([str(result), *(f"  note: {note}" for note in notes)]))
    return 0


def plan(args: argparse.Namespace) -> int:
    """Show which variable of a model gets which tensor of a file."""
    optional.choose_backend("kio plan", optional.LOOKS)
    from kio.models.builder import deferred
    from kio.models.eras.era import Era

    limits = _limits(args)
    found: list[Any] = []

    def match(model: Any) -> None:
        found.append(
            api.plan(model, args.file, partial=args.partial, original_backend=args.original_backend, limits=limits)
        )

    # The model's own weights do not matter here: only its configuration is built.
    with api.open(args.model, limits=limits) as ckpt:
        if ckpt.config is None:
            print(f"kio: {args.model} holds no model configuration", file=sys.stderr)
            return 2
        stored = sum(tensor.nbytes for tensor in ckpt.values())
        deferred.build_and_fill(ckpt.config, match, era=Era.of(ckpt.metadata), nbytes_stored=stored, limits=limits)
    _print(args.json, found[0].as_dict(), str(found[0]))
    return 0 if found[0].fits else 1


def demo(args: argparse.Namespace) -> int:
    """Build a real Keras model, load it stock and with kio, compare."""
    from kio import demo

    return demo.main()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="kio", description="Look into, check, compare and convert weight files.")
    commands = top.add_subparsers(dest="command", required=True)

    def command(run: Any, *arguments: str, reads: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        for argument in arguments:
            sub.add_argument(argument, nargs="+" if argument == "files" else None)
        if reads:
            sub.add_argument("--json", action="store_true", help="print JSON")
            sub.add_argument(
                "--limit",
                action="append",
                type=_limit,
                default=[],
                metavar="NAME=N",
                help="another cap on what a file may ask for, as an error names it; may be given several times",
            )
        sub.set_defaults(run=run)
        return sub

    command(ls, "file")
    command(info, "file")
    command(cat, "file", "name").add_argument("--all", action="store_true", help="print every element")
    command(verify, "files")
    command(diff, "a", "b")
    converts = command(convert, "src", "dst")
    converts.add_argument("--format", help="format to write, whatever the suffix of DST")
    converts.add_argument("--dtype", help="what floats become: float16, bfloat16, float32, …")
    converts.add_argument("--compression", type=_compression, help="of the tensors in HDF5 files")
    converts.add_argument("--max-shard-size", type=float, metavar="GIB", help="write shards of at most so much")
    converts.add_argument("--folder", action="store_true", help="write a model as a folder")
    converts.add_argument("--compat", metavar="VERSION", help="Keras that shall read a model of an older one: 3.4, …")
    converts.add_argument(
        "--unsupported",
        choices=["refuse", "skip"],
        default="refuse",
        help="what becomes of tensors that kio cannot write (text, compound types, …): refuse is the default",
    )
    converts.add_argument("--keep", action="store_true", help="refuse to overwrite DST")
    plans = command(plan, "file")
    plans.add_argument("--model", required=True, help="a file with the model's configuration")
    plans.add_argument("--partial", action="store_true", help="layers of FILE may stay unused")
    for each in (converts, plans):
        each.add_argument(
            "--original-backend",
            choices=["theano", "tensorflow", "cntk"],
            help="what a legacy file was written on, whatever it says itself",
        )
    command(demo, reads=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``kio`` command; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        with optional.needed(f"kio {args.command}"):
            code: int = args.run(args)
        return code
    except BrokenPipeError:
        # The reader of a pipe has seen enough; Python would complain once more at exit.
        sys.stderr.close()
        return 0
    except (KioError, OSError) as e:
        here = f"; here: --limit {e.field}=…" if isinstance(e, LimitError) else ""
        print(f"kio: {e}{here}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
