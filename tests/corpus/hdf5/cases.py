"""The files of the HDF5 corpus: one small function a file, ``CASES`` the table of them.

A function gets the path to write to; its docstring says what the file varies.  Everything runs under h5py
2.10 (HDF5 1.10) to 3.16 (HDF5 2.0); what a version does not have raises, and is recorded as skipped.
"""

from __future__ import annotations

import ctypes
import functools
import shutil

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def cases(**rows):
    """Add one case a row: ``name=arguments``."""

    def add(function):
        for name, arguments in rows.items():
            CASES[name] = functools.partial(function, **arguments)
            CASES[name].__doc__ = f"{function.__doc__} {arguments}"
        return function

    return add


# ---- helpers -------------------------------------------------------------------------------------------


def values(*shape, **options):
    """Values that occur once: a different start for each ``start``."""
    start, dtype = options.get("start", 0), np.dtype(options.get("dtype", "f4"))
    flat = np.arange(int(np.prod(shape)), dtype="i8") + 1 + start
    if dtype.kind == "b":
        return (flat % 3 == 0).reshape(shape)
    if dtype.kind in "iu":
        return (flat * 7 % 120).astype(dtype).reshape(shape)
    return (flat / 8).astype(dtype).reshape(shape)


def noise(*shape):
    """Values that do not compress."""
    return np.random.RandomState(5).randint(0, 1 << 32, shape, dtype="u4")


def keras_body(file, layers=2):
    """What Keras writes: a name at each ``vars`` group, numbered datasets in it."""
    for k in range(layers):
        group = file.create_group("layers/dense" + (f"_{k}" if k else "") + "/vars")
        group.attrs["name"] = f"dense_{k}"
        group["0"] = values(4, 3, start=100 * k)
        group["1"] = values(3, start=100 * k + 50)


def hdf5_library():
    """The libhdf5 that h5py has loaded, for what h5py does not expose."""
    h5py.get_config()
    with open("/proc/self/maps") as maps:
        paths = [line.split()[-1] for line in maps if "/libhdf5" in line and "_hl" not in line]
    return ctypes.CDLL(paths[0])


def call(name, *arguments):
    function = getattr(hdf5_library(), name)
    function.argtypes = None
    if function(*arguments) < 0:
        raise RuntimeError(f"{name} failed")


def hid(identifier):
    return ctypes.c_int64(identifier.id)


def new_file(path, libver="earliest", fcpl=None):
    """A file with creation properties that h5py.File has no argument for."""
    if isinstance(libver, str):
        libver = (libver, "latest")
    fapl = h5p.create(h5p.FILE_ACCESS)
    fapl.set_fclose_degree(h5f.CLOSE_STRONG)
    low = {"earliest": h5f.LIBVER_EARLIEST, "latest": h5f.LIBVER_LATEST}
    low.update(
        {v: getattr(h5f, "LIBVER_" + v.upper()) for v in ("v108", "v110") if hasattr(h5f, "LIBVER_V108")}
    )
    fapl.set_libver_bounds(low[libver[0]], low[libver[1]])
    return h5py.File(h5f.create(path.encode(), h5f.ACC_TRUNC, fcpl=fcpl, fapl=fapl))


def raw_dataset(file, name, data, filetype=None, space=None, dcpl=None):
    """Create a dataset with low-level properties and write ``data`` (None: never written) as it is."""
    filetype = filetype or h5t.py_create(data.dtype)
    space = space or h5s.create_simple(data.shape)
    dcpl = dcpl or creation()
    dcpl.set_obj_track_times(False)
    dataset = h5d.create(file.id, name if isinstance(name, bytes) else name.encode(), filetype, space, dcpl)
    if data is not None:
        dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(data), mtype=filetype)
    return dataset


def creation(**options):
    """A dataset creation property list: ``chunk=(…)``, ``layout=…``, ``alloc_time=…`` and so on."""
    dcpl = h5p.create(h5p.DATASET_CREATE)
    for name, value in options.items():
        getattr(dcpl, "set_" + name)(value)
    return dcpl


# ---- the file as a whole -------------------------------------------------------------------------------


@case
def keras_profile(path):
    """The profile of every Keras file: superblock 0, symbol tables, contiguous, vlen attributes."""
    with h5py.File(path, "w") as f:
        keras_body(f, 4)
        odd = f.create_group("vars")
        odd.attrs["name"] = "functional"
        odd["0"] = np.int32(7)
        odd["1"] = values(3, dtype="?")
        odd["2"] = values(3, 5).astype("f2").view("V2")
        odd["2"].attrs["dtype"] = "bfloat16"
        odd["10"] = np.zeros((0, 3), "f4")
        f.create_group("optimizer/vars")


LIBVERS = ("earliest", "v108", "v110", "v112", "v114", "v200", "latest")


@cases(**{"libver_" + libver: {"libver": libver} for libver in LIBVERS})
def libver(path, libver):
    """One tree under every version bound; with many links, many attributes, and chunks."""
    with h5py.File(path, "w", libver=libver) as f:
        keras_body(f)
        many = f.create_group("many")
        for k in range(12):
            many[str(k)] = np.float64(k)
        for k in range(12):
            many.attrs[f"attribute_{k}"] = k
        f.create_dataset("chunked", data=values(20, 10), chunks=(8, 4), compression="gzip", shuffle=True)
        f.create_dataset("compressed_once", data=values(20, 10), chunks=(20, 10), compression="gzip")


