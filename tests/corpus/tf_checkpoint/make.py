"""Writes the corpus of TensorFlow checkpoints.  Needs TensorFlow 2.12 or later; cases are named after its version.

What is expected is what TensorFlow itself reads; where it cannot (slices of float16), what it was told to write.
"""

import json
import os
import re
import shutil
import struct
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
if find_spec("tf_keras"):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf
from writing import case, fresh, sha256


def installed(package):
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


V1 = tf.compat.v1
VERSION = ".".join(tf.__version__.split(".")[:2])
TF = next(each for each in ("tensorflow", "tensorflow-cpu") if installed(each))
KERAS = (TF, "tf_keras" if VERSION == "2.21" else "keras")
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
rng = np.random.default_rng(1)


def folder_of(name):
    return fresh(__file__, f"{name}-{VERSION}")


def plain(name):
    """Quantised types are integers with another name."""
    return name.removeprefix("q")


def record(value, name):
    """What ``expected.json`` says of one tensor."""
    if isinstance(value, bytes) or np.asarray(value).dtype == object:
        strings = np.asarray(value, object)
        joined = b"".join(struct.pack("<Q", len(each)) + each for each in strings.reshape(-1))
        return {"dtype": "text", "shape": list(strings.shape), "sha256": sha256(joined)}
    array = np.asarray(value)
    return {"dtype": name, "shape": list(array.shape), "sha256": sha256(np.ascontiguousarray(array).tobytes())}


def expect(folder, about, opened, prefix, *, layout="tf_names", by=(TF,), known=None, problems=None, **facts):
    """Write what TensorFlow says of a checkpoint."""
    reader = tf.train.load_checkpoint(str(folder / prefix))
    types = reader.get_variable_to_dtype_map()
    assert (GRAPH in types) == (layout == "tf_objects")
    tensors = {}
    for name in sorted(set(types) - {GRAPH} - set(problems or ())):
        value = known[name] if known and name in known else reader.get_tensor(name)
        tensors[name] = record(value, plain(types[name].name))
    case(folder, about, opened, by=by, layout=layout, problems=problems or {}, **facts)
    path = folder / "expected.json"
    said = json.loads(path.read_text(encoding="utf-8")) | {"tensors": tensors}
    path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save(prefix, tensors, slices=None):
    names = list(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=slices or [""] * len(names), tensors=list(tensors.values())
    )


# ------------------------------------------------------------------------------ types


def types():
    folder = folder_of("types")
    tensors = {}
    names = "float32 float64 float16 bfloat16 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool complex64 complex128"
    names += " qint8 quint8 qint16 quint16 qint32"
    if VERSION != "2.12":  # which ends the process for these
        names += " float8_e5m2 float8_e4m3fn int4 uint4"
    for name in names.split():
        dtype = getattr(tf, name, None) or getattr(tf.dtypes.experimental, name)
        values = rng.integers(0, 2 if name == "bool" else 7, (2, 3))
        if name.startswith("complex"):
            values = values + 1j * rng.integers(0, 7, (2, 3))
        if name.startswith("q"):
            made = tf.bitcast(tf.constant(values, plain(name)), dtype)
        elif "int" in name:
            made = tf.cast(tf.constant(values, tf.int8), dtype)
        else:
            made = tf.cast(tf.constant(values, tf.complex128 if name.startswith("complex") else tf.float64), dtype)
        tensors[name] = made
    tensors["scalar"] = tf.constant(2.5)
    tensors["empty"] = tf.zeros((0, 3))
    tensors["string"] = tf.constant(b"one")
    tensors["strings"] = tf.constant([[b"", "größe".encode()], [bytes(range(256)) * 2, b"\0"]])
    tensors["no strings"] = tf.zeros((0,), tf.string)
    tensors["größe/三"] = tf.constant([1, 2])
    save(folder / "ckpt", tensors)
    expect(folder, "Every element type, a scalar, none, strings, a name beyond ASCII.", "ckpt", "ckpt",
           metadata={"checkpoint_version": 2, "shards": 1})  # fmt: skip


