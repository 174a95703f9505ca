"""Products of 7-bit rows: a tile of 8 queries by 32 columns, the same integers on every processor.

Numba's compiler does not find a processor's instructions for products of bytes, so the tile is
given to LLVM in vectors, once for each of three instruction sets. All stand in the same machine
code and the process picks one: a cache that was filled on another machine or for a generic
processor (images) works, and is as fast. Billions of products of two numbers a second on one core
of an AMD EPYC (Zen 4): `vnni` 230, `avx2` 135 to 145, `plain` 30 to 57; OpenBLAS in float32 48 to
110.

A column's bytes have no sign (64 is added), a query's have one: that is what the instructions take.
64 times the sum of the query is taken off before the first product. Of 7 bits, two products fit
into 16 bits in any order; of 8 bits, AVX2 would cut them off and VNNI would not.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Literal, get_args

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from clustering_tasks.errors import SettingsError

Path = Literal["vnni", "avx2", "plain"]

QUERIES, COLUMNS = 8, 32
GROUP = 4  # components whose products an instruction adds at once
STEP = 8  # rows are padded to a multiple of it: `avx2` takes two groups at once

_I8, _I16, _I32, _I64, _F32 = (
    ir.IntType(8),
    ir.IntType(16),
    ir.IntType(32),
    ir.IntType(64),
    ir.FloatType(),
)
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_NEEDED: dict[Path, tuple[str, ...]] = {
    "vnni": ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"),
    "avx2": ("avx2",),
    "plain": (),
}


def tile_paths() -> list[Path]:
    """Return the instruction sets that this processor has, the fastest first."""
    features = _host_features()
    return [
        path
        for path, needed in _NEEDED.items()
        if not needed or (_X86 and all(features.get(name) for name in needed))
    ]


def tile_path() -> int:
    """Return the number of the path that tiles take: the fastest, or `STAGE4_TILES`.

    Raises:
        SettingsError: when the environment names a path that this processor does not have.
    """
    wanted = os.environ.get("STAGE4_TILES") or tile_paths()[0]
    for path in tile_paths():
        if wanted == path:
            return get_args(Path).index(path)
    raise SettingsError(
        f"STAGE4_TILES={wanted}: this processor has {', '.join(tile_paths())}; unset it"
    )


@cache
def _host_features() -> dict[str, bool]:
    """Ask LLVM what the processor and its operating system can do; it takes a millisecond."""
    return dict(llvm.get_host_cpu_features())


@dataclass(frozen=True)
class _Shape:
    """How a path cuts the tile: registers for `queries` by `columns` sums, `lanes` in each."""

    queries: int
    columns: int
    lanes: int


_SHAPES: dict[Path, _Shape] = {
    "vnni": _Shape(8, 32, 16),
    "avx2": _Shape(4, 16, 8),
    "plain": _Shape(2, 8, 8),
}


class _Attributes(ir.values.FunctionAttributes):  # type: ignore[misc]
    """Attributes of a function that may use more instructions than the rest of the code."""

    def __init__(self, path: Path) -> None:
        super().__init__(("noinline", "nounwind"))
        self._path = path

    def _to_list(self, ret_type: Any) -> list[str]:
        attributes: list[str] = super()._to_list(ret_type)
        if needed := _NEEDED[self._path]:
            features = ",".join(f"+{name}" for name in ("sse4.2", "avx2", *needed))
            attributes += [f'"target-features"="{features}"', '"min-legal-vector-width"="512"']
        return attributes


# Of a tile: its columns' bytes, addresses of its queries, what their sums begin with, the least
# value that counts of each, the columns' weights, groups of a row; written: values, marks.
_ARGUMENTS = [
    _I8.as_pointer(),
    _I64.as_pointer(),
    _I32.as_pointer(),
    _F32.as_pointer(),
    _F32.as_pointer(),
    _I64,
    _F32.as_pointer(),
    _I32.as_pointer(),
]


def _tile_function(module: Any, path: Path) -> Any:
    """Return a path's function, written into the module at its first use."""
    name = f"tile_of_7_bits_{path}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), _ARGUMENTS), name)
    function.linkage = "internal"
    function.attributes = _Attributes(path)
    writer = _Writer(ir.IRBuilder(function.append_basic_block()), function, path)
    shape = _SHAPES[path]
    for query in range(0, QUERIES, shape.queries):
        for column in range(0, COLUMNS, shape.columns):
            writer.write(query, column)
    writer.builder.ret_void()
    return function


