"""Deflate and zlib streams, each implementation, against zlib."""

from __future__ import annotations

import random
import zlib

import h5py
import numpy as np
import pytest

from kio.raw import kernels
from tests.csrc.spans import each_implementation, guarded, guarded_copy

each_inflate = each_implementation("inflate")


def shuffled(array: np.ndarray) -> bytes:
    return array.view(np.uint8).reshape(-1, array.itemsize).T.tobytes()


def samples() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    weights = (rng.standard_normal(1 << 14) * 0.02).astype(np.float32)
    rounded = (weights.view(np.uint32) & 0xFFFF0000).view(np.float32)
    return {
        "empty": b"",
        "one": b"x",
        "text": b"the quick brown fox jumps over the lazy dog " * 700,
        "zeros": bytes(70_000),
        "random": rng.bytes(70_000),
        "weights": weights.tobytes(),
        "weights shuffled": shuffled(weights),
        "bf16 in float32, shuffled": shuffled(rounded),
        "adam v, shuffled": shuffled(weights**2 * np.float32(1e-6)),
        "skewed": np.minimum(rng.geometric(0.05, 90_000), 255).astype(np.uint8).tobytes(),
        **{f"period {n}": rng.bytes(n) * (9000 // n) for n in range(1, 40)},
    }


SAMPLES = samples()


def deflate(data: bytes, level: int, strategy: int = 0, memory: int = 8, wbits: int = -15) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, wbits, memory, strategy)
    return stream.compress(data) + stream.flush()


def inflate_by_zlib(stream: bytes, nbytes_max: int) -> tuple[str, bytes, int]:
    """What zlib makes of a raw stream, in the words of kio_status."""
    decoder = zlib.decompressobj(-15)
    try:
        data = decoder.decompress(stream, nbytes_max + 1)
    except zlib.error:
        return "CORRUPT", b"", 0
    if len(data) > nbytes_max:
        return "LIMIT", b"", 0
    if decoder.eof:
        return "OK", data, len(stream) - len(decoder.unused_data)
    return "TRUNCATED", b"", 0


def agree(stream: bytes, nbytes_max: int, row: str | None) -> str:
    """Decode between guard pages; the same verdict, bytes and end as zlib."""
    expected, data, used = inflate_by_zlib(stream, nbytes_max)
    dst = guarded(nbytes_max)
    status, nbytes, src_used = kernels.inflate_into(dst, guarded_copy(stream), row)
    assert nbytes <= nbytes_max
    assert src_used <= len(stream)
    if expected == "OK":
        assert (status, nbytes, src_used) == ("OK", len(data), used), stream.hex()
        assert dst[:nbytes] == data
    else:
        # Which of two faults is met first may differ, not that there is one.
        assert status != "OK", (expected, stream.hex())
    return status


@each_inflate
@pytest.mark.parametrize("name", SAMPLES)
def test_what_zlib_writes(kernel, row, name):
    data = SAMPLES[name]
    levels = range(10) if len(data) < 10_000 else (0, 1, 4, 6, 9)
    for level in levels:
        for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED):
            stream = deflate(data, level, strategy, 8 if level > 1 else 1)
            assert agree(stream, len(data), row) == "OK"
            # What follows is not looked at; room beyond the end is allowed.
            dst = bytearray(len(data) + 1000)
            status, nbytes, used = kernels.inflate_into(dst, stream + b"\xff" * 40, row)
            assert (status, nbytes, used) == ("OK", len(data), len(stream))
            assert dst[:nbytes] == data
            if data:
                assert kernels.inflate_into(dst[:-1001], stream, row)[0] == "LIMIT"


@each_inflate
def test_every_truncation(kernel, row):
    for level, strategy in ((0, 0), (6, 0), (6, zlib.Z_FIXED)):
        stream = deflate(SAMPLES["text"][:300] + SAMPLES["random"][:300], level, strategy)
        for n in range(len(stream)):
            status, nbytes, used = kernels.inflate_into(guarded(600), guarded_copy(stream[:n]), row)
            assert status == "TRUNCATED"
            assert used <= n
            assert nbytes <= 600