@case
def libver_mixed(path):
    """Old structures, extended later with the newest ones."""
    with h5py.File(path, "w") as f:
        keras_body(f)
    with h5py.File(path, "r+", libver="latest") as f:
        new = f.create_group("new")
        keras_body(new)
        f["layers/extra"] = values(5)
        for k in range(12):
            f["layers"].attrs[f"late_{k}"] = k


@cases(
    userblock_512={"size": 512, "libver": "earliest"},
    userblock_4096_latest={"size": 4096, "libver": "latest"},
    userblock_1024_zip={"size": 1024, "libver": "earliest", "content": b"PK\x03\x04"},
)
def userblock(path, size, libver, content=b"user block "):
    """A user block: the superblock is not at byte 0."""
    with h5py.File(path, "w", userblock_size=size, libver=libver) as f:
        keras_body(f)
    with open(path, "r+b") as f:
        f.write((content * size)[:size])


@case
def userblock_removed(path):
    """The user block cut off afterwards: the base address field no longer fits, libhdf5 reads it."""
    with h5py.File(path, "w", userblock_size=512) as f:
        keras_body(f)
    with open(path, "rb") as f:
        content = f.read()
    with open(path, "wb") as f:
        f.write(content[512:])


@case
def trailing_bytes(path):
    """Bytes after the end of file that the superblock states."""
    with h5py.File(path, "w") as f:
        keras_body(f)
    with open(path, "ab") as f:
        f.write(b"trailing" * 100)


@cases(track_order={"libver": "earliest"}, track_order_latest={"libver": "latest"})
def track_order(path, libver):
    """Creation order of links and attributes is tracked: new-style groups in any superblock."""
    with h5py.File(path, "w", libver=libver, track_order=True) as f:
        keras_body(f, 4)
        group = f.create_group("ordered", track_order=True)
        for k in range(20):
            group[f"z{40 - k}"] = np.float32(k)
            if k < 12:
                group.attrs[f"z{40 - k}"] = k


@cases(track_times={"libver": "earliest"}, track_times_latest={"libver": "latest"})
def track_times(path, libver):
    """Modification times are stored."""
    with h5py.File(path, "w", libver=libver) as f:
        keras_body(f)
        f.create_dataset("timed", data=values(4), track_times=True)
        f.create_dataset("untimed", data=values(4, start=9), track_times=False)


@cases(
    paged={"strategy": "page", "fs_page_size": 1024},
    paged_persistent={"strategy": "page", "fs_page_size": 4096, "fs_persist": True},
    free_space_persistent={"strategy": "fsm", "fs_persist": True},
    aggregated={"strategy": "aggregate"},
    no_free_space={"strategy": "none"},
)
def file_space(path, strategy, **options):
    """File space strategies: a superblock extension, pages, free-space managers."""
    with h5py.File(path, "w", fs_strategy=strategy, **options) as f:
        keras_body(f)
        f["gone"] = values(300)
    with h5py.File(path, "r+") as f:
        del f["gone"]


@cases(
    aligned_64={"alignment_threshold": 1, "alignment_interval": 64},
    aligned_4096={"alignment_threshold": 512, "alignment_interval": 4096},
    meta_block={"meta_block_size": 1 << 14},
)
def allocation(path, **options):
    """Where the file driver places blocks."""
    with h5py.File(path, "w", **options) as f:
        keras_body(f)
        f["big"] = values(200)


@cases(sizes_4={"size": 4}, sizes_2={"size": 2}, sizes_16={"size": 16})
def sizes(path, size):
    """Sizes of offsets and lengths other than 8."""
    fcpl = h5p.create(h5p.FILE_CREATE)
    fcpl.set_sizes(size, size)
    with new_file(path, fcpl=fcpl) as f:
        keras_body(f)


@case
def superblock_1(path):
    """Superblock version 1: another rank of the B-tree of chunks, which makes it deep."""
    fcpl = h5p.create(h5p.FILE_CREATE)
    call("H5Pset_istore_k", hid(fcpl), 1)
    with new_file(path, fcpl=fcpl) as f:
        keras_body(f)
        f.create_dataset("deep", data=values(12, 3), chunks=(2, 2))


@case
def shared_messages(path):
    """Shared object header messages (a SOHM table)."""
    fcpl = h5p.create(h5p.FILE_CREATE)
    call("H5Pset_shared_mesg_nindexes", hid(fcpl), 1)
    call("H5Pset_shared_mesg_index", hid(fcpl), 0, 0x1F, 8)
    with new_file(path, libver="latest", fcpl=fcpl) as f:
        keras_body(f)


@case
def swmr_open(path):
    """Copied while a SWMR writer had it open: the superblock says so, and libhdf5 refuses it."""
    with h5py.File(path + ".live", "w", libver="latest") as f:
        f.create_dataset("0", data=values(4), chunks=(4,), maxshape=(None,))
        f.swmr_mode = True
        f.flush()
        shutil.copy(path + ".live", path)
    __import__("os").remove(path + ".live")


