"""What the accuracy benchmark measures: trained networks as ONNX files, samples to calibrate on and labelled ones to judge by,
which no network is calibrated on. TFLite's float networks are rebuilt as ONNX, so that every quantizer reads the same file."""
import collections
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

CALIBRATION, OPSET = 320, 17 # samples at most; ONNX Runtime's calibrator takes them in portions of the same size
MEAN, STD = np.float32((123.675, 116.28, 103.53)), np.float32((58.395, 57.12, 57.375))
UNIT = np.float32((1, 1, 1))

# pixels: (mean, deviation) of R, G, B in 0..255; first: the class of label 0
Network = collections.namedtuple("Network", "name file kind pixels first", defaults=[0])
NETWORKS = [
    Network("MobileNetV2", "models/onnx/mobilenetv2.onnx", "imagenet", (MEAN, STD)),
    Network("SqueezeNet 1.1", "models/onnx/squeezenet1.1.onnx", "imagenet", (MEAN, STD)),
    Network("MobileNetV1 0.25", "models/tflite/mobilenet_v1_0.25_224_float.tflite", "imagenet", (127.5 * UNIT, 127.5 * UNIT), 1), # class 0: background
    Network("resnet20", "models/onnx/cifar10_resnet20.onnx", "cifar", (MEAN, STD)),
    Network("ResNet8", "models/tflite/mlperf_tiny_ic_resnet8_float.tflite", "cifar", (0 * UNIT, UNIT)),
    Network("ResNet-2b", "models/onnx/cifar10_resnet_2b.onnx", "cifar", (np.float32((125.3, 123.0, 113.9)), np.float32((63.0, 62.1, 66.7)))),
    Network("wide", "models/onnx/cifar_wide_kw.onnx", "cifar", (np.float32((123.9, 123.7, 118.8)), np.float32(57.375) * UNIT)),
    Network("small", "models/onnx/marabou_cifar10_small.onnx", "cifar", (0 * UNIT, 255 * UNIT)),
    Network("kws", "models/tflite/mlperf_tiny_kws_float.tflite", "kws", None),
]

# ---- samples: arrays (count, height, width, channels), labels