def variants():
    folder = folder_of("variants")
    iterator = iter(tf.data.Dataset.range(5))
    next(iterator)
    lists = tf.raw_ops.TensorListFromTensor(tensor=tf.ones((3, 2)), element_shape=[2])
    save(folder / "lists", {"list": lists, "x": tf.constant([1.0])})
    for path in folder.iterdir():
        path.unlink()
    tf.train.Checkpoint(iterator=iterator, step=tf.Variable(7, dtype=tf.int64)).write(str(folder / "ckpt"))
    name = "iterator/.ATTRIBUTES/ITERATOR_STATE"
    expect(folder, "The state of an iterator, a variant, beside a variable.", "ckpt", "ckpt", layout="tf_objects",
           problems={name: "variant"})  # fmt: skip


# ------------------------------------------------------------------------------ slices and shards


def slices():
    folder = folder_of("slices")
    rows, half = rng.normal(size=(10, 6)).astype("f4"), rng.normal(size=(8, 2)).astype("f2")
    bricks, long = rng.integers(0, 100, (7, 5, 3)), np.arange(9000, dtype="i4")
    parts = []
    for a, b in ((0, 4), (4, 7), (7, 10)):
        parts.append(("rows", f"10 6 {a},{b - a}:-", rows[a:b]))
    for a, b in ((0, 2), (2, 5)):
        for c, e in ((0, 2), (2, 3)):
            parts.append(("bricks", f"7 5 3 -:{a},{b - a}:{c},{e - c}", bricks[:, a:b, c:e]))
    for a, b in ((0, 3), (3, 8)):
        parts.append(("half", f"8 2 {a},{b - a}:-", half[a:b]))
    for a, b in ((0, 70), (70, 8300), (8300, 9000)):
        parts.append(("long", f"9000 {a},{b - a}", long[a:b]))
    parts.append(("whole", "3 -", np.arange(3.0)))
    tf.raw_ops.SaveV2(
        prefix=str(folder / "ckpt"),
        tensor_names=[name for name, _, _ in parts],
        shape_and_slices=[where for _, where, _ in parts],
        tensors=[tf.constant(part) for _, _, part in parts],
    )
    expect(folder, "Tensors in slices: of rows, of bricks, of float16, with long numbers in their keys.", "ckpt.index",
           "ckpt", known={"half": half})  # fmt: skip


def sharded():
    folder = folder_of("sharded")
    parts = []
    for number in range(3):
        parts.append(folder / f"part{number}")
        save(parts[-1], {f"a{number}": tf.fill([4], float(number)), f"z{number}": tf.constant([number] * 3, tf.int64)})
    for number in range(2):
        parts.append(folder / f"slice{number}")
        save(parts[-1], {"s": tf.fill([3, 2], 10.0 + number)}, [f"6 2 {number * 3},3:-"])
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(part) for part in parts], destination_prefix=str(folder / "ckpt"), delete_old_dirs=False
    )
    for path in folder.iterdir():
        if not path.name.startswith("ckpt"):
            path.unlink()
    expect(folder, "Five shards; a tensor whose slices are in two.", "ckpt", "ckpt",
           metadata={"checkpoint_version": 2, "shards": 5})  # fmt: skip


def shard_policy():
    if VERSION != "2.21":
        return
    folder = folder_of("shard_policy")
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=900)
    kept = tf.train.Checkpoint(a=tf.Variable(tf.reshape(tf.range(600.0), (60, 10))), s=tf.Variable(b"text"))
    kept.write(str(folder / "ckpt"), options=tf.train.CheckpointOptions(experimental_sharding_callback=policy))
    expect(folder, "MaxShardSizePolicy, which cuts one tensor into shards.", "ckpt", "ckpt", layout="tf_objects")


# ------------------------------------------------------------------------------ TensorFlow 1