@case
def swmr_closed(path):
    """Written by a SWMR writer that closed the file."""
    with h5py.File(path, "w", libver="latest") as f:
        dataset = f.create_dataset("0", data=values(4), chunks=(2,), maxshape=(None,))
        f.swmr_mode = True
        dataset.resize((9,))
        dataset[4:] = values(5, start=70)


@case
def empty_file(path):
    """A root group without links."""
    h5py.File(path, "w").close()


@case
def empty_file_latest(path):
    """A root group without links, newest format."""
    h5py.File(path, "w", libver="latest").close()


@case
def edited(path):
    """Deleted objects and attributes, NIL messages, continuation blocks, reused space."""
    with h5py.File(path, "w") as f:
        keras_body(f, 12)
        for k in range(30):
            f.attrs[f"a{k}"] = "v" * k
    with h5py.File(path, "r+") as f:
        for k in range(2, 12, 2):
            del f[f"layers/dense_{k}"]
        for k in range(0, 30, 3):
            del f.attrs[f"a{k}"]
        f["layers/dense_1/vars/new"] = values(9)
        f["layers/dense_1/vars"].attrs["name"] = "a much longer name than the one before"
        f.move("layers/dense_3", "layers/moved")


@case
def edited_latest(path):
    """The same in the newest format: dense storage that shrank back."""
    with h5py.File(path, "w", libver="latest") as f:
        for k in range(30):
            f[f"d{k}"] = values(2, start=k)
            f.attrs[f"a{k}"] = "v" * k
    with h5py.File(path, "r+", libver="latest") as f:
        for k in range(26):
            del f[f"d{k}"]
            del f.attrs[f"a{k}"]
        f["late"] = values(3)


# ---- dtypes --------------------------------------------------------------------------------------------

PLAIN = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")


@cases(dtypes={"libver": "earliest"}, dtypes_latest={"libver": "latest"})
def dtypes(path, libver):
    """Integers and floats in both byte orders, bool, scalars and shapes with a zero."""
    with h5py.File(path, "w", libver=libver) as f:
        for dtype in PLAIN:
            f["little/" + dtype] = values(3, 4, dtype="<" + dtype)
            f["big/" + dtype] = values(3, 4, dtype=">" + dtype)
            f["scalar/" + dtype] = values(1, dtype=dtype)[0]
        f["bool"] = values(3, 4, dtype="?")
        f["bool_scalar"] = np.bool_(True)
        f["zero"] = np.zeros((0,), "f4")
        f["zero_between"] = np.zeros((2, 0, 3), "i8")
        f["rank_32"] = values(*(1,) * 31 + (2,))


def float_type(fields, size, bias, order=h5t.ORDER_LE):
    filetype = h5t.IEEE_F32LE.copy()
    filetype.set_fields(*fields)
    filetype.set_size(size)
    filetype.set_precision(8 * size)
    filetype.set_ebias(bias)
    filetype.set_order(order)
    return filetype


@case
def bfloat16(path):
    """bfloat16 in every way seen: opaque with and without attribute, fixed or vlen; IEEE of two bytes."""
    with h5py.File(path, "w") as f:
        bits = (values(3, 5).view("u4") >> 16).astype("u2")
        f["opaque"] = bits.view("V2")
        f["opaque_marked"] = bits.view("V2")
        f["opaque_marked"].attrs["dtype"] = "bfloat16"
        f["opaque_marked_fixed"] = bits.view("V2")
        f["opaque_marked_fixed"].attrs["dtype"] = np.bytes_(b"bfloat16")
        f["opaque_marked_wrongly"] = bits.view("V2")
        f["opaque_marked_wrongly"].attrs["dtype"] = "float16"
        tagged = h5t.create(h5t.OPAQUE, 2)
        tagged.set_tag(b"bfloat16")
        raw_dataset(f, "opaque_tagged", bits.view("V2"), tagged)
        raw_dataset(f, "ieee", bits, float_type((15, 7, 8, 0, 7), 2, 127))
        raw_dataset(f, "ieee_big", bits.byteswap(), float_type((15, 7, 8, 0, 7), 2, 127, h5t.ORDER_BE))
        raw_dataset(f, "float16", bits, h5t.IEEE_F16LE)


@case
def float8(path):
    """Floats of one byte, as IEEE-like types and as opaque."""
    with h5py.File(path, "w") as f:
        bits = values(3, 5, dtype="u1")
        raw_dataset(f, "e4m3", bits, float_type((7, 3, 4, 0, 3), 1, 7))
        raw_dataset(f, "e5m2", bits, float_type((7, 2, 5, 0, 2), 1, 15))
        f["opaque"] = bits.view("V1")
        f["opaque_marked"] = bits.view("V1")
        f["opaque_marked"].attrs["dtype"] = "float8_e4m3fn"


@case
def odd_numbers(path):
    """Numbers that no NumPy dtype is: 12 bits of 16, 24-bit integers, bit fields, long double, odd floats."""
    with h5py.File(path, "w") as f:
        data = values(6, dtype="u2")
        narrow = h5t.STD_U16LE.copy()
        narrow.set_precision(12)
        raw_dataset(f, "precision_12", data, narrow)
        shifted = narrow.copy()
        shifted.set_offset(4)
        raw_dataset(f, "precision_12_at_4", data << 4, shifted)
        three = h5t.STD_U32LE.copy()
        three.set_precision(24)
        three.set_size(3)
        raw_dataset(f, "bytes_3", values(6, 3, dtype="u1").view("V3").reshape(6), three)
        raw_dataset(f, "bits", values(6, dtype="u1"), h5t.STD_B8LE)
        raw_dataset(f, "float_other_bias", values(6), float_type((31, 23, 8, 0, 23), 4, 120))
        f["long_double"] = values(4, dtype="longdouble")
        vax = h5t.IEEE_F32LE.copy()
        vax.set_norm(h5t.NORM_NONE)
        raw_dataset(f, "float_unnormalized", values(6), vax)


