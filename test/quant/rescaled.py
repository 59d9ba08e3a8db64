# Networks whose scales defeat int8, made of MobileNetV2: every channel that can be scaled without changing what the network computes is,
# by a random factor from 1 to 1000. Equalization alone brings them back. Once as the network is, where a relu6 keeps its channels from
# being scaled, and once with relu in the place of relu6, where all of them are.
# REQUIRES: assets, onnx, numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %assets %t
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

qanat, assets, work = sys.argv[1:4]
os.chdir(work)
PREPROCESS = "mean=123.675:116.28:103.53,std=58.395:57.12:57.375"
IMAGES, FEW, CALIBRATION, LARGEST = 634, 100, 96, 1000


class Rescaled:
    """Tensors that sums, activations and pooling join are one group and have the same factors."""

    def __init__(self, path, relu):
        self.model, self.random, self.group = onnx.load(path), np.random.default_rng(3), {}
        self.graph = self.model.graph
        self.weights = {t.name: numpy_helper.to_array(t).copy() for t in self.graph.initializer}
        if relu:
            for node in self.graph.node:
                if node.op_type == "Clip":
                    node.CopyFrom(helper.make_node("Relu", node.input[:1], node.output))
        self.fixed = {self.graph.input[0].name, self.graph.output[0].name}
        for node in self.graph.node:
            if node.op_type == "Clip": # it clips every channel at 6
                self.fixed |= {node.input[0], node.output[0]}
            if node.op_type not in ("Conv", "Gemm"):
                for name in node.input:
                    if name not in self.weights:
                        self.join(name, node.output[0])
        self.fixed = {self.find(name) for name in self.fixed}
        self.factors = {}

    def find(self, name):
        while name in self.group:
            name = self.group[name]
        return name

    def join(self, a, b):
        a, b = self.find(a), self.find(b)
        if a != b:
            self.group[a] = b

    def factors_of(self, name, channels):
        root = self.find(name)
        if root in self.fixed:
            return np.ones(channels)
        if root not in self.factors:
            self.factors[root] = LARGEST ** self.random.uniform(0, 1, channels)
        return self.factors[root]

    def save(self, path):
        for node in self.graph.node:
            if node.op_type not in ("Conv", "Gemm"):
                continue
            w, b = (self.weights[name] for name in node.input[1:3])
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            rows = self.factors_of(node.output[0], w.shape[0])
            columns = self.factors_of(node.input[0], w.shape[1] * groups)
            along = [-1] + [1] * (w.ndim - 2)
            self.weights[node.input[1]] = w * rows.reshape([-1, 1] + along[1:]) / columns.reshape([groups, -1] + along[1:] if groups > 1 else [1] + along)
            self.weights[node.input[2]] = b * rows
        for t in self.graph.initializer:
            t.CopyFrom(numpy_helper.from_array(self.weights[t.name].astype(numpy_helper.to_array(t).dtype), t.name))
        onnx.save(self.model, path)


def measure(model, images, *options):
    calibrate = ["--calibrate-on", os.path.join(assets, "images", "calib"), "--calibrate-limit", str(CALIBRATION), "--calibrate-preprocess", "resize=256,crop=224," + PREPROCESS]
    command = [qanat, "eval", model, "--data", os.path.join(assets, "images", "val"), "--labels", os.path.join(assets, "images", "val", "labels.txt"),
               "--limit", str(images), "--preprocess", "resize=224x224," + PREPROCESS, "--quantize", "none,i8", *calibrate, "--json", *options]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)["results"]


original = os.path.join(assets, "models", "onnx", "mobilenetv2.onnx")
for relu in (False, True):
    path = f"rescaled_{relu}.onnx"
    rescaled = Rescaled(original, relu)
    rescaled.save(path)
    scaled = sum(len(factors) for factors in rescaled.factors.values())
    assert scaled > (10000 if relu else 500), scaled
    lost, back = measure(path, FEW, "--equalize", "none"), measure(path, IMAGES)
    print(scaled, "channels scaled:", lost[1], back[1])
    assert back[0]["top1"] > 75, back
    assert lost[1]["top1"] < 10, lost # without: no network any more
    low, high = back[1]["top1_difference_95"]
    assert back[1]["top1_difference"] >= -max(1, (high - low) / (2 * 1.96)), back # one point, or one paired standard error
    assert back[1]["agreement"] > 92, back
