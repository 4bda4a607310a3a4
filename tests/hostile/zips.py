"""Where each field of a zip lies, written without kio, so that attacks can name what they change."""

import io
import zipfile
import zlib

# The fields of each record after its signature: name and width, in file order.
LOCAL = {"version": 2, "flags": 2, "method": 2, "time": 2, "date": 2, "crc": 4}
LOCAL |= {"nbytes_stored": 4, "nbytes": 4, "name_nbytes": 2, "extra_nbytes": 2}
CENTRAL = {"made_by": 2, **LOCAL, "comment_nbytes": 2, "disk": 2, "internal": 2, "external": 4, "offset": 4}
END = {"disk": 2, "start_disk": 2, "disk_count": 2, "count": 2, "nbytes": 4, "offset": 4, "comment_nbytes": 2}
END64 = {"nbytes": 8, "made_by": 2, "version": 2, "disk": 4, "start_disk": 4, "disk_count": 8, "count": 8}
END64 |= {"directory_nbytes": 8, "directory": 8}
LOCATOR = {"disk": 4, "start": 8, "disks": 4}


def pack(signature, table, values):
    """A record; fields that ``values`` lacks are 0."""
    return signature + b"".join(values.get(name, 0).to_bytes(width, "little") for name, width in table.items())


def number(data, at, width):
    return int.from_bytes(data[at : at + width], "little")


def fields(data):
    """``{"local0.crc": (offset, width), …}`` of a good archive without comment and zip64."""
    found = {}

    def record(name, at, table):
        found[f"{name}.signature"] = (at, 4)
        at += 4
        for field, width in table.items():
            found[f"{name}.{field}"] = (at, width)
            at += width
        return at

    def value(name):
        return number(data, *found[name])

    record("end", len(data) - 22, END)
    at = value("end.offset")
    for k in range(value("end.count")):
        central, local = f"central{k}", f"local{k}"
        at = record(central, at, CENTRAL)
        found[f"{central}.name"] = (at, value(f"{central}.name_nbytes"))
        start = record(local, value(f"{central}.offset"), LOCAL)
        found[f"{local}.name"] = (start, value(f"{local}.name_nbytes"))
        start += value(f"{local}.name_nbytes") + value(f"{local}.extra_nbytes")
        found[f"data{k}"] = (start, value(f"{central}.nbytes_stored"))
        at += sum(value(f"{central}.{part}_nbytes") for part in ("name", "extra", "comment"))
    return found


def patch(data, **values):
    """A copy with fields replaced; ``local0__crc=5`` means field ``local0.crc``."""
    where, out = fields(data), bytearray(data)
    for key, value in values.items():
        at, width = where[key.replace("__", ".")]
        out[at : at + width] = value if isinstance(value, bytes) else value.to_bytes(width, "little")
    return bytes(out)


def rename(data, member, name):
    """A copy with both names of a member replaced by one of the same length."""
    return patch(data, **{f"local{member}__name": name, f"central{member}__name": name})


class Unseekable(io.RawIOBase):
    """A pipe: zipfile then writes data descriptors."""

    def __init__(self):
        self._out = io.BytesIO()

    def writable(self):
        return True

    def write(self, data):
        return self._out.write(data)

    def getvalue(self):
        return self._out.getvalue()


def archive(members, method=zipfile.ZIP_STORED, seekable=True):
    """An archive of ``{name: bytes}`` as Python's zipfile writes it."""
    out = io.BytesIO() if seekable else Unseekable()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, content in members.items():
            z.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def raw(members, *, prefix=b""):
    """An archive put together from ``(name, data, local overrides, central overrides)``.

    Sizes, CRC and offsets are right unless overridden.  ``extra`` and ``comment`` are bytes; so is ``after``,
    which follows the data.
    """
    out, entries = bytearray(prefix), []
    for name, data, local, central in members:
        facts = {"version": 20, "made_by": 0x0314, "date": 33, "crc": zlib.crc32(data), "offset": len(out)}
        facts |= {"nbytes_stored": len(data), "nbytes": len(data), "name_nbytes": len(name)}
        one, two = ({"extra": b"", "comment": b"", "after": b"", **facts, **given} for given in (local, central))
        for values in (one, two):
            values |= {"extra_nbytes": len(values["extra"]), "comment_nbytes": len(values["comment"])}
        out += pack(b"PK\3\4", LOCAL, one) + name + one["extra"] + data + one["after"]
        entries.append(pack(b"PK\1\2", CENTRAL, two) + name + two["extra"] + two["comment"])
    directory = b"".join(entries)
    return bytes(out) + directory + end(len(entries), len(directory), len(out))


def end(count, nbytes, offset):
    return pack(b"PK\5\6", END, {"disk_count": count, "count": count, "nbytes": nbytes, "offset": offset})


def zip64(data, *, record=(), locator=(), **ends):
    """A good archive with a zip64 end record and locator, in which each number can be made to lie."""
    at, count = fields(data)["central0.signature"][0], number(data, *fields(data)["end.count"])
    numbers = {"nbytes": 44, "made_by": 45, "version": 45, "disk_count": count, "count": count}
    numbers |= {"directory_nbytes": len(data) - 22 - at, "directory": at, **dict(record)}
    place = {"start": len(data) - 22, "disks": 1, **dict(locator)}
    return data[:-22] + pack(b"PK\6\6", END64, numbers) + pack(b"PK\6\7", LOCATOR, place) + patch(data, **ends)[-22:]