@case
def bool_enums(path):
    """Enumerations: h5py's bool, the same in big-endian order of members, others that only look like it."""
    with h5py.File(path, "w") as f:
        f["bool"] = values(5, dtype="?")
        f["enum"] = np.array([1, 2, 1], dtype=h5py.special_dtype(enum=("i4", {"A": 1, "B": 2})))
        f["swapped"] = np.array([0, 1, 1], dtype=h5py.special_dtype(enum=("i1", {"TRUE": 0, "FALSE": 1})))
        f["wide"] = np.array([0, 1, 1], dtype=h5py.special_dtype(enum=("i2", {"FALSE": 0, "TRUE": 1})))
        f["unsigned"] = np.array([0, 1, 1], dtype=h5py.special_dtype(enum=("u1", {"FALSE": 0, "TRUE": 1})))
        third = h5t.enum_create(h5t.STD_I8LE)
        for name, value in ((b"FALSE", 0), (b"TRUE", 1), (b"MAYBE", 2)):
            third.enum_insert(name, value)
        raw_dataset(f, "three", np.array([0, 1, 2], "i1"), third)


@cases(unsupported_types={"libver": "earliest"}, unsupported_types_latest={"libver": "latest"})
def unsupported_types(path, libver):
    """Types that hold no tensor: compound, strings, references, vlen, arrays, committed; one good one."""
    with h5py.File(path, "w", libver=libver) as f:
        f["good"] = values(3)
        f["complex64"] = values(3).astype("c8")
        f["complex128"] = values(3).astype("c16")
        f["compound"] = np.zeros(3, [("a", "f4"), ("b", "i8", (2,)), ("c", "S3")])
        f["string_fixed"] = np.array([b"abc", b"de"])
        f["string_vlen"] = "hello"
        f["strings_vlen"] = np.array(["a", "bcd", ""], dtype=h5py.special_dtype(vlen=str))
        f.create_dataset("vlen", (2,), dtype=h5py.special_dtype(vlen=np.dtype("f4")))
        f["vlen"][0] = values(3)
        f.create_dataset("array", (2,), np.dtype((np.dtype("f4"), (3,))))[...] = values(2, 3)
        f["reference"] = f["good"].ref
        f.create_dataset("references", (2,), dtype=h5py.special_dtype(ref=h5py.Reference))
        f["region"] = f["good"].regionref[1:]
        f["committed"] = np.dtype("f8")
        f.create_dataset("of_committed", data=values(3).astype("f8"), dtype=f["committed"])
        f["opaque_5"] = values(10, dtype="u1").view("V5")
        raw_dataset(f, "time", None, h5t.UNIX_D32LE, h5s.create_simple((2,)))
        f["null"] = h5py.Empty(np.dtype("f4"))


# ---- layouts -------------------------------------------------------------------------------------------


@cases(layouts={"libver": "earliest"}, layouts_latest={"libver": "latest"})
def layouts(path, libver):
    """Compact, contiguous and chunked; allocated early and late; written and never written."""
    with h5py.File(path, "w", libver=libver) as f:
        space, data = h5s.create_simple((4, 6)), values(4, 6)
        real = h5t.IEEE_F32LE
        raw_dataset(f, "compact", data, dcpl=creation(layout=h5d.COMPACT))
        raw_dataset(f, "compact_unwritten", None, real, space, creation(layout=h5d.COMPACT))
        raw_dataset(
            f,
            "compact_scalar",
            np.float32(5).reshape(()),
            real,
            h5s.create(h5s.SCALAR),
            creation(layout=h5d.COMPACT),
        )
        raw_dataset(f, "contiguous", data + 1)
        raw_dataset(f, "contiguous_early", None, real, space, creation(alloc_time=h5d.ALLOC_TIME_EARLY))
        raw_dataset(f, "contiguous_unwritten", None, real, space)
        f.create_dataset("chunked", data=data + 2, chunks=(2, 3))
        f.create_dataset("chunked_unwritten", (4, 6), "f4", chunks=(2, 3))
        f.create_dataset("chunked_partly", (4, 6), "f4", chunks=(2, 3))[:2, :3] = 7
        f.create_dataset("chunks_at_edges", data=values(5, 7), chunks=(2, 3))
        f.create_dataset("chunk_too_big", data=values(3, 3), chunks=(8, 8), maxshape=(8, 8))
        f.create_dataset("chunked_zero", (0, 4), "f4", chunks=(2, 2), maxshape=(None, 4))
        f.create_dataset("chunked_big_endian", data=values(5, 7, dtype=">f8"), chunks=(2, 3))
        f.create_dataset("contiguous_zero", (0, 4), "f4")


