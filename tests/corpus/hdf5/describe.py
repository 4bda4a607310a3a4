"""What h5py reads from an HDF5 file, as JSON: the truth the corpus is tested against.

Links are walked one by one, and soft, external and user-defined links are never followed.
"""

import contextlib
import hashlib

import h5py
import numpy as np
from h5py import h5d, h5l, h5o, h5t

with contextlib.suppress(ImportError):
    import hdf5plugin  # noqa: F401  lets h5py read the filters of plugins

CLASSES = {
    getattr(h5t, name): name.lower()
    for name in (
        "INTEGER",
        "FLOAT",
        "TIME",
        "STRING",
        "BITFIELD",
        "OPAQUE",
        "COMPOUND",
        "REFERENCE",
        "ENUM",
        "VLEN",
        "ARRAY",
    )
}
LAYOUTS = {
    h5d.COMPACT: "compact",
    h5d.CONTIGUOUS: "contiguous",
    h5d.CHUNKED: "chunked",
    h5d.VIRTUAL: "virtual",
}
IEEE = {
    order + name: getattr(h5t, f"IEEE_F{8 * int(name[1])}{end}")
    for order, end in (("<", "LE"), (">", "BE"))
    for name in ("f2", "f4", "f8")
}
PADDINGS = {h5t.STR_NULLTERM: "null_term", h5t.STR_NULLPAD: "null_pad", h5t.STR_SPACEPAD: "space_pad"}
ORDERS = {h5t.ORDER_LE: "little", h5t.ORDER_BE: "big"}

# Beyond this a dataset is not read: it is a bomb that the description must not step on.
READ_LIMIT = 1 << 24


def told(error):
    return f"{type(error).__name__}: {str(error)[:200]}"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def text(name):
    return name.decode("utf-8", "surrogateescape")


def printable(name):
    """A path as text that JSON can hold: undecodable bytes as \\xNN; a very long one cut, with a digest."""
    if len(name) > 900:
        return name[:40] + "…" + sha256(name.encode("utf-8", "surrogateescape"))
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# ---- types ---------------------------------------------------------------------------------------------


def stored_type(filetype):
    """The type as it is in the file: NumPy's short name for a plain number, else its parts."""
    kind = CLASSES.get(filetype.get_class(), str(filetype.get_class()))
    record = {"class": kind, "size": filetype.get_size()}
    if kind in ("integer", "float"):
        record["order"] = ORDERS.get(filetype.get_order(), str(filetype.get_order()))
        record["precision"], record["offset"] = filetype.get_precision(), filetype.get_offset()
        plain_bits = record["precision"] == 8 * record["size"] and record["offset"] == 0
    if kind == "integer":
        record["signed"] = filetype.get_sign() == h5t.SGN_2
        if plain_bits and record["size"] in (1, 2, 4, 8) and record["order"] in ("little", "big"):
            name = "{}{}".format("i" if record["signed"] else "u", record["size"])
            return np.dtype((">" if record["order"] == "big" else "<") + name).str
    if kind == "float":
        record["fields"], record["bias"] = list(filetype.get_fields()), filetype.get_ebias()
        record["norm"] = "implied" if filetype.get_norm() == h5t.NORM_IMPLIED else "other"
        for name, ieee in IEEE.items():
            if filetype.equal(ieee):
                return name
    if kind == "opaque":
        record["tag"] = text(filetype.get_tag())
    if kind == "enum":
        record["base"] = stored_type(filetype.get_super())
        members = range(filetype.get_nmembers())
        record["members"] = {text(filetype.get_member_name(k)): filetype.get_member_value(k) for k in members}
    if kind == "string":
        record["vlen"] = bool(filetype.is_variable_str())
        record["utf8"] = filetype.get_cset() == h5t.CSET_UTF8
        record["padding"] = PADDINGS[filetype.get_strpad()]
    if filetype.committed():
        record["committed"] = True
    return record


def fixed_size(filetype):
    """True if the elements are their bytes: nothing in them points elsewhere."""
    kind = filetype.get_class()
    if kind == h5t.STRING:
        return not filetype.is_variable_str()
    if kind == h5t.COMPOUND:
        return all(fixed_size(filetype.get_member_type(k)) for k in range(filetype.get_nmembers()))
    if kind == h5t.ARRAY:
        return fixed_size(filetype.get_super())
    return kind not in (h5t.VLEN, h5t.REFERENCE)


# ---- values --------------------------------------------------------------------------------------------


def plain(value):
    """``value`` for JSON: text as text, bytes as text with a mark, numbers as numbers."""
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, np.ndarray):
        return (
            [plain(part) for part in value.tolist()]
            if value.dtype.kind != "O"
            else [plain(part) for part in value]
        )
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return str(value) if isinstance(value.item(), np.generic) else plain(value.item())
    return value if isinstance(value, (int, float, bool)) or value is None else str(type(value).__name__)


def as_read(value):
    """What h5py hands over: dtype, shape, digest, and the value itself if it is small."""
    if isinstance(value, h5py.Empty):
        return {"dtype": np.dtype(value.dtype).str, "shape": None}
    array = np.asarray(value)
    record = {"dtype": "bool" if array.dtype == bool else array.dtype.str, "shape": list(array.shape)}
    if array.dtype.kind != "O":
        record["sha256"] = sha256(array.tobytes())
    elif array.size > 16:
        record["sha256_of_lines"] = sha256("\n".join(str(plain(part)) for part in array.ravel()).encode())
    if array.size <= 16 and array.dtype.kind in "biufOSU":
        record["value"] = plain(array if array.shape else array[()])
    return record