def photographs(folder, size, pixels, names):
    from PIL import Image
    for name in names:
        image = Image.open(os.path.join(folder, name)).convert("RGB")
        if size is None: # the shorter side to 256, and the middle of it
            w, h = image.size
            image = image.resize((256 * w // min(w, h), 256 * h // min(w, h)), Image.BILINEAR)
            left, top = (image.size[0] - 224) // 2, (image.size[1] - 224) // 2
            image = image.crop((left, top, left + 224, top + 224))
        else:
            image = image.resize(size, Image.BILINEAR)
        yield (np.asarray(image, np.float32) - pixels[0]) / pixels[1]


def imagenet(assets, pixels):
    folder = os.path.join(assets, "images", "calib")
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith((".jpg", ".jpeg", ".png")))[:CALIBRATION]
    calibration = photographs(folder, None, pixels, names)
    folder = os.path.join(assets, "images", "val")
    with open(os.path.join(folder, "labels.txt"), encoding="utf-8") as file:
        labelled = [line.split() for line in file if line.strip()]
    return calibration, photographs(folder, (224, 224), pixels, [name for name, _ in labelled]), [int(label) for _, label in labelled]


def cifar(assets, pixels):
    def read(name, count):
        records = np.fromfile(os.path.join(assets, "cifar10", name), np.uint8).reshape(-1, 3073)[:count]
        images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return (np.float32(images) - pixels[0]) / pixels[1], records[:, 0].astype(int)
    images, labels = read("test2000.bin", None)
    return read("calib1000.bin", CALIBRATION)[0], images, labels


def kws(assets, _):
    """Every fifth sample is for calibration."""
    folder = os.path.join(assets, "kws01")
    with open(os.path.join(folder, "y_labels.csv"), encoding="utf-8") as file:
        rows = [line.strip().split(",") for line in file if line.strip()]
    maps = np.stack([np.fromfile(os.path.join(folder, row[0]), np.int8) for row in rows]).reshape(-1, 49, 10, 1)
    maps, labels, held = np.float32((maps.astype(int) - 83) * 0.584703), np.array([int(row[2]) for row in rows]), np.arange(len(rows)) % 5 == 0
    return maps[held], maps[~held], labels[~held]


def samples(network, assets, channels_first):
    """Calibration samples and labelled ones, each (1, ...) of the network's layout, and the labels."""
    calibration, judged, labels = {"imagenet": imagenet, "cifar": cifar, "kws": kws}[network.kind](assets, network.pixels)

    def laid_out(images):
        for x in images:
            yield np.ascontiguousarray((x.transpose(2, 0, 1) if channels_first else x)[None], np.float32)
    calibration = list(laid_out(calibration))
    return calibration[:len(calibration) // 32 * 32], laid_out(judged), np.array(labels) + network.first


# ---- TFLite's float networks of convolutions as ONNX


class TFLite:
    """Tensors of images keep their layout between transposes around each convolution; quantizers' own passes remove them."""

    def __init__(self, path):
        from ai_edge_litert import schema_py_generated as schema
        with open(path, "rb") as file:
            self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read()))
        self.kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        self.activations = {value: name for name, value in vars(schema.ActivationFunctionType).items() if isinstance(value, int)}
        self.graph, self.nodes, self.constants = self.model.subgraphs[0], [], []

    def shape(self, index):
        return [int(d) for d in self.graph.tensors[index].shape]

    def array(self, index):
        """A constant as float32; weights of 8 bits are what they stand for."""
        tensor = self.graph.tensors[index]
        values = np.frombuffer(bytes(self.model.buffers[tensor.buffer].data), {0: np.float32, 2: np.int32, 9: np.int8}[tensor.type])
        values = values.reshape(self.shape(index))
        if tensor.type != 9:
            return values
        scale = np.float32(tensor.quantization.scale)
        along = [1] * values.ndim
        along[tensor.quantization.quantizedDimension if len(scale) > 1 else 0] = len(scale)
        return values * scale.reshape(along)

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def activated(self, options, name):
        """Where an operator writes before its activation, and what then makes `name` of it."""
        kind = self.activations[options.fusedActivationFunction]
        if kind == "NONE":
            return name, lambda: None
        before = name + "_before"
        if kind == "RELU":
            return before, lambda: self.node("Relu", [before], name)
        assert kind == "RELU6", kind
        bounds = [self.constant(f"{name}_{bound}", np.float32(bound)) for bound in (0, 6)]
        return before, lambda: self.node("Clip", [before, *bounds], name)

    def windowed(self, op, kind, kernel, extra, **attributes):
        """A convolution or pooling, channels first inside."""
        options, name = op.builtinOptions, f"t{op.outputs[0]}"
        strides, pads = [options.strideH, options.strideW], [0, 0, 0, 0]
        for i, (size, out) in enumerate(zip(self.shape(op.inputs[0])[1:3], self.shape(op.outputs[0])[1:3])):
            pad = max(0, (out - 1) * strides[i] + kernel[i] - size) if options.padding == 0 else 0
            pads[i], pads[i + 2] = pad // 2, pad - pad // 2
        x = self.node("Transpose", [f"t{op.inputs[0]}"], name + "_in", perm=[0, 3, 1, 2])
        before, finish = self.activated(options, name + "_out")
        self.node(kind, [x, *extra], before, kernel_shape=kernel, strides=strides, pads=pads, **attributes)
        finish()
        self.node("Transpose", [name + "_out"], name, perm=[0, 2, 3, 1])

    def operator(self, op):
        kind, name = self.kind(op), f"t{op.outputs[0]}"
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weight = self.array(op.inputs[1])
            weight = weight.transpose(0, 3, 1, 2) if kind == "CONV_2D" else weight.transpose(3, 0, 1, 2)
            extra = [self.constant(name + "_w", weight), self.constant(name + "_b", self.array(op.inputs[2]))]
            self.windowed(op, "Conv", list(weight.shape[2:]), extra, group=1 if kind == "CONV_2D" else weight.shape[0])
        elif kind == "AVERAGE_POOL_2D":
            self.windowed(op, "AveragePool", [op.builtinOptions.filterHeight, op.builtinOptions.filterWidth], [])
        elif kind == "ADD":
            before, finish = self.activated(op.builtinOptions, name)
            self.node("Add", [f"t{i}" for i in op.inputs], before)
            finish()
        elif kind in ("RESHAPE", "SQUEEZE"):
            shape = self.constant(name + "_shape", np.int64(self.shape(op.outputs[0])))
            self.node("Reshape", [f"t{op.inputs[0]}", shape], name)
        elif kind == "FULLY_CONNECTED":
            before, finish = self.activated(op.builtinOptions, name)
            extra = [self.constant(name + "_w", self.array(op.inputs[1])), self.constant(name + "_b", self.array(op.inputs[2]))]
            self.node("Gemm", [f"t{op.inputs[0]}", *extra], before, transB=1)
            finish()
        else:
            assert kind == "SOFTMAX", kind
            self.node("Softmax", [f"t{op.inputs[0]}"], name, axis=-1)

    def kind(self, op):
        code = self.model.operatorCodes[op.opcodeIndex]
        return self.kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def onnx(self):
        for op in self.graph.operators:
            self.operator(op)
        ends = [[helper.make_tensor_value_info(f"t{i}", TensorProto.FLOAT, self.shape(i)) for i in indices]
                for indices in (self.graph.inputs, self.graph.outputs)]
        graph = helper.make_graph(self.nodes, "network", *ends, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def load(network, assets):
    path = os.path.join(assets, network.file)
    if path.endswith(".tflite"):
        return TFLite(path).onnx()
    model = onnx.load(path)
    model.ir_version = max(model.ir_version, 8)
    weights = {t.name for t in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return version_converter.convert_version(model, OPSET) if model.opset_import[0].version < OPSET else model