@case
def fill_values(path):
    """Fill values: default, given, undefined, never written; for what was never stored."""
    with h5py.File(path, "w") as f:
        f.create_dataset("given", (2, 3), "f4", fillvalue=7.5)
        f.create_dataset("given_big_endian", (2, 3), ">i4", fillvalue=-2)
        f.create_dataset("given_chunked", (4, 4), "f8", chunks=(2, 2), fillvalue=3)[:2, :2] = 1
        f.create_dataset("given_bool", (3,), "?", fillvalue=True)
        f.create_dataset("given_written", data=values(2, 3), fillvalue=9)
        space = h5s.create_simple((2, 3))
        undefined = h5p.create(h5p.DATASET_CREATE)
        call("H5Pset_fill_value", hid(undefined), ctypes.c_int64(h5t.IEEE_F32LE.id), None)
        raw_dataset(f, "undefined", None, h5t.IEEE_F32LE, space, undefined)
        never = creation(fill_time=h5d.FILL_TIME_NEVER, alloc_time=h5d.ALLOC_TIME_EARLY)
        raw_dataset(f, "never_filled", values(2, 3), h5t.IEEE_F32LE, space, never)


@case
def huge_unwritten(path):
    """Shapes far beyond the file's size, without a stored byte: to be listed, never allocated."""
    with h5py.File(path, "w") as f:
        f.create_dataset("contiguous", (1 << 40,), "f4")
        f.create_dataset("chunked", (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10), compression="gzip")
        f.create_dataset("one_chunk", (1 << 20, 1 << 14), "f4", chunks=(32, 32), compression="gzip")[0, 0] = 1
        f["good"] = values(3)


@cases(chunks_btree1={"libver": "earliest"}, chunks_latest={"libver": "latest"})
def chunk_indexes(path, libver):
    """Every index of chunks: v1 B-tree, or single, implicit, fixed array, extensible array, v2 B-tree."""
    with h5py.File(path, "w", libver=libver) as f:
        data = values(20, 12)
        for suffix, filters in (("", {}), ("_gzip", {"compression": "gzip"})):
            f.create_dataset("single" + suffix, data=data, chunks=(20, 12), **filters)
            f.create_dataset("fixed" + suffix, data=data, chunks=(6, 5), **filters)
            f.create_dataset("extensible" + suffix, data=data, chunks=(6, 12), maxshape=(None, 12), **filters)
            f.create_dataset(
                "extensible_last" + suffix, data=data, chunks=(5, 5), maxshape=(20, None), **filters
            )
            f.create_dataset("btree" + suffix, data=data, chunks=(6, 5), maxshape=(None, None), **filters)
            grown = f.create_dataset(
                "grown" + suffix, (2, 4), "f4", chunks=(2, 2), maxshape=(None, 8), **filters
            )
            grown[...] = values(2, 4, start=3)
            grown.resize((9, 7))
            grown[6:] = 5
            shrunk = f.create_dataset(
                "shrunk" + suffix, data=data, chunks=(3, 4), maxshape=(None, None), **filters
            )
            shrunk.resize((7, 5))
        f.create_dataset("rank_4", data=values(3, 4, 5, 2), chunks=(2, 2, 2, 2), compression="gzip")
        early = creation(chunk=(2, 5), alloc_time=h5d.ALLOC_TIME_EARLY)
        raw_dataset(f, "implicit", values(7, 11), dcpl=early)
        early = creation(chunk=(2, 5), alloc_time=h5d.ALLOC_TIME_EARLY)
        raw_dataset(f, "implicit_unwritten", None, h5t.IEEE_F32LE, h5s.create_simple((7, 11)), early)


@cases(chunks_many={"libver": "earliest"}, chunks_many_latest={"libver": "latest"})
def chunks_many(path, libver):
    """Enough chunks for deep trees, a paged fixed array, super blocks and paged data blocks."""
    with h5py.File(path, "w", libver=libver) as f:
        data = values(1100, dtype="u1")
        f.create_dataset("fixed_paged", data=data, chunks=(1,))
        sparse = f.create_dataset("fixed_paged_sparse", (5000,), "u1", chunks=(1,))
        sparse[2100:2110] = 9
        f.create_dataset("extensible", data=data[:600], chunks=(1,), maxshape=(None,))
        sparse = f.create_dataset("extensible_sparse", (40000,), "u1", chunks=(1,), maxshape=(None,))
        sparse[39990:] = 3
        sparse[0] = 1
        f.create_dataset("btree", data=data[:600].reshape(30, 20), chunks=(1, 1), maxshape=(None, None))


@case
def partial_edge_chunks(path):
    """Edge chunks that are stored without the filters (H5Pset_chunk_opts)."""
    with h5py.File(path, "w", libver="latest") as f:
        for name, maximum in (
            ("fixed", None),
            ("extensible", (h5s.UNLIMITED, 5)),
            ("btree", (h5s.UNLIMITED,) * 2),
        ):
            dcpl = creation(chunk=(3, 3), deflate=6)
            call("H5Pset_chunk_opts", hid(dcpl), 2)
            space = h5s.create_simple((7, 5), maximum) if maximum else h5s.create_simple((7, 5))
            raw_dataset(f, name, values(7, 5), h5t.IEEE_F32LE, space, dcpl)


# ---- filters -------------------------------------------------------------------------------------------