class _Writer:
    """Writes the instructions of one path's tile."""

    def __init__(self, builder: Any, function: Any, path: Path) -> None:
        self.builder = builder
        self._function = function
        self._path = path
        self._shape = _SHAPES[path]
        self._sums = ir.VectorType(_I32, self._shape.lanes)
        self._totals = ir.VectorType(_I32, self._shape.lanes * (2 if path == "plain" else 1))

    def write(self, query: int, column: int) -> None:
        """Write the part of the tile whose first query and column these are."""
        builder, function, shape = self.builder, self._function, self._shape
        columns, addresses, starts, _, _, groups, _, _ = function.args
        queries = range(query, query + shape.queries)
        rows = [builder.inttoptr(self._at(addresses, q), _I32.as_pointer()) for q in queries]
        first = [self._begun(self._splat(self._at(starts, q))) for q in queries]
        before, loop = builder.block, function.append_basic_block()
        builder.branch(loop)
        builder.position_at_end(loop)
        group = builder.phi(_I64)
        places = list(product(range(shape.queries), range(shape.columns // shape.lanes)))
        sums = {place: builder.phi(self._totals) for place in places}
        added = self._added(columns, column, rows, group, sums)
        following = builder.add(group, _I64(STEP // GROUP))
        group.add_incoming(_I64(0), before)
        group.add_incoming(following, loop)
        for place in places:
            sums[place].add_incoming(first[place[0]], before)
            sums[place].add_incoming(added[place], loop)
        after = function.append_basic_block()
        builder.cbranch(builder.icmp_signed("<", following, groups), loop, after)
        builder.position_at_end(after)
        for q in queries:
            ended = [self._ended(added[place]) for place in places if place[0] == q - query]
            self._compare(q, column, ended)

    def _added(
        self, columns: Any, column: int, rows: Sequence[Any], group: Any, sums: dict[Any, Any]
    ) -> dict[Any, Any]:
        """Add the products of one step to the sums."""
        builder, lanes = self.builder, self._shape.lanes
        groups = [builder.add(group, _I64(at)) for at in range(STEP // GROUP)]
        bases = [builder.gep(columns, [builder.mul(g, _I64(GROUP * COLUMNS))]) for g in groups]
        added = dict(sums)
        add = getattr(self, f"_add_{self._path}")
        for n in range(self._shape.columns // lanes):
            place = _I64(GROUP * (column + n * lanes))
            those = [self._loaded(builder.gep(base, [place]), _I8, GROUP * lanes) for base in bases]
            for m, row in enumerate(rows):
                fours = [
                    self._splat(builder.load(builder.gep(row, [at]), align=4)) for at in groups
                ]
                added[m, n] = add(added[m, n], those, fours)
        return added

    def _add_vnni(self, total: Any, columns: Sequence[Any], queries: Sequence[Any]) -> Any:
        for column, query in zip(columns, queries, strict=True):
            four = self.builder.bitcast(column, self._sums)
            total = self._call("llvm.x86.avx512.vpdpbusd.512", self._sums, total, four, query)
        return total

    def _add_avx2(self, total: Any, columns: Sequence[Any], queries: Sequence[Any]) -> Any:
        pairs = ir.VectorType(_I16, 16)
        both = [
            self._call(
                "llvm.x86.avx2.pmadd.ub.sw", pairs, column, self.builder.bitcast(query, column.type)
            )
            for column, query in zip(columns, queries, strict=True)
        ]
        twos = self.builder.add(*both)
        ones = ir.Constant(pairs, [1] * 16)
        fours = self._call("llvm.x86.avx2.pmadd.wd", self._sums, twos, ones)
        return self.builder.add(total, fours)

    def _add_plain(self, total: Any, columns: Sequence[Any], queries: Sequence[Any]) -> Any:
        """Add pairs of products, which many processors have an instruction for."""
        builder = self.builder
        for column, query in zip(columns, queries, strict=True):
            wide = ir.VectorType(_I32, column.type.count)
            signed = builder.sext(builder.bitcast(query, column.type), wide)
            products = builder.mul(builder.zext(column, wide), signed)
            total = builder.add(total, builder.add(*self._halves(products)))
        return total

    def _begun(self, start: Any) -> Any:
        """Return what the sums begin with, as the path keeps them: `plain` has two of each."""
        if self._totals == self._sums:
            return start
        lanes = self._shape.lanes
        zeros = ir.Constant(self._sums, [0] * lanes)
        order = [at for lane in range(lanes) for at in (lane, lanes + lane)]
        return self.builder.shuffle_vector(start, zeros, ir.Constant(self._totals, order))

    def _ended(self, total: Any) -> Any:
        """Return the sums of a path's totals."""
        return total if self._totals == self._sums else self.builder.add(*self._halves(total))

    def _halves(self, lanes: Any) -> list[Any]:
        """Return the lanes with even numbers and those with odd ones."""
        count = lanes.type.count
        return [
            self.builder.shuffle_vector(
                lanes,
                lanes,
                ir.Constant(ir.VectorType(_I32, count // 2), list(range(odd, count, 2))),
            )
            for odd in (0, 1)
        ]

    def _compare(self, query: int, column: int, sums: Sequence[Any]) -> None:
        """Write a query's sums times the columns' weights, and mark those that count."""
        builder, lanes = self.builder, self._shape.lanes
        _, _, _, limits, weights, _, values, marks = self._function.args
        limit = self._splat(self._at(limits, query))
        marked = builder.gep(marks, [_I64(query)])
        bits = builder.load(marked) if column else _I32(0)
        for n, total in enumerate(sums):
            first = column + n * lanes
            weight = self._loaded(builder.gep(weights, [_I64(first)]), _F32, lanes)
            value = builder.fmul(builder.sitofp(total, weight.type), weight)
            place = builder.gep(values, [_I64(query * COLUMNS + first)])
            builder.store(value, builder.bitcast(place, weight.type.as_pointer()), align=4)
            hits = builder.bitcast(builder.fcmp_ordered(">=", value, limit), ir.IntType(lanes))
            bits = builder.or_(bits, builder.shl(builder.zext(hits, _I32), _I32(first)))
        builder.store(bits, marked)

    def _at(self, array: Any, at: int) -> Any:
        return self.builder.load(self.builder.gep(array, [_I64(at)]))

    def _loaded(self, place: Any, number: Any, lanes: int) -> Any:
        kind = ir.VectorType(number, lanes).as_pointer()
        return self.builder.load(self.builder.bitcast(place, kind), align=4)

    def _splat(self, number: Any) -> Any:
        """Repeat a number in all lanes."""
        kind = ir.VectorType(number.type, self._shape.lanes)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, _I32(0))
        zeros = ir.Constant(ir.VectorType(_I32, self._shape.lanes), [0] * self._shape.lanes)
        return self.builder.shuffle_vector(one, one, zeros)

    def _call(self, name: str, returned: Any, *arguments: Any) -> Any:
        kind = ir.FunctionType(returned, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)


@intrinsic
def tile(
    _: Any,
    path: Any,
    columns: Any,
    addresses: Any,
    starts: Any,
    limits: Any,
    weights: Any,
    groups: Any,
    values: Any,
    marks: Any,
) -> Any:
    """Multiply a tile, for kernels.

    Args:
        _: numba's context.
        path: int64 number of the path, from `tile_path`.
        columns: (groups * 128,) uint8, of each group of four components those of all columns.
        addresses: (8,) int64 of the queries' int8 rows.
        starts: (8,) int32 what the sums begin with: -64 times the sum of the query.
        limits: (8,) float32 least value of each query that is marked.
        weights: (32,) float32 of the columns.
        groups: int64, an even number.
        values: (8, 32) float32, written: products times weights.
        marks: (8,) int32, written: bit j of a query is set where value j is its limit or more.
    """
    signature = types.void(path, columns, addresses, starts, limits, weights, groups, values, marks)
    return signature, _write_call


def _write_call(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    path, *rest = values
    arguments = [
        builder.bitcast(context.make_array(kind)(context, builder, value).data, wanted)
        if isinstance(kind, types.Array)
        else value
        for kind, value, wanted in zip(signature.args[1:], rest, _ARGUMENTS, strict=True)
    ]
    after = builder.append_basic_block()
    paths = get_args(Path) if _X86 else ("plain",)
    otherwise = builder.append_basic_block()
    switch = builder.switch(path, otherwise)
    for name in paths:
        block = otherwise if name == "plain" else builder.append_basic_block()
        if name != "plain":
            switch.add_case(_I64(get_args(Path).index(name)), block)
        builder.position_at_end(block)
        builder.call(_tile_function(builder.module, name), arguments)
        builder.branch(after)
    builder.position_at_end(after)
    return context.get_dummy_value()


@intrinsic
def lowest_bit(_: Any, bits: Any) -> Any:
    """Number of the lowest bit that is set, for kernels; `bits` is not 0."""

    def write(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return bits(bits), write