def graph_of_names():
    with V1.variable_scope("emb", partitioner=V1.fixed_size_partitioner(3, axis=0)):
        V1.get_variable("w", shape=(10, 4), initializer=V1.random_normal_initializer(seed=1))
    x = V1.placeholder(tf.float32, (None, 4), name="x")
    kernel = V1.get_variable("net/fc1/kernel", shape=(4, 3), initializer=V1.random_normal_initializer(seed=3))
    loss = tf.reduce_mean((x @ kernel) ** 2)
    step = V1.train.AdamOptimizer().minimize(loss, global_step=V1.train.get_or_create_global_step())
    return x, step


def names():
    folder = folder_of("names")
    with tf.Graph().as_default():
        x, step = graph_of_names()
        saver = V1.train.Saver()
        with V1.Session() as session:
            session.run(V1.global_variables_initializer())
            session.run(step, {x: np.ones((2, 4))})
            saver.save(session, str(folder / "model.ckpt"), global_step=1, write_meta_graph=False)
    state = folder / "checkpoint"
    # The folder was moved since, as every folder that is downloaded.
    state.write_text(re.sub(r'"[^"]*/', '"/train/run/', state.read_text()))
    expect(folder, "Saver of TensorFlow 1: partitioned, with Adam's slots; a state file of another place.", ".",
           "model.ckpt-1", metadata={"checkpoint_version": 2, "checkpoint": "model.ckpt-1", "shards": 1})  # fmt: skip


def first():
    """Version 1: one file, and two for variables of two devices."""
    folder, known = folder_of("first"), {}
    with tf.Graph().as_default():
        with V1.variable_scope("emb", partitioner=V1.fixed_size_partitioner(2, axis=0)):
            w = V1.get_variable("w", shape=(6, 4), initializer=V1.random_normal_initializer(seed=1), use_resource=False)
        values = {}
        for name in "float32 float64 int32 int64 int16 int8 uint8 uint16 bool complex64 float16".split():
            array = rng.integers(0, 2, (3, 2)) if name == "bool" else rng.integers(-99, 99, (3, 2))
            values[name] = V1.get_variable(name, initializer=tf.constant(array.astype(name)), use_resource=False)
        values["same"] = V1.get_variable("same", initializer=tf.fill((40, 5), 7), use_resource=False)
        values["string"] = V1.get_variable("string", initializer=tf.constant([b"ab", b""]), use_resource=False)
        saver = V1.train.Saver(write_version=V1.train.SaverDef.V1)
        with V1.Session() as session:
            session.run(V1.global_variables_initializer())
            saver.save(session, str(folder / "model.ckpt"), global_step=5, write_meta_graph=False, write_state=False)
            known = session.run(values)
            known["emb/w"] = np.concatenate(session.run(list(w)))
    # TensorFlow's own reader does not read partitioned tensors, complex and half types of version 1.
    expect(folder, "Version 1: most element types, a partitioned variable, one value repeated.", "model.ckpt-5",
           "model.ckpt-5", known=known, metadata={"checkpoint_version": 1, "shards": 1})  # fmt: skip

    folder = folder_of("first_sharded")
    with tf.Graph().as_default():
        with tf.device("/cpu:0"):
            a = V1.get_variable("a", initializer=tf.ones([3]), use_resource=False)
        with tf.device("/cpu:1"):
            b = V1.get_variable("b", initializer=tf.ones([2]) * 2, use_resource=False)
        saver = V1.train.Saver(write_version=V1.train.SaverDef.V1, sharded=True)
        with V1.Session(config=V1.ConfigProto(device_count={"CPU": 2}, allow_soft_placement=True)) as session:
            session.run(V1.global_variables_initializer())
            saver.save(session, str(folder / "m.ckpt"), write_meta_graph=False)
            known = session.run({"a": a, "b": b})
    files = [path.name for path in folder.glob("m.ckpt-*")]
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "m.ckpt-?????-of-{len(files):05}"\n')
    expect(folder, "Version 1 in several files, by a state file with a pattern.", ".", f"m.ckpt-?????-of-{len(files):05}",
           known=known, metadata={"checkpoint_version": 1, "checkpoint": f"m.ckpt-?????-of-{len(files):05}",
                                  "shards": len(files)})  # fmt: skip