PIPELINES = {
    "gzip": {"compression": "gzip"},
    "gzip_0": {"compression": "gzip", "compression_opts": 0},
    "gzip_9": {"compression": "gzip", "compression_opts": 9},
    "shuffle": {"shuffle": True},
    "gzip_shuffle": {"compression": "gzip", "shuffle": True},
    "fletcher32": {"fletcher32": True},
    "gzip_shuffle_fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
    "lzf_shuffle_fletcher32": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    "scaleoffset": {"scaleoffset": 2},
    "szip_nn": {"compression": "szip", "compression_opts": ("nn", 8)},
    "szip_ec": {"compression": "szip", "compression_opts": ("ec", 16)},
}


@cases(filters={"libver": "earliest"}, filters_latest={"libver": "latest"})
def filters(path, libver):
    """The filters that come with HDF5 and h5py, each on several dtypes, with partial edge chunks."""
    with h5py.File(path, "w", libver=libver) as f:
        for name, options in PIPELINES.items():
            f.create_dataset(name, data=values(20, 9), chunks=(8, 4), **options)
        for name in ("gzip_shuffle", "fletcher32", "lzf", "szip_nn"):
            for dtype in ("i2", ">f8", "u1"):
                data = values(20, 9, dtype=dtype)
                f.create_dataset(f"{name}_{dtype}", data=data, chunks=(8, 4), **PIPELINES[name])
            f.create_dataset(name + "_noise", data=noise(33, 3), chunks=(16, 3), **PIPELINES[name])
        raw_dataset(f, "nbit", values(20, dtype="u1"), h5t.STD_U8LE, dcpl=nbit())
        raw_dataset(f, "odd_order", values(64), dcpl=pipeline((2, ()), (3, ()), (1, (6,))))
        raw_dataset(f, "twice", values(64), dcpl=pipeline((1, (6,)), (1, (6,))))


def nbit():
    dcpl = creation(chunk=(8,))
    call("H5Pset_nbit", hid(dcpl))
    return dcpl


def pipeline(*rows):
    dcpl = creation(chunk=(16,))
    for code, options in rows:
        dcpl.set_filter(code, 0, options)
    return dcpl


@case
def filters_plugin(path):
    """Filters of plugins: zstd (read by kio) and others (to be refused by name)."""
    import hdf5plugin

    plugins = {
        "zstd": hdf5plugin.Zstd(),
        "zstd_high": hdf5plugin.Zstd(clevel=19),
        "blosc": hdf5plugin.Blosc(),
        "blosc2": hdf5plugin.Blosc2(),
        "lz4": hdf5plugin.LZ4(),
        "bitshuffle": hdf5plugin.Bitshuffle(),
        "bzip2": hdf5plugin.BZip2(),
    }
    with h5py.File(path, "w") as f:
        for name, options in plugins.items():
            f.create_dataset(name, data=values(40, 9), chunks=(16, 4), **options)
        shuffled = dict(plugins["zstd"])
        f.create_dataset(
            "zstd_shuffle_fletcher32",
            data=values(40, 9),
            chunks=(16, 4),
            shuffle=True,
            fletcher32=True,
            **shuffled,
        )
        f.create_dataset("zstd_noise", data=noise(40, 9), chunks=(16, 4), **shuffled)
        f["good"] = values(3)


@cases(filter_masks={"libver": "earliest"}, filter_masks_latest={"libver": "latest"})
def filter_masks(path, libver):
    """Chunks that skipped some filters: by mask given, and because the filter failed to shrink them."""
    import zlib

    with h5py.File(path, "w", libver=libver) as f:
        data = values(4, 8)
        dataset = f.create_dataset("mask", (4, 8), "f4", chunks=(1, 8), shuffle=True, compression="gzip")
        shuffled = [np.frombuffer(row.tobytes(), "u1").reshape(8, 4).T.tobytes() for row in data]
        dataset.id.write_direct_chunk((0, 0), zlib.compress(shuffled[0]), 0)
        dataset.id.write_direct_chunk((1, 0), shuffled[1], 2)
        dataset.id.write_direct_chunk((2, 0), zlib.compress(data[2].tobytes()), 1)
        dataset.id.write_direct_chunk((3, 0), data[3].tobytes(), 3)
        for maximum in ((4, 8), (None, 8), (None, None)):
            name = "mask_" + "".join("u" if m is None else "f" for m in maximum)
            other = f.create_dataset(name, (4, 8), "f4", chunks=(1, 4), maxshape=maximum, compression="gzip")
            other[...] = data
            other.id.write_direct_chunk((2, 4), data[2, 4:].tobytes(), 1)
        single = f.create_dataset("mask_single", (4, 8), "f4", chunks=(4, 8), compression="gzip")
        single.id.write_direct_chunk((0, 0), data.tobytes(), 1)
        f.create_dataset("incompressible", data=noise(64), chunks=(16,), compression="gzip")
        f.create_dataset("incompressible_lzf", data=noise(64), chunks=(16,), compression="lzf")


# ---- attributes ----------------------------------------------------------------------------------------


