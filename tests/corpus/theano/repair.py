"""What old Keras and Theano expect of Python, SciPy and NumPy, and newer ones call otherwise.

Imported before Keras.  Theano then computes in Python, each operation by its own reference
implementation: no C compiler is needed.  Never imports kio.
"""

import collections
import collections.abc
import inspect
import os
import sys

if not hasattr(inspect, "getargspec"):
    _Spec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")
    inspect.getargspec = lambda function: _Spec(*inspect.getfullargspec(function)[:4])
for name in ("Iterable", "Mapping", "Callable", "Sequence"):
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))

# Theano's own convolutions look for functions that SciPy has moved.
import scipy.signal._signaltools
import scipy.signal._sigtools

sys.modules["scipy.signal.signaltools"] = scipy.signal._signaltools
sys.modules["scipy.signal.sigtools"] = scipy.signal._sigtools

# Without the check nothing is optimised away from those.
_FLAGS = "cxx=,blas__ldflags=,device=cpu,floatX=float32,mode=FAST_COMPILE,optimizer_excluding=AbstractConvCheck"
os.environ["THEANO_FLAGS"] = ",".join(filter(None, [os.environ.get("THEANO_FLAGS"), _FLAGS]))

import theano.sandbox.rng_mrg as rng

if not hasattr(rng, "MRG_RandomStreams"):
    rng.MRG_RandomStreams = rng.MRG_RandomStream


def pool2d(x, pool_size, strides=(1, 1), border_mode="valid", dim_ordering="th", pool_mode="max"):
    """The maximum of parts that do not overlap, channels first: Theano's own needs an older NumPy."""
    if (tuple(strides), border_mode, dim_ordering, pool_mode) != (tuple(pool_size), "valid", "th", "max"):
        raise NotImplementedError("a pool that overlaps")
    rows, columns = pool_size
    high, wide = x.shape[2] // rows, x.shape[3] // columns
    x = x[:, :, : high * rows, : wide * columns]
    return x.reshape((x.shape[0], x.shape[1], high, rows, wide, columns)).max((3, 5))
