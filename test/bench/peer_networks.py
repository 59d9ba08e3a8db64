"""The benchmark's networks: their files, and what every engine gets of them: one ONNX file of fixed shapes with its weights
in it, and inputs to calibrate on and to run."""
import collections
import os

import numpy as np
import onnx
import peer_shapes
from onnx import TensorProto, helper, numpy_helper, version_converter

CALIBRATION, CHECKED = 32, 8 # samples that engines calibrate on; of these, those whose outputs are held against the float network's
OPSET = 17

# file: in the folder of assets, or a function of peer_shapes. pixels: how inputs are made; means and deviations of (R, G, B) for
# photographs, "cifar" for that set's images / 255 normalised likewise, None for normal numbers. precisions: those that it runs in.
Network = collections.namedtuple("Network", "name file pixels precisions", defaults=["i8 f32"])
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
BYTES, SIGNED, UNIT = ((0, 0, 0), (1, 1, 1)), ((127, 127, 127), (128, 128, 128)), ((0, 0, 0), (255, 255, 255))
NETWORKS = [
    Network("MobileNetV2 1.0-224", "models/onnx/mobilenetv2.onnx", IMAGENET),
    Network("ResNet-50", "onnx_light/light_resnet50.onnx", IMAGENET),
    Network("SqueezeNet 1.1", "models/onnx/squeezenet1.1.onnx", IMAGENET),
    Network("ShuffleNet", "onnx_light/light_shufflenet.onnx", IMAGENET),
    Network("DenseNet-121", "onnx_light/light_densenet121.onnx", IMAGENET),
    Network("EfficientNet-Lite0", peer_shapes.efficientnet_lite0, SIGNED),
    Network("DeepLabv3-MobileNetV2 257", peer_shapes.deeplabv3_mobilenetv2, SIGNED),
    Network("YOLOX-nano", "models/onnx/yolox_nano.onnx", BYTES),
    Network("UltraFace RFB-320", "models/onnx/ultraface_version-RFB-320.onnx", SIGNED),
    Network("YuNet 320", "models/onnx/yunet_n_320_320.onnx", BYTES),
    Network("CIFAR-10 ResNet-20", "models/onnx/cifar10_resnet20.onnx", "cifar"),
    Network("CIFAR-10 ResNet-2b", "models/onnx/cifar10_resnet_2b.onnx", "cifar"),
    Network("CIFAR-10 wide", "models/onnx/cifar_wide_kw.onnx", "cifar"),
    Network("CIFAR-10 small", "models/onnx/marabou_cifar10_small.onnx", "cifar"),
    Network("CIFAR-10 MobileNetV2", peer_shapes.mobilenetv2_cifar, "cifar"),
    Network("MLPerf Tiny ic", peer_shapes.tiny_ic, "cifar"),
    Network("MLPerf Tiny kws", peer_shapes.tiny_kws, None),
    Network("MLPerf Tiny vww", peer_shapes.tiny_vww, UNIT),
    Network("MLPerf Tiny ad", peer_shapes.tiny_ad, None),
    Network("Silero VAD, a frame", "models/onnx/silero_vad_16k_op15.onnx", None, "f32"),
    Network("Transformer encoder", peer_shapes.transformer_encoder, None, "f32"),
]


def users_of(graph):
    users = collections.defaultdict(list)
    for node in graph.node:
        for i, name in enumerate(node.input):
            users[name].append((node, i))
    return users


def is_scale(name, users):
    """Whether a vector multiplies: BatchNormalization's scale and variance, and what a Mul takes by way of an Unsqueeze."""
    for node, index in users[name]:
        if node.op_type == "Unsqueeze":
            return is_scale(node.output[0], users)
        if node.op_type == "Mul" or (node.op_type == "BatchNormalization" and index in (1, 4)):
            return True
    return False


def draw_weights(graph):
    """The ONNX project's `light` networks have constant weights (ConstantOfShape): drawn as He's normal instead."""
    random, known, users, kept = np.random.RandomState(0), {t.name: t for t in graph.initializer}, users_of(graph), []
    for node in graph.node:
        shape = known.get(node.input[0]) if node.op_type == "ConstantOfShape" else None
        if shape is None:
            kept.append(node)
            continue
        dims = numpy_helper.to_array(shape)
        if len(dims) > 1:
            values = random.randn(*dims) * np.sqrt(2 / np.prod(dims[1:]))
        elif is_scale(node.output[0], users):
            values = random.uniform(0.8, 1.2, dims)
        else:
            values = random.randn(*dims) * 0.05
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)