def attributes(item):
    found = {}
    for name in sorted(h5py.h5a.open(item.id, index=k).name for k in range(h5py.h5a.get_num_attrs(item.id))):
        attribute = h5py.h5a.open(item.id, name)
        record = {"stored": stored_type(attribute.get_type())}
        try:
            record.update(as_read(item.attrs[text(name)]))
        except Exception as error:
            record["error"] = told(error)
        found[printable(text(name))] = record
    return found


def raw_bytes(dataset):
    """The elements as the file's type has them, filters undone."""
    filetype, space = dataset.id.get_type(), dataset.id.get_space()
    buffer = np.empty(dataset.shape, f"V{filetype.get_size()}")
    dataset.id.read(space, space, buffer, mtype=filetype)
    return buffer.tobytes()


def filters_of(dcpl):
    rows = []
    for k in range(dcpl.get_nfilters()):
        code, flags, options, name = dcpl.get_filter(k)
        rows.append({"id": code, "flags": flags, "options": list(options), "name": text(name)})
    return rows


def described_dataset(dataset):
    dcpl = dataset.id.get_create_plist()
    layout = dcpl.get_layout()
    record = {"kind": "dataset", "stored": stored_type(dataset.id.get_type()), "layout": LAYOUTS[layout]}
    record["shape"] = None if dataset.shape is None else list(dataset.shape)
    if layout == h5d.CHUNKED:
        record["chunks"] = list(dcpl.get_chunk())
        filters = filters_of(dcpl)
        if filters:
            record["filters"] = filters
        record["maximum"] = [None if m is None else m for m in dataset.maxshape]
        try:
            record["chunks_stored"] = dataset.id.get_num_chunks()
        except Exception as error:
            record["chunks_stored"] = told(error)
    if layout == h5d.CONTIGUOUS:
        if dcpl.get_external_count():
            record["external_files"] = dcpl.get_external_count()
        record["offset"] = dataset.id.get_offset()
    record["bytes_stored"] = dataset.id.get_storage_size()
    if dataset.shape is None:
        return record
    elements = int(np.prod([int(n) for n in dataset.shape], dtype=object)) if dataset.shape else 1
    if elements * dataset.id.get_type().get_size() > READ_LIMIT:
        record["unread"] = f"declares {elements} elements"
        return record
    try:
        record["read"] = as_read(dataset[()])
        if "sha256" in record["read"]:
            record["read"].pop("value", None)
    except Exception as error:
        record["error"] = told(error)
    try:
        if fixed_size(dataset.id.get_type()):
            digest = sha256(raw_bytes(dataset))
            if digest != record.get("read", {}).get("sha256"):
                record["stored_sha256"] = digest
    except Exception as error:
        record.setdefault("error", told(error))
    return record


# ---- the walk ------------------------------------------------------------------------------------------


def walk(group, path, seen, found):
    for name in sorted(group.id):
        info = group.id.links.get_info(name)
        where = printable(text((path + b"/" if path else b"") + name))
        if info.type == h5l.TYPE_SOFT:
            found[where] = {"kind": "soft link", "target": printable(text(group.id.links.get_val(name)))}
        elif info.type == h5l.TYPE_EXTERNAL:
            file, target = group.id.links.get_val(name)
            found[where] = {"kind": "external link", "file": text(file), "target": text(target)}
        elif info.type != h5l.TYPE_HARD:
            found[where] = {"kind": "user-defined link", "class": int(info.type)}
        else:
            try:
                identifier = h5o.open(group.id, name)
            except Exception as error:
                found[where] = {"error": told(error)}
                continue
            visit(identifier, (path + b"/" if path else b"") + name, where, seen, found)


def visit(identifier, path, where, seen, found):
    try:
        address = h5o.get_info(identifier).addr
    except Exception as error:
        found[where] = {"error": told(error)}
        return
    if address in seen:
        found[where] = {"kind": "alias", "of": seen[address]}
        return
    seen[address] = where
    if isinstance(identifier, h5py.h5g.GroupID):
        group = h5py.Group(identifier)
        found[where] = {"kind": "group", "attributes": attributes(group)}
        walk(group, path, seen, found)
    elif isinstance(identifier, h5d.DatasetID):
        dataset = h5py.Dataset(identifier)
        found[where] = described_dataset(dataset)
        found[where]["attributes"] = attributes(dataset)
    else:
        found[where] = {"kind": "committed type", "stored": stored_type(identifier)}


def describe(path):
    """Everything in the file at ``path``: ``{"objects": {path: record}}`` or ``{"error": …}``."""
    try:
        file = h5py.File(path, "r")
    except Exception as error:
        return {"error": told(error)}
    found = {}
    with file:
        record = {"superblock": file.id.get_create_plist().get_version()[0], "userblock": file.userblock_size}
        visit(file["/"].id, b"", "/", {}, found)
    for item in found.values():
        if not item.get("attributes", True):
            del item["attributes"]
    record["objects"] = found
    return record