@cases(attributes={"libver": "earliest"}, attributes_latest={"libver": "latest"})
def attributes(path, libver):
    """Attributes of every kind, on groups and datasets."""
    with h5py.File(path, "w", libver=libver) as f:
        f["d"] = values(3)
        for owner in (f, f.create_group("g"), f["d"]):
            put = owner.attrs
            put["vlen"] = "naïve 猫"
            put["vlen_empty"] = ""
            put["vlen_bytes"] = b"bytes"
            put["vlen_list"] = np.array(["a", "bcd", ""], dtype=h5py.special_dtype(vlen=str))
            put["vlen_list_bytes"] = np.array([b"a", b"bcd"], dtype=h5py.special_dtype(vlen=bytes))
            put["fixed"] = np.bytes_(b"abc")
            put["fixed_list"] = np.array([b"abc", b"de", b""])
            put["int"] = 3
            put["big_endian"] = np.arange(3, dtype=">i4")
            put["floats"] = values(2, 3)
            put["bool"] = True
            put["empty_list"] = []
            put["null"] = h5py.Empty(np.dtype("f4"))
            put["zero"] = np.zeros((0, 2))
            put["naïve name"] = 1
        for padding, name in (
            (h5t.STR_NULLTERM, "null_term"),
            (h5t.STR_NULLPAD, "null_pad"),
            (h5t.STR_SPACEPAD, "space_pad"),
        ):
            text = h5t.C_S1.copy()
            text.set_size(8)
            text.set_strpad(padding)
            attribute = h5py.h5a.create(f.id, name.encode(), text, h5s.create(h5s.SCALAR))
            attribute.write(
                np.array(b"kio   \0\0" if padding != h5t.STR_SPACEPAD else b"kio     ", "S8"), text
            )


@case
def attributes_odd(path):
    """Attributes of types that are not text or numbers: compound, reference, committed, array."""
    with h5py.File(path, "w") as f:
        f["d"] = values(3)
        f.attrs["compound"] = np.zeros(2, [("a", "f4"), ("b", "S3")])
        f.attrs["reference"] = f["d"].ref
        f.attrs["references"] = np.array([f["d"].ref], dtype=h5py.special_dtype(ref=h5py.Reference))
        f.attrs["complex"] = 1 + 2j
        f.attrs["opaque"] = np.void(b"\x01\x02\x03")
        f["committed"] = np.dtype("f8")
        f.attrs.create("of_committed", 4.0, dtype=f["committed"])
        f.attrs["name"] = "still readable"


@case
def attributes_dense(path):
    """More than eight attributes (dense storage), also after deleting some; long values in it."""
    with h5py.File(path, "w", libver="latest") as f:
        f["d"] = values(3)
        for owner in (f, f["d"]):
            for k in range(60):
                owner.attrs[f"attribute_{k}"] = f"value {k}" if k % 2 else np.arange(k)
            for k in range(0, 60, 7):
                del owner.attrs[f"attribute_{k}"]
        f.attrs["long"] = np.arange(1500, dtype="i4")


@case
def attributes_huge(path):
    """An attribute beyond 64 KiB: a huge object of a fractal heap."""
    with h5py.File(path, "w", libver="latest") as f:
        f.attrs["layer_names"] = np.array([b"layer %d" % k + b"x" * 90 for k in range(680)])
        f.attrs["name"] = "small"


@case
def layer_names(path):
    """Legacy Keras attributes: lists in chunks (layer_names0, …), vlen and fixed, and an empty one."""
    with h5py.File(path, "w") as f:
        names = [b"a_rather_long_name_of_a_layer_%04d" % k for k in range(40)]
        for k in range(4):
            f.attrs[f"layer_names{k}"] = np.array(names[10 * k : 10 * k + 10])
        f.attrs["backend"] = "tensorflow"
        f.attrs["keras_version"] = "2.15.0"
        for k, name in enumerate(names[:3]):
            group = f.create_group(name.decode())
            group.attrs["weight_names"] = [name + b"/kernel:0"] if k else []
            if k:
                group[name.decode() + "/kernel:0"] = values(2, 2, start=k)


@case
def layer_names_large(path):
    """``layer_names`` of 900 names: an attribute of 30 KiB, global heap collections of many objects."""
    with h5py.File(path, "w") as f:
        f.attrs["layer_names"] = np.array([b"layer_number_%016d" % k for k in range(900)])
        f.attrs["weight_names"] = [b"weight_%d" % k for k in range(300)]
        f.attrs["model_config"] = '{"config": "' + "x" * 9000 + '"}'


# ---- links ---------------------------------------------------------------------------------------------


@cases(links_400={"libver": "earliest"}, links_400_latest={"libver": "latest"})
def links_400(path, libver):
    """400 links in one group: a B-tree of two levels, or a fractal heap with indirect blocks."""
    with h5py.File(path, "w", libver=libver) as f:
        f["d"] = values(3)
        group = f.create_group("many")
        for k in range(400):
            group[f"a_rather_long_name_{k * 7919 % 400}"] = f["d"]


@case
def links_deep(path):
    """A B-tree of groups four levels deep (smallest ranks)."""
    fcpl = h5p.create(h5p.FILE_CREATE)
    call("H5Pset_sym_k", hid(fcpl), 1, 1)
    with new_file(path, fcpl=fcpl) as f:
        for k in range(40):
            f[str(k * 17 % 40)] = values(2, start=k)