def cut_softmax(graph):
    """Random weights make a softmax certain of one class, whatever an engine computed: the network ends before it."""
    output = graph.output[0]
    last = next(node for node in graph.node if output.name in node.output)
    if last.op_type == "Softmax":
        output.name = last.input[0]
        graph.node.remove(last)


def fix_shapes(graph):
    weights = {t.name for t in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    for dim in graph.input[0].type.tensor_type.shape.dim:
        if dim.dim_value < 1:
            dim.dim_value = 1
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    del graph.value_info[:]


def join_inputs(model):
    """A voice detector's frame and state, one behind the other in one input: engines here take one. Its sampling rate is fixed."""
    graph, parts = model.graph, {"input": [1, 576], "state": [2, 1, 128]}
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("joined", TensorProto.FLOAT, [1, sum(int(np.prod(shape)) for shape in parts.values())]))
    graph.initializer.append(numpy_helper.from_array(np.array(16000), "sr"))
    graph.initializer.append(numpy_helper.from_array(np.array([int(np.prod(shape)) for shape in parts.values()]), "joined_sizes"))
    nodes = [helper.make_node("Split", ["joined", "joined_sizes"], [f"{name}_flat" for name in parts], axis=1)]
    for name, shape in parts.items():
        graph.initializer.append(numpy_helper.from_array(np.array(shape), f"{name}_shape"))
        nodes.append(helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [name]))
    for node in reversed(nodes):
        graph.node.insert(0, node)


def load(network, assets, folder):
    if callable(network.file):
        path = os.path.join(folder, "network.onnx")
        peer_shapes.write(network.file, path)
        return onnx.load(path)
    model = onnx.load(os.path.join(assets, network.file))
    if "onnx_light" in network.file:
        draw_weights(model.graph)
        cut_softmax(model.graph)
    if any(value.name == "state" for value in model.graph.input):
        join_inputs(model)
    model.ir_version = max(model.ir_version, 8) # weights need not be inputs, which some converters ask of older files
    fix_shapes(model.graph)
    return version_converter.convert_version(model, OPSET) if model.opset_import[0].version < OPSET else model


def photographs(assets, size, pixels):
    from PIL import Image
    folder = os.path.join(assets, "images", "calib")
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith((".jpg", ".jpeg", ".png")))
    for name in names[:CALIBRATION]:
        image = Image.open(os.path.join(folder, name)).convert("RGB").resize((size[1], size[0]), Image.BILINEAR)
        yield (np.asarray(image, np.float32) - np.float32(pixels[0])) / np.float32(pixels[1])


def cifar(assets):
    records = np.fromfile(os.path.join(assets, "cifar10", "calib1000.bin"), np.uint8).reshape(-1, 3073)[:CALIBRATION, 1:]
    for image in records.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1):
        yield (image / np.float32(255) - np.float32((.485, .456, .406))) / np.float32((.229, .224, .225))


def inputs(network, shape, assets):
    if network.pixels is None:
        random = np.random.RandomState(1)
        return [random.randn(*shape).astype(np.float32) for _ in range(CALIBRATION)]
    channels_last = shape[3] == 3
    size = shape[1:3] if channels_last else shape[2:]
    images = cifar(assets) if network.pixels == "cifar" else photographs(assets, size, network.pixels)
    return [np.ascontiguousarray((x if channels_last else x.transpose(2, 0, 1))[None], np.float32) for x in images]


def prepare(network, assets, folder):
    """Writes the network and its samples into a folder; returns what engines are told, and the float network's outputs, each of
    CHECKED samples in one array."""
    import onnxruntime as ort
    model, path, samples = load(network, assets, folder), os.path.join(folder, "model.onnx"), os.path.join(folder, "samples")
    onnx.save(model, path)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    os.makedirs(samples)
    arrays = inputs(network, value.shape, assets)
    for i, x in enumerate(arrays):
        np.save(os.path.join(samples, f"{i:03d}.npy"), x)
    outputs = [np.stack(ys) for ys in zip(*(session.run(None, {value.name: x}) for x in arrays[:CHECKED]))]
    return {"name": network.name, "folder": folder, "model": path, "input": value.name, "shape": value.shape, "samples": samples,
            "output_names": [o.name for o in session.get_outputs()], "outputs": [list(y.shape[1:]) for y in outputs]}, outputs


def load_samples(spec):
    return [np.load(os.path.join(spec["samples"], name)) for name in sorted(os.listdir(spec["samples"]))]
