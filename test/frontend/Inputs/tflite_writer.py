"""Small TFLite models, written without TensorFlow. Fields by the tables of frontend/tflite/schema.def, operators by
tflite_ops.def. A table is a dict with its name under "table"; fields that are left out have their defaults."""
import os
import re
import struct

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "frontend", "tflite")
TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9, "resource": 13}
# BuiltinOptions of the schema
OPTIONS = dict(Conv2DOptions=1, DepthwiseConv2DOptions=2, Pool2DOptions=5, SVDFOptions=6, RNNOptions=7, FullyConnectedOptions=8, LSTMOptions=14, SoftmaxOptions=9,
               ConcatenationOptions=10, AddOptions=11, L2NormOptions=12, ResizeBilinearOptions=15, ReshapeOptions=17,
               SpaceToDepthOptions=19, MulOptions=21, GatherOptions=23, ReducerOptions=27, SubOptions=28, DivOptions=29,
               SqueezeOptions=30, SequenceRNNOptions=31, StridedSliceOptions=32, SplitOptions=35, CastOptions=37, ArgMaxOptions=40, TransposeConvOptions=49,
               ShapeOptions=55, ArgMinOptions=57, PackOptions=59, OneHotOptions=61, UnpackOptions=64, BidirectionalSequenceLSTMOptions=69, BidirectionalSequenceRNNOptions=70, UnidirectionalSequenceLSTMOptions=71,
               ResizeNearestNeighborOptions=74, LeakyReluOptions=75, MirrorPadOptions=77, SplitVOptions=79, IfOptions=92, DepthToSpaceOptions=94,
               BatchMatMulOptions=101, CumsumOptions=102, CallOnceOptions=103, VarHandleOptions=111, GeluOptions=116)
INLINE = {"BOOL": "?", "INT8": "b", "UINT8": "B", "INT32": "i", "UINT32": "I", "UINT64": "Q", "FLOAT32": "f"}
VECTORS = {"BYTES": "uint8", "SHORTS": "uint16", "INTS": "int32", "LONGS": "int64", "FLOATS": "float32"}


def rows(file, macro):
    with open(os.path.join(ROOT, file), encoding="utf-8") as text:
        return [tuple(part.strip() for part in row.split(",")) for row in re.findall(rf"^{macro}\((.*?)\)", text.read(), re.M)]


FIELDS = {(table, name): (int(number), kind) for table, name, number, kind, _ in rows("schema.def", "FIELD")}
CODES = {name: int(code) for macro in ("TFLITE", "TFLITE_MISSING") for code, name, *_ in rows("tflite_ops.def", macro)}


class Writer:
    def __init__(self):
        self.out = bytearray(8)
        self.out[4:] = b"TFL3"

    def align(self, size, ahead=0):
        while (len(self.out) + ahead) % size:
            self.out.append(0)

    def point(self, slot, place):
        self.out[slot:slot + 4] = struct.pack("<I", place - slot)

    def vector(self, kind, value):
        if kind == "TABLES":
            self.align(4)
            place = len(self.out)
            self.out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for i, item in enumerate(value):
                self.point(place + 4 + 4 * i, self.table(item))
            return place
        data = value.encode() if kind == "STRING" else np.asarray(value, VECTORS[kind]).tobytes()
        size = 1 if kind == "STRING" else np.dtype(VECTORS[kind]).itemsize
        self.align(16, 4)
        place = len(self.out)
        self.out += struct.pack("<I", len(data) // size) + data + b"\0"
        return place

    def table(self, table):
        fields = sorted((FIELDS[table["table"], name], value) for name, value in table.items() if name != "table" and value is not None)
        slots = [0] * (fields[-1][0][0] + 1 if fields else 0)
        size, layout = 4, []
        for (number, kind), value in fields:
            form = INLINE.get(kind, "I")
            width = struct.calcsize("<" + form)
            size = -(-size // width) * width
            slots[number] = size
            layout.append((size, kind, form, value))
            size += width
        self.align(8, 4 + 2 * len(slots))
        vtable = len(self.out)
        self.out += struct.pack(f"<HH{len(slots)}H", 4 + 2 * len(slots), size, *slots)
        place = len(self.out)
        self.out += struct.pack("<i", place - vtable) + bytes(size - 4)
        for at, kind, form, value in layout:
            if kind in INLINE:
                struct.pack_into("<" + form, self.out, place + at, value)
            else:
                child = self.table(value) if kind in ("TABLE", "UNION") else self.vector(kind, value)
                self.point(place + at, child)
        return place


class Model:
    def __init__(self):
        self.tensors, self.buffers, self.operators, self.codes, self.inputs = [], [{"table": "Buffer"}], [], [], []
        self.number, self.graphs, self.outputs = 0, [], []

    def graph(self):
        """Another graph of the model: buffers and operators' codes are shared."""
        other = Model()
        other.buffers, other.codes, other.number = self.buffers, self.codes, len(self.graphs) + 1
        self.graphs.append(other)
        return other

    def tensor(self, name, shape, kind="float32", data=None, scale=None, zero=0, dim=0, **more):
        table = {"table": "Tensor", "name": name, "shape": list(shape), "type": TYPES[kind], **more}
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, "float32"))
            table["quantization"] = {"table": "QuantizationParameters", "scale": scales, "zero_point": np.broadcast_to(np.asarray(zero), scales.shape),
                                     "quantized_dimension": dim}
        if data is not None:
            table["buffer"] = len(self.buffers)
            self.buffers.append({"table": "Buffer", "data": np.frombuffer(np.ascontiguousarray(data, kind).tobytes(), "uint8")})
        self.tensors.append(table)
        return len(self.tensors) - 1

    def input(self, *args, **more):
        self.inputs.append(self.tensor(*args, **more))
        return self.inputs[-1]

    def op(self, name, inputs, outputs, options=None, custom=None, **fields):
        code = (CODES[name] if custom is None else 32, name if custom is not None else None)
        if code not in self.codes:
            self.codes.append(code)
        table = {"table": "Operator", "opcode_index": self.codes.index(code), "inputs": inputs, "outputs": outputs}
        if custom is not None:
            table["custom_options"] = np.frombuffer(custom, "uint8")
        if options:
            table["builtin_options_type"] = OPTIONS[options]
            table["builtin_options"] = {"table": options, **fields}
        self.operators.append(table)

    def save(self, path, outputs):
        graphs = [{"table": "SubGraph", "tensors": graph.tensors, "inputs": graph.inputs, "outputs": outputs if graph is self else graph.outputs,
                   "operators": graph.operators} for graph in [self, *self.graphs]]
        codes = [{"table": "OperatorCode", "deprecated_builtin_code": min(code, 127), "builtin_code": code, "custom_code": custom, "version": 1}
                 for code, custom in self.codes]
        writer = Writer()
        root = writer.table({"table": "Model", "version": 3, "operator_codes": codes, "subgraphs": graphs, "buffers": self.buffers})
        writer.out[:4] = struct.pack("<I", root)
        with open(path, "wb") as file:
            file.write(writer.out)
