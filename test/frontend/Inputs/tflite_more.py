"""Further cases of tflite_cases.py: booleans, what makes constants, and weights of which only some elements are there."""
import numpy as np

from tflite_cases import CASES, case


def logical(c, name):
    a = np.array([[True, False, True], [False, False, True]])
    inputs = [c.given(a)] + ([c.given(a[::-1].copy())] if name != "LOGICAL_NOT" else [])
    y = c.result([2, 3], kind="bool")
    c.m.op(name, inputs, [y])
    return y


for _name in ("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"):
    CASES.append((_name.lower() + "_f", None, lambda c, name=_name: logical(c, name)))


@case("f")
def bitwise_xor(c):
    y = c.result([2, 4], kind="int32")
    c.m.op("BITWISE_XOR", [c.activation([2, 4], kind="int32"), c.constant([[5, -7, 0, 1 << 30]])], [y])
    return y


@case("f")
def embedding_lookup(c):
    y = c.result([4, 3])
    c.m.op("EMBEDDING_LOOKUP", [c.given(np.array([4, 0, 4, 1]), "int32"), c.constant(c.random.draw([5, 3], -64, 64) / 64, "float32")], [y])
    return y


@case("f")
def filled(c):
    a, y, whole = c.activation([2, 3]), c.result([2, 3]), c.m.tensor("whole", [2, 3])
    c.m.op("FILL", [c.constant([2, 3]), c.constant(2.5, "float32")], [whole])
    c.m.op("MUL", [a, whole], [y], "MulOptions")
    return y


@case("f")
def shapes(c):
    """Of a tensor: its shape and rank, zeros like it, and a range."""
    a = c.activation([2, 3, 4], kind="int32")
    number = lambda name, shape: c.m.tensor(name, shape, "int32")  # noqa: E731
    shape, rank, zeros, line = number("shape", [3]), number("rank", []), number("zeros", [2, 3, 4]), number("line", [4])
    c.m.op("SHAPE", [a], [shape], "ShapeOptions", out_type=2)
    c.m.op("RANK", [a], [rank])
    c.m.op("ZEROS_LIKE", [a], [zeros])
    c.m.op("RANGE", [c.constant(7), c.constant(-1), c.constant(-2)], [line])
    one, two, y = number("one", [2, 3, 4]), number("two", [2, 3, 4]), c.result([2, 3, 4], kind="int32")
    c.m.op("ADD", [zeros, rank], [one], "AddOptions")
    c.m.op("ADD", [one, line], [two], "AddOptions")
    c.m.op("SUB", [two, a], [y], "SubOptions")
    return [y, shape]


def sparse(c, blocks):
    """A matrix of 4 x 6, with a list of the columns that each row has; or of blocks of 1 x 2."""
    width = 6 // blocks
    columns = [[1, 4], [], [0, 2, 5], [3]] if blocks == 1 else [[1], [0, 2], [], [2]]
    lists = lambda values: {"table": "Int32Vector", "values": values}  # noqa: E731
    dims = [{"table": "DimensionMetadata", "format": 0, "dense_size": 4},
            {"table": "DimensionMetadata", "format": 1, "array_segments_type": 1, "array_segments": lists(np.cumsum([0] + [len(x) for x in columns])),
             "array_indices_type": 1, "array_indices": lists(sum(columns, []))}]
    table = {"table": "SparsityParameters", "traversal_order": [0, 1]}
    if blocks > 1:
        dims.append({"table": "DimensionMetadata", "format": 0, "dense_size": blocks})
        table |= {"traversal_order": [0, 1, 2], "block_map": [1]}
    assert all(x < width for row in columns for x in row)
    count = blocks * sum(map(len, columns))
    weight = c.constant(c.random.draw([count], -64, 64) / 64, "float32")
    c.m.tensors[weight].update(shape=[4, 6], sparsity={**table, "dim_metadata": dims})
    dense, y = c.m.tensor("dense", [4, 6]), c.result([3, 4])
    c.m.op("DENSIFY", [weight], [dense])
    c.m.op("FULLY_CONNECTED", [c.activation([3, 6]), dense, -1], [y], "FullyConnectedOptions")
    return y


CASES.append(("sparse_f", None, lambda c: sparse(c, 1)))
CASES.append(("sparse_blocks_f", None, lambda c: sparse(c, 2)))


def branches(c, condition, kind="float32", **more):
    """y = a + b, or a * b * b."""
    a, b, y = c.activation([2, 3]), c.activation([2, 3]), c.result([2, 3])
    yes, no = c.m.graph(), c.m.graph()
    for graph in yes, no:
        x, z = graph.input("x", [2, 3], kind, **more), graph.input("z", [2, 3], kind, **more)
        graph.outputs = [graph.tensor("out", [2, 3], kind, **more)]
        graph.op("ADD" if graph is yes else "MUL", [x, z], graph.outputs, "AddOptions" if graph is yes else "MulOptions")
    if condition is None:
        condition = c.m.tensor("condition", [], "bool")
        most, number = c.m.tensor("most", []), c.constant(-1000, "float32")
        c.m.op("REDUCE_MAX", [a, c.constant([0, 1])], [most], "ReducerOptions")
        c.m.op("LESS", [most, number], [condition])
    else:
        condition = c.given(np.array(condition))
    c.m.op("IF", [condition, a, b], [y], "IfOptions", then_subgraph_index=yes.number, else_subgraph_index=no.number)
    return y


@case("f")
def if_true(c):
    return branches(c, True)


@case("f")
def if_false(c):
    return branches(c, False)


@case("f")
def if_computed(c):
    return branches(c, None)


@case("i8")
def if_whole(c):
    return branches(c, True, "int8", scale=0.05, zero=3)
