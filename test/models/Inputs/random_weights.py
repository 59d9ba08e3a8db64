"""Puts random weights into an architecture whose weights are ConstantOfShape nodes (the ONNX project's light models).
usage: random_weights.py LIGHT.onnx OUT.onnx. Filters are scaled so that activations keep their size; normalization gets
scales near 1, small means and positive variances."""
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def fill(graph, seed=0):
    random = np.random.default_rng(seed)
    shapes = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    role = {}
    for node in graph.node:
        names = {"BatchNormalization": ["x", "scale", "bias", "mean", "variance"], "Conv": ["x", "filter", "bias"],
                 "Gemm": ["x", "classes", "bias"]}.get(node.op_type, [])
        role.update(zip(node.input, names))
    left = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            left.append(node)
            continue
        shape, name = [int(d) for d in shapes[node.input[0]]], node.output[0]
        kind = role.get(name, "bias")
        value = random.standard_normal(shape) * 0.1
        if kind == "filter":
            value *= 10 * (2 / max(1, np.prod(shape[1:]))) ** 0.5
        elif kind == "classes":
            value *= 0.0002  # the residual sums have grown: logits of a few units: softmax does not saturate
        elif kind in ("scale", "variance"):
            value = 0.5 + random.random(shape)
        graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    del graph.node[:]
    graph.node.extend(left)


model = onnx.load(sys.argv[1])
fill(model.graph)
onnx.save(model, sys.argv[2])
