"""transfer_out: what arrives in the sink is the pieces and zeros, by every route, and so are the sums."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kio.errors import TruncatedError
from kio.raw import kernels, transfer_out
from kio.raw.sink import Sink
from kio.raw.source import Source
from kio.raw.tensor import Extent, Tensor
from kio.raw.transfer_out import Lazy, write

rng = np.random.default_rng(11)
BLOB = rng.integers(1, 256, 20 << 20, dtype=np.uint8)
KINDS = ["direct", "buffered", "memory", "bytesio", "stream", "file"]


class Pipe(io.RawIOBase):
    """Takes bytes in order, not all at once."""

    def __init__(self):
        self.got = bytearray()

    def writable(self):
        return True

    def write(self, data):
        n = min(len(data), 100_000)
        self.got += data[:n]
        return n


class Target:
    """A sink of any kind, and what is in it at the end."""

    def __init__(self, kind, folder):
        self.kind, self.path = kind, os.path.join(folder, "out")
        self.file = None
        if kind in ("direct", "buffered"):
            self.sink = Sink.open(self.path, durable=False)
        elif kind == "memory":
            self.sink = Sink.of_memory()
        else:
            opens = {"bytesio": io.BytesIO, "stream": Pipe, "file": lambda: open(self.path, "w+b")}  # noqa: SIM115
            self.file = opens[kind]()
            self.sink = Sink.of_file(self.file)

    def write(self, pieces, **options):
        if self.kind in ("direct", "buffered"):
            options.setdefault("direct", self.kind == "direct")
        return write(self.sink, pieces, **options)

    def close(self):
        self.sink.close()
        if self.file is not None:
            self.file.close()

    def value(self):
        self.sink.commit()
        if self.kind == "memory":
            return bytes(self.sink.getvalue())
        if self.kind == "bytesio":
            return self.file.getvalue()
        if self.kind == "stream":
            return bytes(self.file.got)
        if self.file is not None:
            self.file.close()
        with open(self.path, "rb") as file:
            return file.read()


@pytest.fixture(params=KINDS)
def target(request, tmp_path):
    target = Target(request.param, tmp_path)
    yield target
    target.close()


def image(pieces, nbytes=0):
    """The slow version of write."""
    out = bytearray(max([nbytes, *[at + len(p) for at, p in pieces]]))
    for at, p in pieces:
        out[at : at + len(p)] = p
    return bytes(out)


def blob(nbytes, at=0):
    return BLOB[at : at + nbytes].tobytes()


GAPS = [0, 1, 63, 64, 4000, 4096, 8192, 8193, 70_000]
SIZES = [0, 1, 100, 4096, 60_000, 300_000, 1 << 20, (4 << 20) + 5, 9 << 20]


@st.composite
def layouts(draw):
    """[(offset, nbytes)] in file order, and ranges to sum."""
    out, at = [], 0
    for gap, nbytes in draw(st.lists(st.tuples(st.sampled_from(GAPS), st.sampled_from(SIZES)), min_size=1, max_size=8)):
        out.append((at + gap, nbytes))
        at += gap + nbytes
    total = max(at, 1)
    ranges = draw(st.lists(st.tuples(st.integers(0, total), st.integers(0, total)), max_size=5))
    return out, [(a, min(n, total - a)) for a, n in ranges]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    layout=layouts(),
    threads=st.sampled_from([None, 1, 3, 99]),
    seed=st.integers(0, 999),
    castagnoli=st.booleans(),
)
def test_image_and_sums(kind, tmp_path_factory, layout, threads, seed, castagnoli):
    places, ranges = layout
    local = np.random.default_rng(seed)
    target = Target(kind, tmp_path_factory.mktemp("out"))
    pieces, expected = [], []
    for at, nbytes in places:
        array = BLOB[int(local.integers(0, 1 << 20)) :][:nbytes]
        expected.append((at, array.tobytes()))
        way = local.integers(0, 5)
        if way == 0:
            pieces.append((at, Lazy(nbytes, lambda array=array: array)))
        elif way == 1:
            pieces.append((at, (array.ctypes.data, nbytes)))
        elif way == 2:
            pieces.append((at, Source.of_bytes(array)))
        elif way == 3:
            pieces.append((at, array.tobytes()))
        else:
            pieces.append((at, array))
    local.shuffle(pieces)
    total = max(1, *[at + n for at, n in places]) + int(local.choice([0, 3000, 10_000]))
    target.sink.reserve(total)
    sums = target.write(pieces, checksums=ranges, threads=threads, algorithm="crc32c" if castagnoli else "crc32")
    whole = image(expected, total)
    assert target.value() == whole
    summing = kernels.crc32c_of if castagnoli else zlib.crc32
    assert sums == [summing(whole[a : a + n]) for a, n in ranges]


def test_many_small_pieces(target):
    pieces = [(i * 128, blob(100, i)) for i in range(20_000)]
    sums = target.write(pieces, checksums="pieces")
    assert sums == [zlib.crc32(p) for _, p in pieces]
    assert target.value() == image(pieces)


def test_what_was_written_before_stays(target):
    """Structure between, before and in the pages of pieces, in one write or many."""
    if target.kind == "stream":
        pytest.skip("in order only")
    head, foot = b"H" * 1000, b"F" * 500
    target.sink.write_at(0, head)
    one, two, three = blob(1 << 20), blob((5 << 20) + 17, 5), blob(700, 9)
    a, b = 1000 + 64, 1000 + 64 + len(one) + 30
    target.sink.write_at(b - 20, b"between")
    target.write([(a, one), (b, two)])
    c = b + len(two) + 1
    target.write([(c, three)])
    target.sink.write_at(c + len(three), foot)
    target.sink.write_at(b - 5, b"later")
    expected = [(0, head), (a, one), (b - 20, b"between"), (b - 5, b"later"), (b, two), (c, three)]
    assert target.value() == image([*expected, (c + len(three), foot)])


def test_sums_need_pieces_for_every_byte(target):
    target.sink.write_at(100, b"structure")
    for first in (0, 105):
        with pytest.raises(ValueError, match="written before"):
            target.write([(4096, b"x" * 4096)], checksums=[(first, 8192 - first)])
    pieces = [(109, b"y"), (4096, b"x" * 4096)]
    whole = image(pieces)
    sums = target.write(pieces, checksums=[(109, 8192 - 109), (4096, 0), (9000, 100)])
    assert sums == [zlib.crc32(whole[109:]), 0, zlib.crc32(bytes(100))]


def test_sum_of_a_great_many_zeros():
    sink = Sink.of_memory()
    nbytes = (1 << 40) + 12345
    unit = zlib.crc32(bytes(1 << 20))
    for i in range(20):  # 1 MiB, doubled 20 times
        crc = unit = kernels.crc32_combine_of(unit, unit, 1 << (20 + i))
    crc = kernels.crc32_combine_of(crc, zlib.crc32(bytes(12345)), 12345)
    assert write(sink, [], checksums=[(0, nbytes)]) == [crc]


def test_pieces_may_not_overlap(target):
    with pytest.raises(ValueError, match="overlap"):
        target.write([(10, b"abc"), (12, b"x")])
    target.write([(10, b"abc"), (11, b""), (13, b"x")])


def test_bad_arguments(tmp_path):
    sink = Sink.open(tmp_path / "a")
    with pytest.raises(ValueError, match="algorithm"):
        write(sink, [], algorithm="md5")
    with pytest.raises(ValueError, match="checksums"):
        write(sink, [], checksums="all")
    with pytest.raises(OverflowError):
        write(sink, [(-1, b"x")])
    with pytest.raises(OverflowError):
        write(sink, [(2**63, b"x")])
    with pytest.raises(OverflowError):
        write(sink, [(2**64 - 1, b"xx")])
    with pytest.raises(TypeError):
        write(sink, [(0, "text")])
    with pytest.raises(TypeError):
        write(sink, [(0, 3)])
    sink.abort()
    with pytest.raises(ValueError, match="aborted"):
        write(sink, [(0, b"x")])


# ---- sources


def test_arrays_of_every_layout(target):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = np.arange(60_000, dtype=np.float32).reshape(200, 300)
    arrays = [
        a,
        a.T,
        a[::2, 1:],
        a[::-1],
        a.astype(ml_dtypes.bfloat16),
        a.astype(">f8"),
        np.float64(3.5),
        np.array(7),
        np.zeros((3, 0), "f4"),
        a > 5,
        np.asfortranarray(a),
    ]
    pieces, expected, at = [], [], 0
    for array in arrays:
        data = np.asarray(array).tobytes()
        pieces.append((at, array))
        expected.append((at, data))
        at += len(data) + 64
    pieces.append((at, Lazy(a.nbytes, lambda: a.T)))
    expected.append((at, a.T.tobytes()))
    target.write(pieces)
    assert target.value() == image(expected)


@pytest.mark.parametrize("kind", ["path", "bytes", "object"])
def test_extents_are_copied_as_stored(target, tmp_path, kind):
    path = tmp_path / "source"
    path.write_bytes(BLOB)
    if kind == "path":
        source = Source.open(path)
    elif kind == "bytes":
        source = Source.of_bytes(BLOB)
    else:
        source = Source.of_file(io.BufferedReader(io.BytesIO(BLOB)))
    inner = source.window(1000, 15 << 20, "inner")
    tensor = Tensor("t", "float32", (1 << 20,), [Extent(inner, 40, 4 << 20)])
    deflated = Extent(inner, 7, 99, (("deflate", 0),))
    pieces = [(5, tensor.extents[0]), (5 << 20, inner), ((20 << 20) + 3, deflated)]
    whole = image([(5, blob(4 << 20, 1040)), (5 << 20, blob(15 << 20, 1000)), ((20 << 20) + 3, blob(99, 1007))])
    assert target.write(pieces, checksums=[(0, len(whole))]) == [zlib.crc32(whole)]
    assert target.value() == whole


def test_extent_beyond_its_source(target):
    source = Source.of_bytes(b"123")
    with pytest.raises(TruncatedError, match="stored run"):
        target.write([(0, Extent(source, 1, 3))])


def test_source_that_shrinks(target, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(bytes(3 << 20))
    source = Source.open(path)
    os.truncate(path, 1 << 20)
    with pytest.raises(TruncatedError, match="shrank"):
        target.write([(0, source)])


def test_source_whose_read_raises(target):
    class Bad(io.RawIOBase):
        def seek(self, *_):
            return 5000

        def read(self, n=-1):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        target.write([(0, Source.of_file(Bad()))])


def test_lazy_pieces_are_made_in_file_order_and_few_at_a_time(target):
    made, alive, peak = [], set(), []
    main = threading.get_ident()

    class Tracked(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def make(i):
        assert threading.get_ident() == main
        made.append(i)
        array = np.full(3 << 20, i + 1, np.uint8).view(Tracked)
        alive.add(id(array))
        peak.append(len(alive))
        return array

    n = 20
    places = [i * (3 << 20) + (i % 3 == 0) * 0 for i in range(n)]
    pieces = [(places[i], Lazy(3 << 20, lambda i=i: make(i))) for i in reversed(range(n))]
    sums = target.write(pieces, checksums=[(0, n * (3 << 20))])
    whole = b"".join(bytes([i + 1]) * (3 << 20) for i in range(n))
    assert made == list(range(n))
    assert max(peak) <= 4
    assert sums == [zlib.crc32(whole)]
    assert target.value() == whole


def test_lazy_pieces_that_fail(target):
    def fail():
        raise ZeroDivisionError

    pieces = [(i << 20, Lazy(1 << 20, lambda: bytes(1 << 20))) for i in range(30)]
    with pytest.raises(ZeroDivisionError):
        target.write([*pieces, (30 << 20, Lazy(5, fail))])
    if target.kind == "stream":
        return
    with pytest.raises(ValueError, match="expected 5 bytes, found 4"):
        target.write([(40 << 20, Lazy(5, lambda: b"1234"))])
    with pytest.raises(TypeError, match="memory"):
        target.write([(41 << 20, Lazy(5, lambda: Source.of_bytes(b"12345")))])


def test_a_buffer_cannot_be_resized_while_it_is_written(tmp_path):
    data = bytearray(1 << 20)
    seen = []

    def resize(done, total):
        with pytest.raises(BufferError):
            data.append(1)
        seen.append(done)

    with Sink.open(tmp_path / "a", durable=False) as sink:
        write(sink, [(0, data)], progress=lambda done, total: resize(done, total) if not seen else None)
    assert seen
    data.append(1)


# ---- order


def test_a_stream_cannot_go_back():
    sink = Sink.of_file(Pipe())
    write(sink, [(10, b"abc")])
    with pytest.raises(io.UnsupportedOperation, match="cannot seek"):
        write(sink, [(5, b"x")])


@pytest.mark.parametrize("kind", ["stream", "bytesio"])
def test_a_file_object_that_raises(kind):
    class Bad(Pipe if kind == "stream" else io.BytesIO):
        def write(self, data):
            if len(data) > 10:
                raise OSError(errno.ENOSPC, "full")
            return super().write(data)

    sink = Sink.of_file(Bad())
    with pytest.raises(OSError) as e:
        write(sink, [(0, BLOB)], threads=3)
    assert e.value.errno == errno.ENOSPC


# ---- the page cache, and around it


def test_direct_and_buffered_writes_share_no_page(tmp_path):
    """Bytes of one page that come by different ways, many times over."""
    for i in range(30):
        with Sink.open(tmp_path / "a", durable=bool(i % 2)) as sink:
            n = (1 << 20) + int(rng.integers(0, 8192))
            at = int(rng.integers(0, 8192))
            sink.reserve(4 << 20)
            if at:
                sink.write_at(0, b"h" * at)
            write(sink, [(at, BLOB[:n])], direct=True, threads=4)
            write(sink, [(at + n, BLOB[: 1 << 20])], direct=True, threads=4)
            sink.write_at(at + n + (1 << 20), b"t" * 5000)
        expected = b"h" * at + blob(n) + blob(1 << 20) + b"t" * 5000
        assert (tmp_path / "a").read_bytes() == expected.ljust(4 << 20, b"\0")


def test_direct_where_there_is_no_such_thing(monkeypatch, tmp_path):
    real = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & getattr(os, "O_DIRECT", 0):
            raise OSError(errno.EINVAL, "no")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with Sink.open(tmp_path / "a") as sink:
        write(sink, [(0, BLOB)], direct=True)
    assert (tmp_path / "a").read_bytes() == blob(len(BLOB))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no tmpfs")
def test_on_tmpfs():
    path = f"/dev/shm/kio-test-{os.getpid()}"
    try:
        with Sink.open(path) as sink:
            assert write(sink, [(17, BLOB)], checksums="pieces", direct=True) == [zlib.crc32(BLOB)]
        with open(path, "rb") as file:
            assert file.read() == bytes(17) + blob(len(BLOB))
    finally:
        os.unlink(path)


@pytest.mark.skipif(os.name != "posix", reason="POSIX")
@pytest.mark.parametrize("direct", [True, False])
def test_no_room(tmp_path, direct):
    """RLIMIT_FSIZE: a sink without reserve meets the end in the middle of the transfer."""
    code = (
        "import resource, sys, numpy as np\n"
        "from kio.raw.sink import Sink; from kio.raw.transfer_out import write\n"
        "direct = sys.argv[2] == 'True'\n"
        "with Sink.open(sys.argv[1]) as sink:\n"
        "    sink.reserve(20 << 20)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (9 << 20, 9 << 20))\n"
        "    try: write(sink, [(0, np.ones(20 << 20, 'u1'))], direct=direct)\n"
        "    except OSError as e: print(e.errno, e.filename); sink.abort()\n"
    )
    path = tmp_path / "a"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", code, str(path), str(direct)]
    out = subprocess.run(command, capture_output=True, text=True)
    assert out.stdout.split() == [str(errno.EFBIG), str(path)], out.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


# ---- progress, signals, memory


def test_progress(target):
    seen = []
    target.write([(0, BLOB), (len(BLOB) + 5000, b"x")], progress=lambda done, total: seen.append((done, total)))
    total = len(BLOB) + 1
    assert {t for _, t in seen} == {total}
    done = [d for d, _ in seen]
    assert done == sorted(done)
    assert done[-1] == total
    assert done[0] < total or target.kind in ("direct", "memory")  # threads may all be done by then


def test_progress_may_end_it(target):
    class Enough(Exception):
        pass

    def stop(done, total):
        raise Enough

    with pytest.raises(Enough):
        target.write([(0, BLOB)], progress=stop)


@pytest.mark.skipif(os.name != "posix", reason="signals")
# A signal may strike inside a weakref callback, where Python only reports it; then it is sent again.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_keyboard_interrupt(tmp_path, interruptible):
    """Ctrl-C during a long write ends it within a second, and leaves nothing."""
    threads = threading.active_count()
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def slow():
        time.sleep(0.01)
        return BLOB[: 1 << 20]

    pieces = [(i << 20, Lazy(1 << 20, slow)) for i in range(3000)]
    ended = threading.Event()

    def interrupt():
        while not ended.wait(1):
            os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Sink.open(path) as sink:
        try:
            write(sink, pieces, direct=False)
        finally:
            ended.set()
    assert time.monotonic() - began < 15
    interrupter.join()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
    assert threading.active_count() == threads


def test_other_threads_run_meanwhile(tmp_path):
    ticks, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.0005)

    counter = threading.Thread(target=count)
    counter.start()
    with Sink.open(tmp_path / "a") as sink:
        before = ticks[0]
        write(sink, [(0, BLOB)], checksums="pieces")
        assert ticks[0] > before
    stop.set()
    counter.join()


def test_abort_while_threads_write(tmp_path):
    """From another thread: the write fails or finishes, and never writes elsewhere."""
    for _ in range(5):
        sink = Sink.open(tmp_path / "a", durable=False)
        sink.reserve(len(BLOB))
        timer = threading.Timer(0.002, sink.abort)
        timer.start()
        with contextlib.suppress(ValueError):  # aborted before it began
            write(sink, [(0, BLOB)], threads=4, direct=False)
        timer.join()
        assert sink.state == "aborted"
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_memory_is_bounded(tmp_path):
    code = (
        "import resource, sys, numpy as np\n"
        "from kio.raw.sink import Sink; from kio.raw.transfer_out import Lazy, write\n"
        "a = np.ones(256 << 20, 'u1')\n"
        "make = lambda: np.ones(4 << 20, 'u1')\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with Sink.open(sys.argv[1], durable=True) as sink:\n"
        "    write(sink, [(0, b'x')])\n"
        "    before = peak()\n"
        "    write(sink, [(1, a)], checksums='pieces', threads=99)\n"
        "    print((peak() - before) // 1024)\n"
        "    at = 1 + a.nbytes\n"
        "    write(sink, [(at + (i << 22), Lazy(4 << 20, make)) for i in range(32)])\n"
        "    print((peak() - before) // 1024)\n"
        "    sink.abort()\n"
    )
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, check=True)
    arrays, lazy = map(int, out.stdout.split())
    assert arrays <= 32
    assert lazy <= 64


def test_default_threads():
    assert transfer_out.default_threads(0, True) == 1
    assert 1 < transfer_out.default_threads(1 << 30, True) <= 8
    assert transfer_out.default_threads(1 << 30, False) == 1
