"""An ONNX network as lines of text for onednn_chain.cpp: one a primitive, with activations and residual adds put into the
convolution before them. What oneDNN has no primitive for (strided slices, transposes to the outputs' layout, decoding of boxes)
is left out, which favours oneDNN: where a layer with weights follows, it reads an input of the same shape."""
import os

import onnx
from onnx import numpy_helper

LAYOUTS = ([0, 3, 1, 2], [0, 2, 3, 1])
ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Clip": "clip"}
TAKES_ACTIVATION = {"conv": ("relu", "clip", "swish", "sigmoid"), "linear": ("relu", "clip", "sigmoid"), "add": ("relu", "clip"),
                    "norm": ("relu",)}


def simplified(path, folder):
    """ONNX Runtime folds constants and batch normalizations."""
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = os.path.join(folder, "simplified.onnx")
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return onnx.shape_inference.infer_shapes(onnx.load(options.optimized_model_filepath))


class Chain:
    def __init__(self, model):
        graph = model.graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
                       for v in [*graph.input, *graph.value_info, *graph.output]}
        self.users, self.producers = {}, {}
        for node in graph.node:
            self.producers[node.output[0]] = node
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.steps, self.names, self.left_out = [], {}, []
        value = next(v for v in graph.input if v.name not in self.constants)
        shape = self.shapes[value.name]
        if any(self.is_layout(node) for node in self.users[value.name]):
            shape = [shape[0], shape[3], shape[1], shape[2]]
        self.append("input", value.name, *shape)
        for node in graph.node:
            self.convert(node)

    @staticmethod
    def attributes(node):
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    def is_layout(self, node):
        return node.op_type == "Transpose" and list(self.attributes(node)["perm"]) in LAYOUTS

    def append(self, op, out, *words, ins=(), act=None):
        """Makes a step; its tensor is called by the step's number."""
        self.steps.append({"op": op, "words": words, "ins": list(ins), "act": act, "added": "-"})
        self.names[out] = len(self.steps) - 1

    def alias(self, node):
        self.names[node.output[0]] = self.names[node.input[0]]

    def convert(self, node):
        inputs = [name for name in node.input if name and name not in self.constants]
        known = all(name in self.names for name in inputs)
        method = getattr(self, "op_" + node.op_type.lower(), None)
        if known and method is not None and method(node) is not False:
            return
        if node.op_type in ("Conv", "Gemm"):
            self.append("input", node.input[0], *self.shapes[node.input[0]])
            method(node)
            return
        self.left_out.append(node.op_type)

    def lone_step(self, name):
        """The step that makes a tensor, where one node reads it and nothing was put after the step yet."""
        step = self.steps[self.names[name]]
        return step if len(self.users.get(name, [])) == 1 and step["act"] is None else None

    # ---- ops: each appends a step, or alters one; False: oneDNN has none

    def op_conv(self, node):
        a, w, out = self.attributes(node), self.constants[node.input[1]].shape, self.shapes[node.output[0]]
        pads, dilations = a.get("pads", [0] * 4), a.get("dilations", [1, 1])
        if a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return False
        self.append("conv", node.output[0], w[0], *out[2:], *w[2:], *a.get("strides", [1, 1]), *pads, *dilations, a.get("group", 1),
                    ins=[self.names[node.input[0]]])
        return True

    def op_gemm(self, node):
        w = self.constants[node.input[1]].shape
        features = w[0] if self.attributes(node).get("transB", 0) else w[1]
        self.append("linear", node.output[0], features, ins=[self.names[node.input[0]]])

    def op_matmul(self, node):
        if node.input[1] not in self.constants:
            return False
        self.append("linear", node.output[0], self.constants[node.input[1]].shape[-1], ins=[self.names[node.input[0]]])
        return True

    def activation(self, node, act, name):
        step = self.lone_step(name) if act != "swish" else self.steps[self.names[name]]
        if step is not None and step["act"] is None and act in TAKES_ACTIVATION.get(step["op"], ()):
            step["act"] = act
            self.names[node.output[0]] = self.names[name]
        else:
            self.append("act", node.output[0], act, ins=[self.names[name]])

    def op_relu(self, node):
        self.activation(node, "relu", node.input[0])

    def op_clip(self, node):
        self.activation(node, "clip", node.input[0])

    def op_sigmoid(self, node):
        users = self.users.get(node.output[0], [])
        if [user.op_type for user in users] == ["Mul"] and node.input[0] in users[0].input:
            self.alias(node) # a swish, see op_mul
            return
        self.activation(node, "sigmoid", node.input[0])

    def op_mul(self, node):
        gate = next((name for name in node.input if name in self.producers and self.producers[name].op_type == "Sigmoid"), None)
        if gate is not None and self.producers[gate].input[0] in node.input:
            self.activation(node, "swish", self.producers[gate].input[0])
            return True
        return self.by_channel(node)

    def by_channel(self, node):
        """x * c, then + c: a step that does both, as the normalization that it comes from."""
        users = self.users.get(node.output[0], [])
        if node.input[1] not in self.constants or len(self.shapes.get(node.output[0], [])) != 4:
            return False
        if len(users) != 1 or users[0].op_type != "Add" or not any(name in self.constants for name in users[0].input):
            return False
        self.append("norm", node.output[0], ins=[self.names[node.input[0]]])
        return True

    def op_batchnormalization(self, node):
        self.append("norm", node.output[0], ins=[self.names[node.input[0]]])

    def op_add(self, node):
        constant = [name for name in node.input if name in self.constants]
        if constant:
            x = next(name for name in node.input if name not in self.constants)
            if self.steps[self.names[x]]["op"] not in ("linear", "norm", "conv"):
                return False
            self.names[node.output[0]] = self.names[x]
            return True
        late, early = sorted(node.input, key=lambda name: -self.names[name])
        if self.shapes[late] != self.shapes[early]:
            return False
        step = self.lone_step(late)
        if step is not None and step["op"] == "conv" and step["added"] == "-":
            step["added"] = self.names[early]
            self.names[node.output[0]] = self.names[late]
        else:
            self.append("add", node.output[0], ins=[self.names[late], self.names[early]])
        return True

    op_sum = op_add

    def op_concat(self, node):
        if self.attributes(node)["axis"] != 1 or len(self.shapes[node.output[0]]) != 4:
            return False
        self.append("concat", node.output[0], ins=[self.names[name] for name in node.input])
        return True

    def pool(self, node, kind):
        a, out, size = self.attributes(node), self.shapes[node.output[0]], self.shapes[node.input[0]]
        kernel, strides, pads = a["kernel_shape"], a.get("strides", [1, 1]), list(a.get("pads", [0] * 4))
        for i in range(2): # what ceil_mode adds
            pads[i + 2] = max(pads[i + 2], (out[i + 2] - 1) * strides[i] + kernel[i] - size[i + 2] - pads[i])
        self.append("pool", node.output[0], kind, *out[2:], *kernel, *strides, *pads, ins=[self.names[node.input[0]]])

    def op_maxpool(self, node):
        self.pool(node, "max")

    def op_averagepool(self, node):
        self.pool(node, "mean")

    def op_globalaveragepool(self, node):
        size = self.shapes[node.input[0]][2:]
        self.append("pool", node.output[0], "mean", 1, 1, *size, *size, 0, 0, 0, 0, ins=[self.names[node.input[0]]])

    def op_resize(self, node):
        a, out = self.attributes(node), self.shapes[node.output[0]]
        self.append("resize", node.output[0], a.get("mode", b"nearest").decode(), *out[2:], ins=[self.names[node.input[0]]])

    def op_transpose(self, node):
        x = self.producers.get(node.input[0])
        if x is not None and x.op_type == "Reshape" and list(self.attributes(node)["perm"]) == [0, 2, 1, 3, 4]:
            self.append("shuffle", node.output[0], self.shapes[x.output[0]][1], ins=[self.names[node.input[0]]])
            return True
        if not self.is_layout(node):
            return False
        self.alias(node) # the chain is channels last throughout
        return True

    def op_reshape(self, node):
        users = {user.op_type for user in self.users.get(node.output[0], [])}
        source = self.producers.get(node.input[0])
        if users <= {"Gemm", "MatMul"} or users == {"Transpose"} or (source is not None and source.op_type == "Transpose"):
            self.alias(node)
            return True
        return False

    op_flatten = op_squeeze = op_reshape

    def op_identity(self, node):
        self.alias(node)

    op_dropout = op_identity

    def text(self):
        lines = []
        for i, step in enumerate(self.steps):
            words = [step["op"], f"t{i}", *step["words"]]
            if step["op"] in TAKES_ACTIVATION:
                words.append(step["act"] or "none")
            if step["op"] == "conv":
                words.append("-" if step["added"] == "-" else f"t{step['added']}")
            lines.append(" ".join(map(str, [*words, *(f"t{i}" for i in step["ins"])])))
        return "\n".join(lines) + "\n"


def write(path, out, folder):
    """Returns the kinds of nodes that were left out."""
    chain = Chain(simplified(path, folder))
    with open(out, "w", encoding="ascii") as file:
        file.write(chain.text())
    return sorted(set(chain.left_out))