@cases(link_names={"libver": "earliest"}, link_names_latest={"libver": "latest"})
def link_names(path, libver):
    """Names: Unicode, spaces, dots, long, not UTF-8, looking like paths or numbers."""
    with h5py.File(path, "w", libver=libver) as f:
        names = [
            "слой",
            "層 0",
            " leading",
            "a.b",
            "..",
            "...",
            "-1",
            "01",
            "1e3",
            "tab\tnew\nline",
            "x" * 300,
            "\\",
            "*",
            "é",
            "e\u0301",
        ]
        for k, name in enumerate(names):
            if name == "..":
                continue
            f[name] = values(2, start=k)
        for k, name in enumerate((b"latin-1 \xe9", b"\xff\xfe", b"..")):
            raw_dataset(f, name, values(2, start=70 + k))
        f.create_group("/".join("abcdefghij" * 4))["deep"] = values(2, start=90)


@case
def link_name_huge(path):
    """Names beyond the 4 KiB that the heap of a dense group manages: huge objects of it."""
    with h5py.File(path, "w", libver="latest") as f:
        for k in range(12):
            f[f"n{k}_" + "x" * (5000 if k % 4 == 0 else 1000)] = values(2, start=k)


@case
def link_phase_change(path):
    """Dense and compact storage against the usual: one link dense, forty compact."""
    with h5py.File(path, "w", libver="latest") as f:
        for name, compact, dense in (("dense", 0, 0), ("compact", 60, 50)):
            gcpl = h5p.create(h5p.GROUP_CREATE)
            gcpl.set_obj_track_times(False)
            call("H5Pset_link_phase_change", hid(gcpl), compact, dense)
            group = h5py.Group(h5py.h5g.create(f.id, name.encode(), gcpl=gcpl))
            for k in range(1 if name == "dense" else 40):
                group[f"d{k}"] = values(2, start=k)


@cases(link_soft={"libver": "earliest"}, link_soft_latest={"libver": "latest"})
def link_soft(path, libver):
    """Soft links: to a dataset, a group, nothing, themselves."""
    with h5py.File(path, "w", libver=libver) as f:
        keras_body(f)
        f["soft_group"] = h5py.SoftLink("/layers")
        f["soft_dataset"] = h5py.SoftLink("/layers/dense/vars/0")
        f["soft_dangling"] = h5py.SoftLink("/nowhere")
        f["soft_self"] = h5py.SoftLink("/soft_self")
        f["layers/soft_relative"] = h5py.SoftLink("dense")


@cases(link_external={"libver": "earliest"}, link_external_latest={"libver": "latest"})
def link_external(path, libver):
    """External links: to another file of the corpus, to nothing, to the file itself."""
    with h5py.File(path, "w", libver=libver) as f:
        keras_body(f)
        f["external"] = h5py.ExternalLink("keras_profile.h5", "/layers")
        f["external_missing"] = h5py.ExternalLink("no such file.h5", "/")
        f["layers/external_self"] = h5py.ExternalLink("link_external.h5", "/layers")


@case
def link_user_defined(path):
    """A user-defined link of class 65."""
    with h5py.File(path, "w", libver="latest") as f:
        keras_body(f)
        register_user_link()
        call("H5Lcreate_ud", hid(f.id), b"user", 65, b"payload", ctypes.c_size_t(7), 0, 0)


class UserLink(ctypes.Structure):
    """H5L_class_t."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("id", ctypes.c_int),
        ("comment", ctypes.c_char_p),
        *((name, ctypes.c_void_p) for name in ("create", "move", "copy", "traverse", "delete", "query")),
    )


def register_user_link():
    kept = UserLink(0, 65, b"kio corpus")
    traverse = ctypes.CFUNCTYPE(ctypes.c_int64)(lambda: -1)
    kept.traverse = ctypes.cast(traverse, ctypes.c_void_p)
    register_user_link.kept = (kept, traverse)
    call("H5Lregister", ctypes.byref(kept))


@cases(link_hard={"libver": "earliest"}, link_hard_latest={"libver": "latest"})
def link_hard(path, libver):
    """Hard-link aliases of datasets and groups, and cycles."""
    with h5py.File(path, "w", libver=libver) as f:
        keras_body(f)
        f["alias_dataset"] = f["layers/dense/vars/0"]
        f["alias_group"] = f["layers/dense_1"]
        f["layers/up"] = f["/"]
        f["layers/self"] = f["layers"]


@case
def external_storage(path):
    """Datasets whose bytes lie in other files."""
    with h5py.File(path, "w") as f:
        f["good"] = values(3)
        f.create_dataset("external", (4,), "f4", external=[("external_storage.bin", 0, 16)])
        f.create_dataset(
            "external_two", (4,), "f4", external=[("external_storage.bin", 0, 8), ("no such file", 0, 8)]
        )


@case
def virtual(path):
    """Virtual datasets: sources in this file, in another, missing."""
    with h5py.File(path, "w", libver="latest") as f:
        f["source"] = values(2, 3)
        for name, source in (
            ("same_file", "."),
            ("other_file", "keras_profile.h5"),
            ("missing", "no such file.h5"),
        ):
            layout = h5py.VirtualLayout((4, 3), "f4")
            inner = "source" if source == "." else "layers/dense/vars/0"
            shape = (2, 3) if source == "." else (4, 3)
            layout[: shape[0]] = h5py.VirtualSource(source, inner, shape)
            f.create_virtual_dataset(name, layout, fillvalue=-1)