@each_inflate
def test_every_limit(kernel, row):
    data = SAMPLES["text"][:300] + SAMPLES["random"][:300] + bytes(400)
    for level, strategy in ((0, 0), (6, 0), (6, zlib.Z_FIXED)):
        stream = deflate(data, level, strategy)
        for limit in range(len(data) + 1):
            dst = guarded(limit)
            status, nbytes, _ = kernels.inflate_into(dst, stream, row)
            assert status == ("OK" if limit == len(data) else "LIMIT")
            assert dst[:nbytes] == data[:nbytes]


# ------------------------------------------------------------------ streams zlib would not write


class Bits:
    """A deflate stream, bit by bit."""

    def __init__(self) -> None:
        self.value = self.nbits = 0

    def put(self, value: int, nbits: int) -> Bits:
        self.value |= value << self.nbits
        self.nbits += nbits
        return self

    def code(self, codeword: tuple[int, int]) -> Bits:
        value, nbits = codeword
        return self.put(int(f"{value:0{nbits}b}"[::-1], 2), nbits)

    def bytes(self) -> bytes:
        return self.value.to_bytes((self.nbits + 7) // 8, "little")


def canonical(lengths: list[int]) -> dict[int, tuple[int, int]]:
    """Symbol to (codeword, bits), RFC 1951 section 3.2.2."""
    codewords, codeword = {}, 0
    for nbits in range(1, 16):
        for symbol, length in enumerate(lengths):
            if length == nbits:
                codewords[symbol] = (codeword, nbits)
                codeword += 1
        codeword <<= 1
    return codewords


ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
PRECODE = [4] * 13 + [5] * 6


def header(litlen: list[int], dist: list[int], precode: list[int] = PRECODE, last: int = 1) -> Bits:
    """A dynamic block up to its symbols, the code lengths spelled out one by one."""
    bits = Bits().put(last, 1).put(2, 2)
    bits.put(len(litlen) - 257, 5).put(len(dist) - 1, 5).put(15, 4)
    for symbol in ORDER:
        bits.put(precode[symbol], 3)
    codewords = canonical(precode)
    for length in litlen + dist:
        bits.code(codewords[length])
    return bits


def random_lengths(rng: random.Random, nsymbols: int, nused: int) -> list[int]:
    """The lengths of a complete code: a leaf is split until there are enough, often the deepest."""
    leaves = [0]
    while len(leaves) < nused:
        candidates = [i for i, depth in enumerate(leaves) if depth < 15]
        deep = max(candidates, key=lambda i: leaves[i])
        leaf = deep if rng.random() < 0.3 else rng.choice(candidates)
        leaves[leaf] += 1
        leaves.append(leaves[leaf])
    rng.shuffle(leaves)
    lengths = [0] * nsymbols
    for symbol, depth in zip(rng.sample(range(nsymbols), nused), leaves, strict=True):
        lengths[symbol] = depth
    return lengths


LENGTH_EXTRA = [0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0]
DIST_EXTRA = [0, 0, *(n for n in range(14) for _ in range(2))]
DIST_BASE = [1, 2, 3, 4] + [(2 + n % 2 << n // 2 - 1) + 1 for n in range(4, 30)]


@each_inflate
def test_random_codes(kernel, row):
    # Codewords up to 15 bits of lengths and distances, which zlib's own output hardly has.
    rng = random.Random(5)
    for _ in range(60):
        litlen = random_lengths(rng, 286, rng.randint(2, 286))
        if litlen[256] == 0:  # trade places with a symbol in use
            used = rng.choice([s for s, n in enumerate(litlen) if n])
            litlen[256], litlen[used] = litlen[used], 0
        dist = random_lengths(rng, 30, rng.randint(2, 30))
        bits = header(litlen, dist)
        codes, dist_codes = canonical(litlen), canonical(dist)
        done = 0
        symbols = [s for s in codes if s != 256]
        for _ in range(rng.choice([0, 20, 1500])):
            symbol = rng.choice(symbols) if symbols else 256
            if symbol < 256:
                bits.code(codes[symbol])
                done += 1
                continue
            near = [s for s in dist_codes if DIST_BASE[s] + (1 << DIST_EXTRA[s]) - 1 <= done]
            if symbol == 256 or not near:
                continue
            where = rng.choice(near)
            extra = LENGTH_EXTRA[symbol - 257]
            bits.code(codes[symbol]).put(rng.getrandbits(extra) if extra else 0, extra)
            extra = DIST_EXTRA[where]
            bits.code(dist_codes[where]).put(rng.getrandbits(extra) if extra else 0, extra)
            done += 3  # at least
        stream = bits.code(codes[256]).bytes()
        assert agree(stream, 500_000, row) == "OK"
        assert agree(stream[: rng.randrange(len(stream))], 500_000, row) == "TRUNCATED"
        agree(stream, done // 2, row)


FIXED = canonical([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)
EVERY = [8] * 226 + [9] * 60  # a complete code of 286 symbols
EIGHT = [3] * 8


def fixed(*symbols: int) -> Bits:
    bits = Bits().put(1, 1).put(1, 2)
    for symbol in symbols:
        bits.code(FIXED[symbol])
    return bits


def symbols(bits: Bits, litlen: list[int], *values: int) -> Bits:
    for value in values:
        bits.code(canonical(litlen)[value])
    return bits


ONLY_END = [0] * 256 + [1]
PADDING = 1 << 40  # more input than any fault needs, so that the end is not the fault

FAULTS = {
    "block type 3": Bits().put(7, 3),
    "stored length": Bits().put(1, 8).put(5, 16).put(5, 16),
    "287 literals": Bits().put(5, 3).put(30, 5).put(0, 5).put(0, 4).put(PADDING, 64),
    "31 distances": Bits().put(5, 3).put(0, 5).put(30, 5).put(0, 4).put(PADDING, 64),
    "precode too full": header(ONLY_END, [1, 1], [4] * 14 + [5] * 5),
    "precode incomplete": header(ONLY_END, [1, 1], [4] * 12 + [5] * 7),
    "precode empty": Bits().put(5, 3).put(0, 14).put(0, 12).put(PADDING, 600),
    "no end of block": header([8] * 256 + [0], [1, 1]),
    "literals too full": symbols(header([8] * 257, EIGHT), EVERY, 256),
    "literals incomplete": header([9] * 286, EIGHT),
    "literals incomplete, two bits": header([0] * 255 + [2, 2], EIGHT),
    "distances too full": header(EVERY, [3] * 9),
    "distances incomplete": header(EVERY, [3] * 7),
    "one distance of two bits": header(EVERY, [2]),
    "repeat of nothing": Bits().put(5, 3).put(0, 10).put(0, 4).put(0b001_000_000_001, 12).put(1, 1),
    "literal 286": fixed(286, 256),
    "literal 287": fixed(287, 256),
    "distance 30": fixed(0, 257).put(0b01111, 5).code(FIXED[256]),
    "distance 31": fixed(0, 257).put(0b11111, 5).code(FIXED[256]),
    "before the beginning": fixed(0, 257).code((29, 5)).put(8191, 13).code(FIXED[256]),
    "no distances": symbols(header(EVERY, [0]), EVERY, 0, 257).put(0, 40),
    "the other distance": symbols(header(EVERY, [1]), EVERY, 0, 257).put(1, 40),
    "the other literal": header(ONLY_END, [1, 1]).put(1, 40),
}


@each_inflate
@pytest.mark.parametrize("name", FAULTS)
def test_faults(kernel, row, name):
    stream = FAULTS[name].bytes()
    # Also where the fast loop would meet them: behind an early block, far from the ends.
    early = zlib.compressobj(6, zlib.DEFLATED, -15)
    prefix = early.compress(SAMPLES["text"][:5000]) + early.flush(zlib.Z_FULL_FLUSH)
    for whole in (stream + bytes(8), stream + bytes(500), prefix + stream + bytes(500)):
        assert inflate_by_zlib(whole, 10_000)[0] == "CORRUPT"
        assert kernels.inflate_into(guarded(10_000), guarded_copy(whole), row)[0] == "CORRUPT"


@each_inflate
def test_run_beyond_the_last_symbol(kernel, row):
    bits = Bits().put(5, 3).put(0, 10).put(15, 4)
    for symbol in ORDER:
        bits.put(PRECODE[symbol], 3)
    eighteen = canonical(PRECODE)[18]
    bits.code(eighteen).put(127, 7).code(eighteen).put(127, 7)  # 276 of 258
    assert agree(bits.put(PADDING, 64).bytes(), 100, row) == "CORRUPT"


@each_inflate
def test_lengths_that_zlib_allows(kernel, row):
    # One end-of-block codeword; no distances; one distance of one bit; 258 spelled as 227 + 31.
    assert agree(symbols(header(ONLY_END, [0]), ONLY_END, 256).bytes(), 0, row) == "OK"
    assert agree(symbols(header(EVERY, [0]), EVERY, 1, 2, 256).bytes(), 2, row) == "OK"
    one = symbols(header(EVERY, [1]), EVERY, 7, 285).put(0, 1)
    assert agree(symbols(one, EVERY, 256).bytes(), 259, row) == "OK"
    spelled = fixed(7, 284).put(31, 5).put(0, 5).code(FIXED[256])
    assert agree(spelled.bytes(), 259, row) == "OK"


@each_inflate
def test_broken_streams(kernel, row):
    rng = random.Random(6)
    good = [
        deflate(data[: rng.choice([10, 300, 3000, 20_000])], level, strategy, memory)
        for data in SAMPLES.values()
        for level, strategy, memory in ((1, 0, 8), (6, 0, 1), (6, 2, 8), (9, 4, 8))
    ]
    seen = set()
    for _ in range(4000):
        stream = bytearray(rng.choice(good))
        way = rng.random()
        if way < 0.15:
            stream = stream[: rng.randrange(len(stream) + 1)]
        elif way < 0.75:
            for _ in range(rng.choice([1, 1, 2, 5])):
                stream[rng.randrange(min(len(stream), rng.choice([4, 60, 10**9])))] ^= 1 << rng.randrange(8)
        elif way < 0.85:
            stream = bytearray(rng.randbytes(rng.randrange(200)))
        else:
            stream[:0] = rng.randbytes(rng.randrange(1, 3))
        seen.add(agree(bytes(stream), rng.choice([0, 10, 1000, 20_000, 100_000]), row))
    assert seen == {"OK", "TRUNCATED", "CORRUPT", "LIMIT"}


# -------------------------------------------------------------------------------------- wrapper


def test_zlib_streams():
    for data in SAMPLES.values():
        for level in (0, 1, 6, 9):
            stream = zlib.compress(data, level)
            dst = guarded(len(data))
            assert kernels.inflate_zlib_into(dst, guarded_copy(stream)) == ("OK", len(data), len(stream))
            assert dst == data


def test_zlib_faults():
    data = SAMPLES["text"][:500]
    stream = zlib.compress(data)
    dst = guarded(500)
    for n in range(len(stream)):
        assert kernels.inflate_zlib_into(dst, guarded_copy(stream[:n]))[0] == "TRUNCATED"
    for bit in range(8 * len(stream)):
        broken = bytearray(stream)
        broken[bit // 8] ^= 1 << bit % 8
        status, nbytes, _ = kernels.inflate_zlib_into(dst, guarded_copy(bytes(broken)))
        # The two bits of FLEVEL change FCHECK too: no single bit of the header passes.
        assert status != "OK" or dst[:nbytes] == data
        assert bit >= 16 or status in ("CORRUPT", "UNSUPPORTED")
        if bit >= 8 * (len(stream) - 4):
            assert status == "CHECKSUM"
    assert kernels.inflate_zlib_into(guarded(499), stream)[0] == "LIMIT"
    # A window of 64 KiB does not exist; method 8 is the only one.
    for cmf in (0x88, 0x77):
        flg = 31 - cmf * 256 % 31
        assert kernels.inflate_zlib_into(dst, bytes([cmf, flg]) + stream[2:])[0] == "CORRUPT"


def test_zlib_preset_dictionary():
    stream = zlib.compressobj(zdict=b"quick brown")
    stream = stream.compress(b"the quick brown fox") + stream.flush()
    assert kernels.inflate_zlib_into(bytearray(100), stream) == ("UNSUPPORTED", 0, 0)


def test_zlib_as_hdf5(tmp_path):
    values = np.frombuffer(SAMPLES["weights"], np.float32)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = file.create_dataset("x", data=values, chunks=values.shape, compression=4, shuffle=True)
        _, chunk = dataset.id.read_direct_chunk((0,))
    planes, found = bytearray(values.nbytes), bytearray(values.nbytes)
    assert kernels.inflate_zlib_into(planes, chunk) == ("OK", values.nbytes, len(chunk))
    kernels.unshuffle_into(found, planes, 4)
    assert found == values.tobytes()