# ------------------------------------------------------------------------------ objects


def objects():
    folder = folder_of("objects")

    class Part(tf.Module):
        def __init__(self):
            super().__init__()
            self.list = [tf.Variable(1.0), {"a": tf.Variable(2.0), "b/c": tf.Variable([3.0])}]
            self.dict = {"x.y": tf.Variable(b"text"), "n": tf.Variable(1, dtype=tf.int8)}
            self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
            self.table.insert(tf.constant(["k1"]), tf.constant([1], tf.int64))
            self.alias = self.list[0]

    kept = tf.train.Checkpoint(part=Part())
    kept.save(str(folder / "sub" / "ckpt"))
    kept.save(str(folder / "sub" / "ckpt"))
    shutil.move(folder / "sub" / "checkpoint", folder / "checkpoint")
    state = folder / "checkpoint"
    state.write_text(re.sub(r'"[^"]*(ckpt-\d)"', r'"sub/\1"', state.read_text()))
    expect(folder, "Lists, dicts, a table; the state file names one of two in a folder below.", ".", "sub/ckpt-2",
           layout="tf_objects", metadata={"checkpoint_version": 2, "checkpoint": "sub/ckpt-2", "shards": 1})  # fmt: skip


def model():
    layers = tf.keras.layers
    made = tf.keras.Sequential([layers.Dense(3, input_shape=(4,)), layers.BatchNormalization(), layers.Dense(2)])
    made.compile("adam", "mse")
    made.train_on_batch(np.ones((2, 4)), np.ones((2, 2)))
    return made


def keras_weights():
    folder = folder_of("keras_weights")
    model().save_weights(str(folder / "cp.ckpt"), save_format="tf")
    expect(folder, "Model.save_weights(save_format='tf').", "cp.ckpt", "cp.ckpt", layout="tf_objects", by=KERAS)


def manager():
    folder = folder_of("manager")
    made = model()
    kept = tf.train.Checkpoint(step=tf.Variable(1), optimizer=made.optimizer, net=made)
    managed = tf.train.CheckpointManager(kept, str(folder), max_to_keep=2)
    for _ in range(3):
        kept.step.assign_add(1)
        managed.save()
    expect(folder, "CheckpointManager, of whose three checkpoints two are left.", ".", "ckpt-3", layout="tf_objects",
           by=KERAS, metadata={"checkpoint_version": 2, "checkpoint": "ckpt-3", "shards": 1})  # fmt: skip


def variables():
    folder = folder_of("variables")
    model().save(str(folder / "model"), save_format="tf")
    shutil.move(folder / "model" / "variables", folder / "variables")
    shutil.rmtree(folder / "model")
    expect(folder, "The variables of a SavedModel, without the rest of it.", "variables", "variables/variables",
           layout="tf_objects", by=KERAS)  # fmt: skip


