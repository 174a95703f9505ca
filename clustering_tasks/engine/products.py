"""ClusterSums over the components of vectors, in an order that is written down.

Eight partial sums fill a processor's vector registers whatever their width, and their order is the
code's, not the compiler's: the same bits everywhere. One running sum would be as exact and cannot
be vectorised.

Numba's compiler does not see that eight sums belong together, and adds one by one: 190 ns for 768
components in the cache. So it is given them as what they are to LLVM, one vector: 38 ns, and the
same bits.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from clustering_tasks.engine.compile import kernel

Floats = npt.NDArray[np.floating[Any]]

_LANES = 8


def _sum_of_eights(term: Callable[[Any, Any, Any], Any]) -> Any:
    """Make a function that sums a term over the components of two contiguous vectors.

    Args:
        term: writes the term's instructions, from the builder and eight components of each vector.

    Returns:
        for kernels: a function of two vectors of one length; what is left of it after the last
        whole eight is not summed.
    """

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vectors = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, values, strict=True)
        ]
        lanes = ir.VectorType(context.get_value_type(signature.return_type), _LANES)
        total = cgutils.alloca_once_value(builder, ir.Constant(lanes, [0.0] * _LANES))
        length = builder.extract_value(vectors[0].shape, 0)
        nothing, step = (ir.Constant(length.type, number) for number in (0, _LANES))
        whole = builder.sub(length, builder.urem(length, step))
        with cgutils.for_range_slice(builder, nothing, whole, step) as (at, _):
            eights = [_loaded(builder, vector.data, at, lanes) for vector in vectors]
            builder.store(builder.fadd(builder.load(total), term(builder, *eights)), total)
        return _folded(builder, builder.load(total))

    def typed(context: Any, a: Any, b: Any) -> Any:
        if any(array.layout != "C" for array in (a, b)):
            return None  # strided: numba then names the caller
        return context.unify_types(a.dtype, b.dtype)(a, b), write

    return intrinsic(typed)


def _loaded(builder: Any, data: Any, at: Any, lanes: Any) -> Any:
    """Load eight components, as numbers of the type of `lanes`."""
    place = builder.gep(data, [at])
    number = data.type.pointee
    eight = builder.load(
        builder.bitcast(place, ir.VectorType(number, _LANES).as_pointer()),
        align=8 if isinstance(number, ir.DoubleType) else 4,
    )
    return eight if number == lanes.element else builder.fpext(eight, lanes)


def _folded(builder: Any, lanes: Any) -> Any:
    """Add neighbours, then neighbouring sums, until one is left."""
    sums = [builder.extract_element(lanes, ir.IntType(32)(at)) for at in range(_LANES)]
    while len(sums) > 1:
        sums = [builder.fadd(one, other) for one, other in zip(sums[::2], sums[1::2], strict=True)]
    return sums[0]


def _product(builder: Any, a: Any, b: Any) -> Any:
    return builder.fmul(a, b)


def _squared_difference(builder: Any, a: Any, b: Any) -> Any:
    difference = builder.fsub(a, b)
    return builder.fmul(difference, difference)


_dot_of_eights = _sum_of_eights(_product)
_squared_distance_of_eights = _sum_of_eights(_squared_difference)


@kernel
def dot(a: Floats, b: Floats) -> np.float32:
    """Product of two contiguous vectors of one length, in the wider of their types."""
    total: np.float32 = _dot_of_eights(a, b)
    for c in range(len(a) - len(a) % _LANES, len(a)):
        total += a[c] * b[c]
    return total


@kernel
def squared_distance(a: Floats, b: Floats) -> np.float32:
    """Squared Euclidean distance of two contiguous vectors of one length, by differences."""
    total: np.float32 = _squared_distance_of_eights(a, b)
    for c in range(len(a) - len(a) % _LANES, len(a)):
        total += (a[c] - b[c]) * (a[c] - b[c])
    return total


_CODES = 32  # 7-bit numbers that are multiplied at once
_SUMS = 8  # of their products that fit into 16 bits: 8 * 63 * 63 < 2^15


@intrinsic
def _product_of_codes(_: Any, a: Any, b: Any) -> Any:
    """Sum the products of two contiguous int8 vectors of -63 to 63, up to the last whole 32.

    60 ns for 768 of them where a loop of Numba takes 150; for a processor without AVX 120 and 385.
    """

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vectors = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, values, strict=True)
        ]
        wide = ir.VectorType(ir.IntType(32), _CODES)
        total = cgutils.alloca_once_value(builder, ir.Constant(wide, [0] * _CODES))
        length = builder.extract_value(vectors[0].shape, 0)
        first = ir.Constant(length.type, 0)
        for sums in (_SUMS, 1):
            step = ir.Constant(length.type, sums * _CODES)
            last = builder.sub(length, builder.urem(length, step))
            with cgutils.for_range_slice(builder, first, last, step) as (at, _):
                products = _summed_products(builder, vectors, at, sums)
                widened = builder.sext(products, wide)
                builder.store(builder.add(builder.load(total), widened), total)
            first = last
        lanes = builder.load(total)
        numbers = [builder.extract_element(lanes, ir.IntType(32)(at)) for at in range(_CODES)]
        return reduce(builder.add, numbers)

    return types.int32(a, b), write


def _summed_products(builder: Any, vectors: Any, at: Any, sums: int) -> Any:
    """Add up to 8 products in each of 32 lanes of 16 bits."""
    bytes_, lanes = (ir.VectorType(ir.IntType(bits), _CODES) for bits in (8, 16))

    def loaded(vector: Any, place: Any) -> Any:
        pointer = builder.bitcast(builder.gep(vector.data, [place]), bytes_.as_pointer())
        return builder.sext(builder.load(pointer, align=1), lanes)

    places = [builder.add(at, ir.Constant(at.type, number * _CODES)) for number in range(sums)]
    products = [builder.mul(*(loaded(vector, place) for vector in vectors)) for place in places]
    return reduce(builder.add, products)


@kernel
def dot_of_codes(a: npt.NDArray[np.int8], b: npt.NDArray[np.int8]) -> np.int32:
    """Product of two contiguous vectors of one length whose numbers are -63 to 63."""
    total: np.int32 = _product_of_codes(a, b)
    for c in range(len(a) - len(a) % _CODES, len(a)):
        total += np.int32(a[c]) * np.int32(b[c])
    return total


_LINE = 64  # bytes that a processor fetches at once


@intrinsic
def prefetch(_: Any, row: Any) -> Any:
    """Begin to fetch a contiguous vector into the cache, for kernels.

    Rows in disorder would have to be waited for one by one: a distance took 680 ns, not 40.
    """

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        bytes_ = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [bytes_, *[ir.IntType(32)] * 3])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        length = builder.extract_value(array.shape, 0)
        zero, step = (ir.Constant(length.type, at) for at in (0, _LINE // row.dtype.bitwidth * 8))
        read, keep, data = (ir.Constant(ir.IntType(32), number) for number in (0, 3, 1))
        with cgutils.for_range_slice(builder, zero, length, step) as (at, _):
            place = builder.bitcast(builder.gep(array.data, [at]), bytes_)
            builder.call(fetch, [place, read, keep, data])
        return context.get_dummy_value()

    return types.void(row), write
