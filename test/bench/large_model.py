"""An ONNX network of that many megabytes of random f32 weights: convolutions with batch normalization, then Gemms of both
orientations.
usage: large_model.py MEGABYTES FILE [--external]    (--external: the weights in FILE.data)"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def shapes(megabytes):
    """Of the weights; widths go with the root of the size."""
    width = lambda channels: max(8, int(channels * (megabytes / 499) ** 0.5) // 8 * 8)
    a, b, c, d = width(512), width(1024), width(2048), width(6144)
    return {"conv0": (a, 64, 3, 3), "conv1": (b, a, 3, 3), "conv2": (c, b, 3, 3), "conv3": (c, c, 3, 3),
            "fc0": (d, 4 * c), "fc1": (d, c)}


def write(megabytes, path, external):
    random, sizes, initializers, nodes, offset, last = np.random.default_rng(0), shapes(megabytes), [], [], 0, "x"
    data = open(path + ".data", "wb") if external else None
    for name, shape in sizes.items():
        scale = np.float32((2 / np.prod(shape[1:])) ** 0.5)
        weight = (random.standard_normal(shape, np.float32) * scale).tobytes()
        tensor = TensorProto(name=name + ".weight", data_type=TensorProto.FLOAT, dims=shape)
        if external:
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", os.path.basename(path) + ".data"), ("offset", offset), ("length", len(weight))):
                tensor.external_data.add(key=key, value=str(value))
            data.write(weight)
            offset += len(weight)
        else:
            tensor.raw_data = weight
        initializers.append(tensor)
        if name == "fc0":
            nodes.append(helper.make_node("Flatten", [last], ["flat"]))
            last = "flat"
        if name.startswith("conv"):
            stride = 1 if name == "conv0" else 2
            nodes.append(helper.make_node("Conv", [last, tensor.name], [name + ".conv"], strides=[stride] * 2, pads=[1] * 4))
            statistics = [f"{name}.{what}" for what in ("scale", "bias", "mean", "variance")]
            initializers += [numpy_helper.from_array(random.uniform(0.5, 1.5, shape[0]).astype(np.float32), statistic)
                             for statistic in statistics]
            nodes.append(helper.make_node("BatchNormalization", [name + ".conv", *statistics], [name]))
        else:
            nodes.append(helper.make_node("Gemm", [last, tensor.name], [name], transB=int(name == "fc0")))
        nodes.append(helper.make_node("Relu", [name], [name + ".relu"]))
        last = name + ".relu"
    graph = helper.make_graph(nodes, "large", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 64, 16, 16))],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="qanat")
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return sum(int(np.prod(shape)) * 4 for shape in sizes.values())


if __name__ == "__main__":
    print(write(float(sys.argv[1]), sys.argv[2], "--external" in sys.argv), "bytes of weights")