# ------------------------------------------------------------------------------ other machines


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def blob(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def sstable(entries, snappy):
    """One block, every key whole; its contents as a Snappy stream of literals."""
    out = bytearray()

    def block(pairs, snappy=False):
        nonlocal out
        contents, restarts = b"", []
        for key, value in pairs:
            restarts.append(len(contents))
            contents += b"\0" + varint(len(key)) + varint(len(value)) + key + value
        contents += b"".join(n.to_bytes(4, "little") for n in [*(restarts or [0]), len(restarts or [0])])
        if snappy:
            parts = [contents[at : at + 60] for at in range(0, len(contents), 60)]
            contents = varint(len(contents)) + b"".join(bytes([len(part) - 1 << 2]) + part for part in parts)
        handle = varint(len(out)) + varint(len(contents))
        stored = contents + bytes([snappy])
        out += stored + masked(crc32c(stored)).to_bytes(4, "little")
        return handle

    data = block(entries, snappy)
    meta = block([])
    ends = meta + block([(entries[-1][0] + b"x", data)])
    return bytes(out) + ends + bytes(40 - len(ends)) + bytes.fromhex("57fb808b247547db")


def elsewhere():
    """A checkpoint as a big-endian machine writes it, and one whose index is compressed; TensorFlow reads both."""
    if VERSION != "2.21":
        return
    for name, big in (("big_endian", True), ("snappy", False)):
        folder = folder_of(name)
        order, sign = ("big", ">") if big else ("little", "<")
        arrays = {"a": rng.normal(size=(3, 4)), "b": np.arange(5), "h": np.ones(3, "f2"), "u": np.arange(3, dtype="u1")}
        data, entries = b"", [(b"", b"\x08\x01" + (b"\x10\x01" if big else b"") + b"\x1a\x02\x08\x01")]
        for key, array in arrays.items():
            stored = array.astype(array.dtype.newbyteorder(sign)).tobytes()
            shape = b"".join(blob(2, b"\x08" + varint(n)) for n in array.shape)
            entries.append((key.encode(), b"\x08" + varint(tf.as_dtype(array.dtype).as_datatype_enum) + blob(2, shape)
                            + b"\x20" + varint(len(data)) + b"\x28" + varint(len(stored))
                            + b"\x35" + masked(crc32c(stored)).to_bytes(4, "little")))  # fmt: skip
            data += stored
        lengths = b"".join(n.to_bytes(4, order) for n in (3, 0))
        check = masked(crc32c(lengths)).to_bytes(4, order)
        crc = crc32c(lengths + check + b"one")
        stored = b"\x03\x00" + check + b"one"
        entries.append((b"z", b"\x08\x07" + blob(2, blob(2, b"\x08\x02")) + b"\x20" + varint(len(data)) + b"\x28"
                        + varint(len(stored)) + b"\x35" + masked(crc).to_bytes(4, "little")))  # fmt: skip
        (folder / "ckpt.data-00000-of-00001").write_bytes(data + stored)
        (folder / "ckpt.index").write_bytes(sstable(entries, not big))
        about = "As a big-endian machine writes it." if big else "An index in a Snappy block."
        expect(folder, f"{about} Made by hand, read by TensorFlow.", "ckpt", "ckpt",
               **({"metadata": {"checkpoint_version": 2, "shards": 1, "byte_order": "big"}} if big else {}))  # fmt: skip


# ------------------------------------------------------------------------------ refused


def refused():
    if VERSION != "2.21":
        return

    def bad(name, about, opened, error, says, change):
        folder = folder_of(name)
        save(folder / "ckpt", {"x": tf.constant([1.0])})
        change(folder)
        case(folder, about, opened, by=(TF,), error=error, says=says)

    def state(path):
        return lambda folder: (folder / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')

    bad("no_shard", "The data file is missing.", "ckpt.index", "CorruptError", "copy all files",
        lambda folder: (folder / "ckpt.data-00000-of-00001").unlink())  # fmt: skip
    bad("leaves", "The state file leads out of the folder.", ".", "CorruptError", "stays in the folder",
        state("../types-2.21/ckpt"))  # fmt: skip
    bad("elsewhere", "The state file names a checkpoint of another folder.", ".", "UnsupportedError",
        "open /train/run/ckpt-9 itself", state("/train/run/ckpt-9"))  # fmt: skip
    bad("no_state", "Two checkpoints and no state file.", ".", "UnsupportedError", "open one by its prefix",
        lambda folder: save(folder / "other", {"x": tf.constant([1.0])}))  # fmt: skip
    bad("damaged_state", "A state file that is none.", ".", "CorruptError", "state file",
        lambda folder: (folder / "checkpoint").write_text("ckpt\n"))  # fmt: skip


ALL = (types, variants, slices, sharded, shard_policy, names, first, objects, keras_weights, manager, variables, elsewhere, refused)

if __name__ == "__main__":
    for make in ALL:
        if len(sys.argv) < 2 or make.__name__ in sys.argv[1:]:
            make()
