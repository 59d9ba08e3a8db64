#!/usr/bin/env python3
"""Writes the small ONNX models of test/frontend: one for each operator that is imported, and broken ones.

Needs the packages onnx and numpy; the models are committed, so the tests do not. Usage: make_models.py [folder]
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(HERE), "models")


def tensor(name, values, kind=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype=kind), name)


def ints(name, *values):
    return tensor(name, values, np.int64)


def ramp(name, *shape):
    count = int(np.prod(shape))
    return tensor(name, np.arange(count).reshape(shape) * 0.5)


def info(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def node(op, inputs, outputs="y", name="", domain="", **attributes):
    return helper.make_node(op, inputs.split(","), outputs.split(","), name=name, domain=domain, **attributes)


def model(file, nodes, x=(1, 2, 4, 4), constants=(), opset=17, outputs=("y",), inputs=None, domains=(), stated=()):
    """A model with input x, the nodes and constants, and outputs of unstated shape."""
    inputs = [info("x", x)] if inputs is None else inputs
    outputs = [helper.make_empty_tensor_value_info(name) if isinstance(name, str) else name for name in outputs]
    graph = helper.make_graph(nodes, file, inputs, outputs, list(constants), value_info=list(stated))
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(name, 1) for name in domains]
    made = helper.make_model(graph, opset_imports=imports, ir_version=3 if opset < 9 else 8, producer_name="qanat")
    onnx.save(made, os.path.join(FOLDER, file + ".onnx"))


def field(number, content):
    """A protobuf field of bytes."""
    length, prefix = len(content), b""
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + prefix + bytes([length]) + content


def nested(depth):
    return field(1, field(5, field(6, nested(depth - 1)))) if depth else b""


def convolutions():
    w, b = ramp("w", 4, 2, 3, 3), tensor("b", [1, 2, 3, 4])
    model("conv", [node("Conv", "x,w,b", strides=[2, 1], pads=[0, 1, 2, 1], dilations=[1, 2])], constants=[w, b])
    model("conv_group", [node("Conv", "x,w", group=2)], constants=[ramp("w", 2, 1, 3, 3)])
    model("conv_same_upper", [node("Conv", "x,w", auto_pad="SAME_UPPER", strides=[2, 2])], constants=[w])
    model("conv_same_lower", [node("Conv", "x,w", auto_pad="SAME_LOWER", strides=[2, 2])], constants=[w])
    model("conv_valid", [node("Conv", "x,w", auto_pad="VALID", kernel_shape=[3, 3])], constants=[w])
    model("conv_1d", [node("Conv", "x,w", pads=[1, 0])], x=(1, 2, 8), constants=[ramp("w", 4, 2, 3)])
    model("conv_3d", [node("Conv", "x,w")], x=(1, 2, 4, 4, 4), constants=[ramp("w", 4, 2, 3, 3, 3)])
    model("conv_4d", [node("Conv", "x,w", name="deep")], x=(1, 2, 4, 4, 4, 4), constants=[ramp("w", 4, 2, 3, 3, 3, 3)])
    model("conv_transpose", [node("ConvTranspose", "x,w,b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 0])],
          constants=[ramp("w", 2, 3, 3, 3), tensor("b", [1, 2, 3])])
    parts = [tensor(name, [1, 2]) for name in ("scale", "bias", "mean", "variance")]
    names = "x,scale,bias,mean,variance"
    model("batch_normalization", [node("BatchNormalization", names, epsilon=0.5)], constants=parts)
    model("batch_normalization_2d", [node("BatchNormalization", names)], x=(3, 2), constants=parts)


def products():
    w, c = ramp("w", 3, 2), tensor("c", [1, 2])
    model("gemm", [node("Gemm", "x,w,c", alpha=2.0, beta=0.5)], x=(4, 3), constants=[w, c])
    model("gemm_transposed", [node("Gemm", "x,w", transA=1, transB=1)], x=(3, 4), constants=[ramp("w", 2, 3)])
    model("gemm_rows", [node("Gemm", "x,w,c")], x=(2, 3), constants=[w, tensor("c", [[1], [2]])])
    model("matmul", [node("MatMul", "x,w")], x=(5, 4, 3), constants=[w])
    model("matmul_tensors", [node("MatMul", "x,x")], x=(2, 3, 3))
    model("matmul_vector", [node("MatMul", "x,w")], x=(3,), constants=[w])


def pools():
    model("max_pool", [node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1, dilations=[1, 2])],
          x=(1, 2, 5, 5))
    model("max_pool_1d", [node("MaxPool", "x", kernel_shape=[2])], x=(1, 2, 5))
    model("average_pool", [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 0, 0], count_include_pad=1)])
    model("average_pool_same", [node("AveragePool", "x", kernel_shape=[2, 2], auto_pad="SAME_UPPER")])
    model("global_average_pool", [node("GlobalAveragePool", "x")])
    model("global_max_pool", [node("GlobalMaxPool", "x")])
    model("reduce_mean", [node("ReduceMean", "x", axes=[-1, 2], keepdims=0)])
    model("reduce_mean_input", [node("ReduceMean", "x,axes")], constants=[ints("axes", 1)], opset=18)
    model("reduce_mean_noop", [node("ReduceMean", "x", "m", noop_with_empty_axes=1), node("Relu", "m")], opset=18)
    model("reduce_sum", [node("ReduceSum", "x,axes")], constants=[ints("axes", 1)])


def normalizations():
    pair = [tensor("s", [1, 2]), tensor("b", [3, 4])]
    model("instance_normalization", [node("InstanceNormalization", "x,s,b", epsilon=0.5)], constants=pair)
    model("layer_normalization", [node("LayerNormalization", "x,s,b", axis=-1)], x=(3, 2), constants=pair)
    model("rms_normalization", [node("RMSNormalization", "x,s")], x=(3, 2), constants=pair[:1], opset=23)
    model("group_normalization", [node("GroupNormalization", "x,s,b", num_groups=1)], constants=pair, opset=21)
    model("lrn", [node("LRN", "x", size=3, alpha=0.5, beta=0.75, bias=2.0)], x=(1, 4, 2, 2))
    model("lp_normalization", [node("LpNormalization", "x", axis=1, p=2)], x=(2, 3))
    model("lp_pool", [node("LpPool", "x", kernel_shape=[2, 2], strides=[2, 2], p=2)])
    model("global_lp_pool", [node("GlobalLpPool", "x", p=1)])
    model("mean_variance_normalization", [node("MeanVarianceNormalization", "x")])


def activations():
    for op in ("Relu", "Sigmoid", "Tanh", "Exp", "Sqrt"):
        model(op.lower(), [node(op, "x")])
    model("abs", [node("Abs", "x")])
    model("hard_swish", [node("HardSwish", "x")])
    model("hard_sigmoid", [node("HardSigmoid", "x", alpha=0.25)])
    model("leaky_relu", [node("LeakyRelu", "x", alpha=0.25)])
    model("prelu", [node("PRelu", "x,slope")], constants=[tensor("slope", [[[0.25]], [[0.5]]])])
    model("prelu_one", [node("PRelu", "x,slope")], constants=[tensor("slope", [0.25])])
    model("clip", [node("Clip", "x,,max")], constants=[tensor("max", 6)])
    model("clip_attributes", [node("Clip", "x", min=0.0, max=6.0)], opset=7)
    model("softmax", [node("Softmax", "x", axis=1)])
    model("softmax_flat", [node("Softmax", "x", axis=1)], opset=9)


def arithmetic():
    c = tensor("c", [[[1]], [[2]]])
    for op in ("Add", "Sub", "Mul", "Div"):
        model(op.lower(), [node(op, "x,c")], constants=[c])
    model("sum", [node("Sum", "x,c,x")], constants=[c])
    model("neg", [node("Neg", "x")])
    model("reciprocal", [node("Reciprocal", "x")])
    model("max", [node("Max", "x,c")], constants=[tensor("c", 0)])
    model("min", [node("Min", "c,x")], constants=[tensor("c", 6)])
    model("pow", [node("Pow", "x,two", "s"), node("Pow", "s,half")],
          constants=[tensor("two", 2), tensor("half", 0.5)])


# Attributes that are not those of the row, and the first opset that has the operator where that is above 17.
FUNCTIONS = {
    "Acos": {}, "Acosh": {}, "Asin": {}, "Asinh": {}, "Atan": {}, "Atanh": {}, "Ceil": {}, "Celu": {"alpha": 2.0}, "Cos": {}, "Cosh": {},
    "Elu": {"alpha": 0.5}, "Erf": {}, "Floor": {}, "Gelu": {"approximate": "tanh", "opset": 20}, "Hardmax": {"axis": 1},
    "IsInf": {"detect_negative": 0}, "IsNaN": {}, "Log": {}, "LogSoftmax": {"axis": 1}, "Mish": {"opset": 18}, "Round": {},
    "Selu": {}, "Shrink": {"lambd": 1.5, "bias": 0.5}, "Sign": {}, "Sin": {}, "Sinh": {}, "Softplus": {}, "Softsign": {},
    "Swish": {"alpha": 0.5, "opset": 24}, "Tan": {}, "ThresholdedRelu": {"alpha": 0.5},
    "ArgMax": {"axis": -1, "select_last_index": 1}, "ArgMin": {"axis": 1, "keepdims": 0},
    "ReduceL1": {"axes": [1]}, "ReduceL2": {"axes": [1]}, "ReduceLogSum": {"axes": [1]}, "ReduceLogSumExp": {"axes": [1]},
    "ReduceMax": {"axes": [-1], "keepdims": 0}, "ReduceMin": {}, "ReduceProd": {"axes": [1]}, "ReduceSumSquare": {"axes": [1]},
}


def functions():
    for op, given in FUNCTIONS.items():
        attributes = dict(given)
        opset = attributes.pop("opset", 17)
        model(op.lower(), [node(op, "x", **attributes)], x=(2, 3), opset=opset)
    model("cumsum", [node("CumSum", "x,axis", reverse=1)], x=(2, 3), constants=[tensor("axis", -1, np.int64)])
    model("mean", [node("Mean", "x,c,x")], x=(2, 3), constants=[tensor("c", [1, 2, 3])])
    model("mod", [node("Mod", "x,c", fmod=1)], x=(2, 3), constants=[tensor("c", [1, 2, 3])])
    model("pow_tensor", [node("Pow", "x,c")], x=(2, 3), constants=[tensor("c", [1, 2.5, -1])])
    model("max_tensors", [node("Max", "x,c,x")], x=(2, 3), constants=[tensor("c", [1, 2, 3])])
    model("clip_tensors", [node("Clip", "x,low,high")], inputs=[info("x", [4]), info("low", []), info("high", [])])
    model("cast_like", [node("CastLike", "x,c")], x=(2, 3), constants=[tensor("c", 1, np.int64)])
    # Masks: compared, joined, and chosen by.
    model("masks", [
        node("Greater", "x,c", "gt"), node("GreaterOrEqual", "x,c", "ge"), node("Less", "x,c", "lt"),
        node("LessOrEqual", "x,c", "le"), node("Equal", "x,c", "eq"), node("And", "gt,ge", "a"), node("Or", "lt,le", "o"),
        node("Xor", "a,o", "m"), node("Xor", "m,eq", "n"), node("Not", "n", "k"), node("Where", "k,x,c")],
        x=(2, 3), constants=[tensor("c", [1, 2, 3])])
    bits = [node("BitShift", "x,c", "s", direction="LEFT"), node("BitShift", "s,c", "t", direction="RIGHT"),
            node("BitwiseAnd", "t,c", "u"), node("BitwiseOr", "u,x", "v"), node("BitwiseXor", "v,c", "w"), node("BitwiseNot", "w")]
    model("bits", bits, inputs=[info("x", [3], TensorProto.UINT8)], opset=18, constants=[tensor("c", [1, 2, 3], np.uint8)])


def moves():
    model("concat", [node("Concat", "x,x", axis=-3)])
    model("flatten", [node("Flatten", "x", axis=2)])
    model("reshape", [node("Reshape", "x,shape")], constants=[ints("shape", 0, -1, 2)])
    model("transpose", [node("Transpose", "x")], x=(1, 2, 3))
    model("squeeze", [node("Squeeze", "x,axes")], x=(1, 2, 1), constants=[ints("axes", -1)])
    model("squeeze_attribute", [node("Squeeze", "x")], x=(1, 2, 1), opset=11)
    model("unsqueeze", [node("Unsqueeze", "x,axes")], x=(2,), constants=[ints("axes", 0, -1)])
    model("unsqueeze_attribute", [node("Unsqueeze", "x", axes=[0, 3])], x=(2, 3), opset=11)
    model("pad", [node("Pad", "x,pads,value,axes")], opset=18,
          constants=[ints("pads", 1, 2, 3, -1), tensor("value", 1), ints("axes", -1, 2)])
    model("pad_attributes", [node("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=-1.0)], opset=9)
    for mode in ("reflect", "edge", "wrap"):
        model("pad_" + mode, [node("Pad", "x,pads", mode=mode)], x=(2, 3), opset=19, constants=[ints("pads", 0, 2, 0, 1)])
    model("slice", [node("Slice", "x,starts,ends,axes,steps")],
          constants=[ints("starts", -1, 1), ints("ends", -(2**63), 2**63 - 1), ints("axes", 2, -1),
                     ints("steps", -2, 1)])
    model("slice_attributes", [node("Slice", "x", starts=[1, -3], ends=[9, -1], axes=[1, 2])], opset=9)
    model("split", [node("Split", "x,sizes", "y,z", axis=2)], constants=[ints("sizes", 1, 3)], outputs=("y", "z"))
    model("split_equal", [node("Split", "x", "y,z", axis=1)], outputs=("y", "z"), opset=11)
    model("gather", [node("Gather", "x,i", axis=1)], x=(2, 5), constants=[ints("i", 0, 3, -1)])
    model("gather_even", [node("Gather", "x,i", axis=1)], x=(2, 5), constants=[ints("i", 3, 1)])
    model("gather_one", [node("Gather", "x,i", axis=1)], x=(2, 5), constants=[tensor("i", -1, np.int64)])
    model("gather_elements", [node("GatherElements", "x,i", axis=1)], x=(2, 5), constants=[tensor("i", [[0, -1], [4, 2]], np.int64)])
    model("gather_elements_range", [node("GatherElements", "x,i", axis=1)], x=(2, 5),
          constants=[tensor("i", [[0, 5]], np.int64)])
    model("gather_nd", [node("GatherND", "x,i", batch_dims=1)], x=(2, 5, 3), constants=[tensor("i", [[4], [-5]], np.int64)])
    model("gather_nd_range", [node("GatherND", "x,i")], x=(2, 5, 3), constants=[tensor("i", [[1, 2], [0, -6]], np.int64)])
    model("scatter", [node("Scatter", "x,i,u", axis=1)], x=(2, 5), constants=[tensor("i", [[3]], np.int64), ramp("u", 1, 1)], opset=9)
    model("scatter_elements", [node("ScatterElements", "x,i,u", axis=-1, reduction="add")], x=(2, 5),
          constants=[tensor("i", [[3]], np.int64), ramp("u", 1, 1)], opset=18)
    model("scatter_nd", [node("ScatterND", "x,i,u")], x=(2, 5), constants=[tensor("i", [[1]], np.int64), ramp("u", 1, 5)], opset=18)
    model("tensor_scatter", [node("TensorScatter", "x,u,at", mode="circular")], opset=24,
          inputs=[info("x", (2, 3, 8, 4)), info("u", (2, 3, 1, 4)), info("at", (2,), TensorProto.INT64)])
    model("tensor_scatter_prefix", [node("TensorScatter", "x,u", axis=1)], opset=24,
          inputs=[info("x", (2, 8, 4)), info("u", (2, 3, 4))])
    model("one_hot", [node("OneHot", "x,depth,values", axis=0)], inputs=[info("x", (2,), TensorProto.INT64)],
          constants=[tensor("depth", 3, np.int64), ramp("values", 2)])
    model("eye_like", [node("EyeLike", "x", "e", k=1), node("Add", "x,e")], x=(2, 3))
    model("trilu", [node("Trilu", "x,k", upper=0)], x=(2, 2, 3), constants=[tensor("k", -1, np.int64)])
    model("reverse_sequence", [node("ReverseSequence", "x,n", batch_axis=0, time_axis=1)],
          inputs=[info("x", (2, 4, 3)), info("n", (2,), TensorProto.INT64)])
    model("einsum", [node("Einsum", "x,z", equation="bhid, bhjd -> bhij")], inputs=[info("x", (2, 3, 4, 5)), info("z", (2, 3, 6, 5))])
    model("einsum_linear", [node("Einsum", "x,w", equation="bsh,hde->bsde")], x=(1, 2, 3), constants=[ramp("w", 3, 1, 2)])
    model("einsum_outer", [node("Einsum", "x,z", equation="i...,...j")], inputs=[info("x", (2, 3)), info("z", (3, 4))])
    model("einsum_diagonal", [node("Einsum", "x", equation="...ii->...i")], x=(2, 3, 3))
    model("einsum_sum", [node("Einsum", "x,z", equation="ij,k->i")], inputs=[info("x", (2, 3)), info("z", (4,))])
    model("einsum_integers", [node("Einsum", "x,z", equation="ij,jk")],
          inputs=[info("x", (2, 3), TensorProto.INT32), info("z", (3, 4), TensorProto.INT32)])
    model("einsum_sizes", [node("Einsum", "x,z", equation="ij,jk")], inputs=[info("x", (2, 3)), info("z", (5, 4))])
    model("einsum_term", [node("Einsum", "x", equation="ij->i")], x=(2,))
    model("einsum_result", [node("Einsum", "x", equation="ij->ik")], x=(2, 3))
    model("nll_loss", [node("NegativeLogLikelihoodLoss", "x,t,w", ignore_index=-1)],
          inputs=[info("x", (2, 3, 4)), info("t", (2, 4), TensorProto.INT64)], constants=[ramp("w", 3)])
    model("nll_loss_weights", [node("NegativeLogLikelihoodLoss", "x,t,w", name="loss")],
          inputs=[info("x", (2, 3)), info("t", (2,), TensorProto.INT64)], constants=[ramp("w", 2)])
    model("cross_entropy", [node("SoftmaxCrossEntropyLoss", "x,t", "y,p", reduction="sum")],
          inputs=[info("x", (2, 3)), info("t", (2,), TensorProto.INT32)], outputs=("y", "p"))
    model("random", [node("RandomNormalLike", "x", "r"), node("Add", "x,r")])
    model("top_k", [node("TopK", "x,k", "y,i", axis=1, largest=0)], x=(2, 5), constants=[ints("k", 2)], outputs=("y", "i"))
    model("top_k_attribute", [node("TopK", "x", "y,i", k=3)], x=(2, 5), outputs=("y", "i"), opset=9)
    model("top_k_many", [node("TopK", "x,k", "y,i")], x=(2, 5), constants=[ints("k", 6)], outputs=("y", "i"))
    model("cum_prod", [node("CumProd", "x,axis", reverse=1)], x=(2, 5), constants=[tensor("axis", -1, np.int64)], opset=26)
    model("bit_cast", [node("BitCast", "x", to=TensorProto.INT32)], x=(2, 5), opset=26)
    model("expand", [node("Expand", "x,shape")], x=(3, 1), constants=[ints("shape", 2, 1, 4)])
    model("tile", [node("Tile", "x,repeats")], x=(1, 3), constants=[ints("repeats", 2, 2)])
    model("identity", [node("Identity", "x", "a"), node("Relu", "a", "b"), node("Identity", "b")])
    model("dropout", [node("Relu", "x", "a"), node("Dropout", "a", "y,mask")])
    model("cast", [node("Cast", "x", to=TensorProto.INT32)], x=(2,))
    model("depth_to_space", [node("DepthToSpace", "x", blocksize=2, mode="CRD")], x=(1, 8, 2, 3))
    model("space_to_depth", [node("SpaceToDepth", "x", blocksize=2)])
    scales = tensor("scales", [1, 1, 2, 3])
    model("resize", [node("Resize", "x,,scales", mode="nearest", coordinate_transformation_mode="asymmetric",
                          nearest_mode="floor")], constants=[scales])
    model("resize_linear", [node("Resize", "x,,,sizes", mode="linear")], x=(1, 1, 2, 2), constants=[ints("sizes", 1, 1, 4, 2)])
    model("resize_crop", [node("Resize", "x,roi,,sizes", mode="nearest", extrapolation_value=9.0,
                               coordinate_transformation_mode="tf_crop_and_resize")], x=(4,),
          constants=[tensor("roi", [0, 1.5]), ints("sizes", 4)])
    model("resize_mode", [node("Resize", "x,,,sizes", name="lens", mode="fisheye")], constants=[ints("sizes", 1, 2, 4, 2)])
    model("upsample", [node("Upsample", "x,scales", mode="nearest")], constants=[scales], opset=9)


def quantized():
    u8, i8, i32 = TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
    scale, half = tensor("s", [0.5, 2]), tensor("h", 0.5)
    model("quantize_linear", [node("QuantizeLinear", "x,s,z", axis=0), node("QuantizeLinear", "x,h", "t", output_dtype=i8)],
          x=(2, 4), opset=21, constants=[scale, half, tensor("z", [128, 3], np.uint8)], outputs=("y", "t"))
    model("dequantize_linear", [node("DequantizeLinear", "x,s,z", axis=1, block_size=3)], opset=21,
          inputs=[info("x", [2, 4], i8)], constants=[tensor("s", [[0.5, 2], [1, 4]]), tensor("z", [[0, 1], [-1, 2]], np.int8)])
    model("dequantize_weight", [node("DequantizeLinear", "w,s", "v", axis=0), node("Conv", "x,v")], x=(1, 1, 1, 2),
          constants=[tensor("w", [[[[2]]], [[[-3]]]], np.int8), scale])
    model("dynamic_quantize_linear", [node("DynamicQuantizeLinear", "x", "y,s,z")], x=(4,), outputs=("y", "s", "z"))
    names = "x,s,z,w,s,v,t,u"
    factors = [half, tensor("s", 0.5), tensor("z", 10, np.uint8), tensor("t", 2), tensor("u", 100, np.uint8)]
    model("qlinear_matmul", [node("QLinearMatMul", names)], inputs=[info("x", [2, 2], u8)],
          constants=[*factors, tensor("w", [[1, 2], [3, -128]], np.int8), tensor("v", [0, 1], np.int8)])
    model("qlinear_conv", [node("QLinearConv", names + ",b", pads=[0, 1, 0, 0])], inputs=[info("x", [1, 1, 1, 3], u8)],
          constants=[*factors, tensor("w", [[[[1, -2]]]], np.int8), tensor("v", 0, np.int8), tensor("b", [4], np.int32)])
    model("conv_integer", [node("ConvInteger", "x,w,,v")], inputs=[info("x", [1, 300, 1, 1], u8)],
          constants=[tensor("w", np.full((2, 300, 1, 1), -128), np.int8), tensor("v", [127, -128], np.int8)])
    model("matmul_integer", [node("MatMulInteger", "x,w")], inputs=[info("x", [1, 5000], u8), info("w", [5000, 1], u8)],
          outputs=[info("y", [1, 1], i32)])
    model("matmul_whole", [node("MatMul", "x,w")], inputs=[info("x", [2, 2], i32)],
          constants=[tensor("w", [[65536, 1], [5, -7]], np.int32)])
    model("max_pool_whole", [node("MaxPool", "x", kernel_shape=[1, 2], pads=[0, 1, 0, 0])], inputs=[info("x", [1, 1, 1, 3], i8)])
    model("quantize_wide", [node("QuantizeLinear", "x,h,z", name="wide")], constants=[half, tensor("z", 0, np.int32)])


def attentions():
    heads = [info(name, [1, count, 2, 2]) for name, count in (("q", 2), ("k", 1), ("v", 1))]
    past = [info(name, [1, 1, 1, 2]) for name in ("kp", "vp")]
    model("attention", [node("Attention", "q,k,v", "y,,,w", is_causal=1, scale=1.0, qk_matmul_output_mode=3)], inputs=heads,
          opset=23, outputs=("y", "w"))
    model("attention_masked", [node("Attention", "q,k,v,m", softcap=0.5)], inputs=[*heads, info("m", [2, 2], TensorProto.BOOL)],
          opset=23)
    model("attention_past", [node("Attention", "q,k,v,,kp,vp", "y,kn,vn", left_window_size=1, right_window_size=0)],
          inputs=[*heads, *past], opset=25, outputs=("y", "kn", "vn"))
    model("attention_counted", [node("Attention", "q,k,v,m,,,n", is_causal=1)], opset=24,
          inputs=[*heads, info("m", [2, 1]), info("n", [1], TensorProto.INT64)])
    packed = [info(name, [1, 2, size]) for name, size in (("q", 4), ("k", 2), ("v", 2))]
    model("attention_packed", [node("Attention", "q,k,v", q_num_heads=2, kv_num_heads=1)], inputs=packed, opset=23)
    model("attention_odd", [node("Attention", "q,k,v", name="look", q_num_heads=3, kv_num_heads=1)], inputs=packed, opset=23)
    twice = graph("twice", [node("Add", "p,p", "r")], ["p"], ["r"])
    forget = graph("forget", [node("Mul", "s,zero", "r")], ["s"], ["r"], [tensor("zero", 0)])
    model("flex_attention", [node("FlexAttention", "q,k,v", domain="ai.onnx.preview", score_mod=forget, prob_mod=twice)],
          inputs=heads, domains=("ai.onnx.preview",), opset=26)


def sequences():
    model("swiglu", [node("SwiGLU", "x,b", alpha=2.0)], x=(2,), constants=[tensor("b", [3, 5])], opset=28)
    caches = [tensor("c", [[1, 0], [0, -1]]), tensor("s", [[0, 1], [1, 0]])]
    for name, flag in (("rotary_embedding", 0), ("rotary_interleaved", 1)):
        model(name, [node("RotaryEmbedding", "x,c,s,i", interleaved=flag, num_heads=1, rotary_embedding_dim=4)], x=(1, 2, 5),
              constants=[*caches, tensor("i", [[1, 0]], np.int64)], opset=23)
    model("causal_conv_with_state", [node("CausalConvWithState", "x,w,b,p", "y,n")], opset=27, outputs=("y", "n"),
          inputs=[info("x", [1, 2, 3]), info("p", [1, 2, 1])], constants=[tensor("w", [[[1, 10]], [[2, 3]]]), tensor("b", [0, 100])])
    tokens = [info("q", [1, 2, 2]), info("k", [1, 2, 1]), info("v", [1, 2, 1]), info("g", [1, 2, 1]), info("b", [1, 2, 1])]
    model("linear_attention", [node("LinearAttention", "q,k,v,,g,b", "y,n", q_num_heads=2, kv_num_heads=1, scale=2.0)],
          inputs=tokens, outputs=("y", "n"), opset=27)


def float_types():
    # Moved as they are (t), computed in f32 (y and a; of f64 a only), rounded by the model itself (i).
    nodes = [node("Transpose", "x", "t"), node("Mul", "x,w", "m"), node("Sub", "m,w"), node("Cast", "x", "i", to=TensorProto.INT8),
             node("Abs", "x", "a")]
    for name, kind in (("float16", TensorProto.FLOAT16), ("bfloat16", TensorProto.BFLOAT16), ("double", TensorProto.DOUBLE)):
        weights = helper.make_tensor("w", kind, [2], [0.5, 3])
        outputs = [info("t", [2, 2], kind), info("y", [2, 2], kind), info("i", [2, 2], TensorProto.INT8),
                   info("a", [2, 2], kind)]
        model(name, nodes, inputs=[info("x", [2, 2], kind)], constants=[weights], outputs=outputs)
    model("float8", [node("Cast", "x", name="narrow", to=TensorProto.FLOAT8E4M3FN)], x=(2,), opset=19)
    model("int4", [node("Cast", "x", name="narrow", to=TensorProto.INT4)], x=(2,), opset=21)
    model("int4_input", [node("Cast", "x", to=TensorProto.FLOAT)], inputs=[info("x", [2], TensorProto.INT4)], opset=21)
    weight = helper.make_tensor("w", TensorProto.INT4, [2, 2], [1, -2, 3, -8])
    model("int4_output", [node("EyeLike", "x", dtype=TensorProto.INT4)], x=(2, 2), opset=9)
    model("int4_weight", [node("DequantizeLinear", "w,s", "v"), node("MatMul", "x,v")], x=(1, 2), opset=21,
          constants=[weight, tensor("s", 0.5)])


def graph(name, nodes, inputs, outputs, constants=()):
    """A graph within a node: names without types."""
    empty = helper.make_empty_tensor_value_info
    return helper.make_graph(nodes, name, [empty(i) for i in inputs], [empty(o) for o in outputs], list(constants))


def controls():
    # Is the third dimension 4? It is: the else branch, with an op that is not supported, is never looked at.
    model("if", [node("Shape", "x", "s", start=2, end=3), node("Equal", "s,four", "c"), node("Relu", "x", "r"),
                 node("If", "c", then_branch=graph("yes", [node("Add", "r,one", "t")], [], ["t"], [tensor("one", 1)]),
                      else_branch=graph("no", [node("Erf", "r", "t")], [], ["t"]))], constants=[ints("four", 4)])
    model("if_unknown", [node("If", "c", name="fork", then_branch=graph("yes", [node("Relu", "x", "t")], [], ["t"]),
                              else_branch=graph("no", [node("Tanh", "x", "t")], [], ["t"]))],
          inputs=[info("x", [4]), info("c", [], TensorProto.BOOL)])
    # Twice: h = h * x + i, each h kept.
    body = graph("body", [node("Mul", "h,x", "p"), node("Cast", "i", "f", to=TensorProto.FLOAT), node("Add", "p,f", "q"),
                          node("Identity", "q", "kept"), node("Identity", "go", "on")], ["i", "go", "h"], ["on", "q", "kept"])
    model("loop", [node("Loop", "two,,x", "y,z", body=body)], x=(3,), constants=[tensor("two", 2, np.int64)], outputs=("y", "z"))
    # Running sums of rows, from the last to the first.
    body = graph("body", [node("Add", "h,row", "sum"), node("Identity", "sum", "out")], ["h", "row"], ["sum", "out"])
    model("scan", [node("Scan", "h,x", "y,z", body=body, num_scan_inputs=1, scan_input_directions=[1])],
          inputs=[info("h", [3]), info("x", [2, 3])], outputs=("y", "z"))
    function_model()


def function_model():
    """A function of the model's own, with an attribute, called twice; its names are those of the graph too."""
    slope = node("LeakyRelu", "x", "a")
    reference = onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="steep")
    slope.attribute.append(reference)
    twice = helper.make_function("local", "Bend", ["x", "bias"], ["y"], [slope, node("Add", "a,bias", "y")],
                                 [helper.make_opsetid("", 17)], ["steep"])
    nodes = [node("Bend", "x,c", "a", domain="local", steep=0.5), node("Bend", "a,x", "y", domain="local", steep=0.25)]
    made = helper.make_graph(nodes, "function", [info("x", [2])], [helper.make_empty_tensor_value_info("y")],
                             [tensor("c", [1, 2])])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    onnx.save(helper.make_model(made, opset_imports=imports, ir_version=8, functions=[twice]),
              os.path.join(FOLDER, "function.onnx"))


def recurrences():
    w, r, b = ramp("w", 1, 4, 2), ramp("r", 1, 4, 1), ramp("b", 1, 8)
    model("lstm", [node("LSTM", "x,w,r,b", hidden_size=1)], x=(2, 1, 2), constants=[w, r, b])
    model("gru", [node("GRU", "x,w,r", "y,h", hidden_size=1, direction="reverse", linear_before_reset=1)], x=(1, 1, 2),
          constants=[ramp("w", 1, 3, 2), ramp("r", 1, 3, 1)], outputs=("h",))
    model("rnn", [node("RNN", "x,w,r,,lengths", "y,h", hidden_size=1, activations=["Relu"])], x=(2, 2, 2),
          constants=[ramp("w", 1, 1, 2), ramp("r", 1, 1, 1), tensor("lengths", [1, 2], np.int32)], outputs=("y", "h"))


def constants():
    model("constant", [node("Constant", "", "c", value_floats=[1.0, 2.0]), node("Add", "x,c")], x=(2,))
    model("constant_of_shape", [node("ConstantOfShape", "shape", "c", value=tensor("v", [2])), node("Add", "x,c")],
          x=(2, 3), constants=[ints("shape", 2, 3)])
    # The usual chain of an exporter: reshape to [shape(x)[0], -1].
    model("shape", [node("Shape", "x", "s"), node("Gather", "s,zero", "n"), node("Unsqueeze", "n,axis", "u"),
                    node("Concat", "u,rest", "t", axis=0), node("Reshape", "x,t")],
          x=("batch", 2, 4), constants=[tensor("zero", 0, np.int64), ints("axis", 0), ints("rest", -1)])
    # A range, compared and chosen from: reshape to [-1, 4, 4] by arithmetic on constants.
    model("arithmetic", [
        node("Size", "x", "size"), node("Shape", "x", "s", start=2), node("ReduceProd", "s", "p", keepdims=0),
        node("Div", "size,p", "d"), node("Mod", "d,limit", "m"), node("Range", "m,limit,one", "r"),
        node("Greater", "r,m", "big"), node("Not", "big", "small"), node("Equal", "r,m", "same"),
        node("GreaterOrEqual", "r,m", "ge"), node("Less", "r,m", "less"), node("LessOrEqual", "r,m", "le"),
        node("And", "same,ge", "both"), node("Or", "both,less", "any"), node("And", "any,le", "all"),
        node("And", "all,small", "choice"), node("Where", "choice,minus,four", "t"),
        node("Cast", "t", "f", to=TensorProto.FLOAT), node("Floor", "f", "g"), node("Ceil", "g", "h"),
        node("Cast", "h", "t64", to=TensorProto.INT64), node("Reshape", "x,t64")],
        x=(1, 5, 4, 4), constants=[tensor("one", 1, np.int64), tensor("limit", 4, np.int64), ints("minus", -1),
                   ints("four", 4)])


def stored_elsewhere():
    """Tensors in another file, and sparse ones."""
    with open(os.path.join(FOLDER, "external.data"), "wb") as file:
        file.write(np.array([9, 9, 1, 2, 3, 4, 5], np.float32).tobytes())

    def external(file, **entries):
        weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
        for key, value in entries.items():
            weight.external_data.add(key=key, value=str(value))
        model(file, [node("Add", "x,w")], x=(2, 2), constants=[weight])

    external("external", location="external.data", offset=8, length=16)
    external("external_default", location="external.data")
    external("external_short", location="external.data", offset=16, length=16)
    external("external_length", location="external.data", length=20)
    external("external_missing", location="nowhere.data")
    external("external_folder", location=".")
    external("external_escape", location="models/../../external.data")
    external("external_absolute", location="/external.data")
    external("external_negative", location="external.data", offset=-4)

    def sparse(file, values, indices, dims):
        made = helper.make_sparse_tensor(tensor("w", values), indices, dims)
        save(file, [node("Add", "x,w")], [info("x", (2, 3))], made)

    def save(file, nodes, inputs, made):
        graph = helper.make_graph(nodes, file, inputs, [helper.make_empty_tensor_value_info("y")], sparse_initializer=[made])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                                    producer_name="qanat"), os.path.join(FOLDER, file + ".onnx"))

    sparse("sparse", [5, 7], ints("i", 1, 5), [2, 3])
    sparse("sparse_tuples", [5, 7], tensor("i", [[0, 1], [1, 2]], np.int64), [2, 3])
    sparse("sparse_outside", [5, 7], ints("i", 1, 6), [2, 3])
    sparse("sparse_unlike", [5, 7], ints("i", 1), [2, 3])
    sparse("sparse_huge", [5, 7], ints("i", 1, 6), [2**15, 2**15])
    model("sparse_constant", [node("Constant", "", "c", sparse_value=helper.make_sparse_tensor(
        tensor("v", [5]), ints("i", 4), [2, 3])), node("Add", "x,c")], x=(2, 3))


def old_opsets():
    """Operators as opsets 1 to 6 had them."""
    model("old_broadcast", [node("Add", "x,channel", "a", broadcast=1, axis=1), node("Mul", "a,last", "b", broadcast=1),
                            node("Sub", "b,pair", "c", broadcast=1, axis=-4), node("PRelu", "c,slope", "y")],
          x=(1, 2, 3, 4), opset=6,
          constants=[tensor("channel", [1, 2]), tensor("last", [1, 2, 3, 4]), ramp("pair", 1, 2), tensor("slope", [1, 2])])
    model("old_broadcast_wide", [node("Add", "x,c", name="sum", broadcast=1, axis=3)], x=(1, 2, 3, 4), opset=6,
          constants=[ramp("c", 3, 4)])
    model("old_attributes", [
        node("Cast", "x", "i", to="INT32"), node("Cast", "i", "f", to="FLOAT"), node("Reshape", "f", "r", shape=[1, 1, 4, 2]),
        node("Upsample", "r", "u", height_scale=2.0, width_scale=3.0), node("Tile", "u,tiles,axis", "t"),
        node("Pad", "t", "p", paddings=[0, 0, 0, 0, 0, 0, 1, 2], value=0.5), node("Split", "p,parts", "s,rest", axis=1),
        node("Selu", "s", "e"), node("Concat", "e,rest", "y")],
          x=(2, 4), opset=1, constants=[tensor("tiles", 3, np.int64), tensor("axis", 1, np.int64), ints("parts", 1, 2)])
    statistics = [tensor(name, values) for name, values in
                  (("scale", [[2, 4]]), ("bias", [[1, -1]]), ("mean", [[3, 5]]), ("variance", [[0.25, 4]]))]
    model("old_batch_normalization", [node("BatchNormalization", "x,scale,bias,mean,variance", spatial=0, is_test=1,
                                           epsilon=0.0)], x=(3, 1, 2), opset=6, constants=statistics)
    model("experimental", [
        node("ImageScaler", "x", "a", scale=0.5, bias=[1.0, -1.0]), node("Crop", "a", "b", border=[1, 0, 0, 2]),
        node("Affine", "b", "c", alpha=2.0, beta=1.0), node("ScaledTanh", "c", "d", alpha=3.0, beta=0.5),
        node("ParametricSoftplus", "d", "e", alpha=0.25, beta=4.0), node("Scale", "e", "y", scale=8.0)],
          x=(1, 2, 4, 3), opset=1)


def signals():
    one = ints("axis", 1)
    model("dft", [node("DFT", "x,,axis", onesided=1)], x=(1, 4, 1), constants=[one], opset=20)
    model("dft_axis", [node("DFT", "x,length", axis=0, inverse=1)], x=(3, 2), constants=[ints("length", 2)])
    model("dft_long", [node("DFT", "x", axis=0)], x=(510, 2))
    model("dft_prime", [node("DFT", "x", axis=0, name="prime")], x=(4099, 2))
    model("stft", [node("STFT", "x,step,window")], x=(1, 6, 1), constants=[tensor("step", 2, np.int64), ramp("window", 3)])
    for op in ("Hann", "Hamming", "Blackman"):
        model(op.lower() + "_window", [node(op + "Window", "size")], inputs=[], constants=[tensor("size", 4, np.int64)])
    model("mel_weight_matrix", [node("MelWeightMatrix", "bins,length,rate,low,high")], inputs=[],
          constants=[tensor("bins", 2, np.int64), tensor("length", 8, np.int64), tensor("rate", 8000, np.int64),
                     tensor("low", 0), tensor("high", 4000)])


def images():
    model("center_crop_pad", [node("CenterCropPad", "x,shape", axes=[-1, 1])], x=(1, 2, 3, 7),
          constants=[ints("shape", 4, 5)], opset=18)
    model("col2im", [node("Col2Im", "x,image,block", strides=[2, 1])], x=(1, 4, 6),
          constants=[ints("image", 3, 4), ints("block", 1, 2)], opset=18)
    model("col2im_large", [node("Col2Im", "x,image,block", name="sum")], x=(1, 1, 2**31 - 1),
          constants=[ints("image", 2**31 - 1), ints("block", 1)], opset=18)
    model("affine_grid", [node("AffineGrid", "x,size", align_corners=1)], x=(1, 2, 3), constants=[ints("size", 1, 1, 2, 2)],
          opset=20)


def sampled():
    model("grid_sample", [node("GridSample", "x,grid", padding_mode="border")], x=(1, 2, 4, 3), constants=[ramp("grid", 1, 1, 2, 2)])
    model("grid_sample_cubic", [node("GridSample", "x,grid", mode="cubic", align_corners=1)], x=(1, 1, 2, 3, 5), opset=20,
          constants=[ramp("grid", 1, 1, 1, 2, 3)])
    model("deform_conv", [node("DeformConv", "x,w,offset", strides=[2, 2])], x=(1, 1, 3, 3), opset=19,
          constants=[ramp("w", 1, 1, 1, 2)], inputs=[info("x", (1, 1, 3, 3)), info("offset", (1, 4, 2, 1))])
    model("roi_align", [node("RoiAlign", "x,rois,images", output_height=2, output_width=1, mode="max")], x=(1, 2, 4, 4), opset=16,
          constants=[tensor("rois", [[0, 0, 2, 3]]), ints("images", 0)])
    model("max_pool_places", [node("MaxPool", "x", "y,i", kernel_shape=[2, 2], storage_order=1)], x=(1, 2, 3, 2), outputs=("y", "i"))
    model("max_pool_places_u8", [node("MaxPool", "x", "y,i", kernel_shape=[2])], outputs=("y", "i"),
          inputs=[info("x", (1, 1, 3), TensorProto.UINT8)])
    model("max_pool_places_many", [node("MaxPool", "x", "y,i", name="pool", kernel_shape=[1])], x=(2**12, 2**12, 1), outputs=("y", "i"))
    model("deform_conv_large", [node("DeformConv", "x,w,offset", name="bent")], opset=19, constants=[tensor("w", [[[[1]]]])],
          inputs=[info("x", (1, 1, 2**14, 2**14)), info("offset", (1, 2, 2**14, 2**14))])
    model("max_unpool", [node("MaxUnpool", "x,i,size", kernel_shape=[2], strides=[2])], x=(1, 1, 2),
          inputs=[info("x", (1, 1, 2)), info("i", (1, 1, 2), TensorProto.INT64)], constants=[ints("size", 1, 1, 5)])
    model("det", [node("Det", "x")], x=(2, 3, 3))


def counted():
    """Sizes that depend on data."""
    table = tensor("table", np.arange(12).reshape(6, 2))
    # The coordinates of what is not zero, one a row; and the rows of a table that the first coordinate names.
    model("nonzero", [node("NonZero", "x", "z"), node("Transpose", "z", "rows"), node("Slice", "rows,zero,one,one", "c"),
                      node("Squeeze", "c,one", "i"), node("Gather", "table,i", "t"), node("Relu", "t", "y")],
          x=(2, 3), constants=[table, ints("zero", 0), ints("one", 1)], outputs=("rows", "y"))
    model("nonzero_constant", [node("NonZero", "c", "z"), node("Cast", "z", "f", to=TensorProto.FLOAT), node("Add", "x,f")],
          x=(1,), constants=[tensor("c", [[0, 5], [7, 0]])])
    model("nonzero_sum", [node("NonZero", "x", "z"), node("ReduceMax", "z", "y", name="most", axes=[1])], x=(2, 3))
    model("nonzero_shape", [node("NonZero", "x", "z"), node("Shape", "z", "y", name="size")], x=(2, 3))
    model("compress", [node("Compress", "x,c", axis=1)], x=(2, 3),
          inputs=[info("x", (2, 3)), info("c", (2,), TensorProto.BOOL)])
    model("unique", [node("Unique", "x", "y,first,group,size", axis=0, sorted=0)], x=(5, 2),
          outputs=("y", "first", "group", "size"))
    model("nms", [node("NonMaxSuppression", "boxes,scores,most,iou", "chosen"), node("Gather", "chosen,two", "y", axis=1)],
          inputs=[info("boxes", (1, 3, 4)), info("scores", (1, 2, 3))],
          constants=[ints("most", 2), tensor("iou", 0.5), tensor("two", 2, np.int64)])


def shapes_and_errors():
    relu = [node("Relu", "x")]
    model("symbolic", [node("Add", "x,z")], inputs=[info("x", ["n", 3]), info("z", ["n", 3])])
    model("axes_input", [node("Neg", "less", "axes"), node("ReduceSum", "x,axes", "s", name="total", keepdims=0),
                         node("Clip", "s,low", "y")],
          inputs=[info("x", [2, 3]), info("less", [1], TensorProto.INT64), info("low", [])])
    model("no_shape", relu, inputs=[info("x", None)])
    model("input_with_initializer", [node("Add", "x,w")], inputs=[info("x", [2]), info("w", [2])],
          constants=[tensor("w", [1, 2])], opset=8)
    model("unsupported", [node("TfIdfVectorizer", "x", "a", name="first"), node("TfIdfVectorizer", "a", "b", name="second"),
                          node("Pad", "b,pads", "c", name="behind", mode="mirror"),
                          node("Fancy", "b", domain="com.example", name="fourth")],
          constants=[ints("pads", 0, 0, 1, 1, 0, 0, 1, 1)], domains=("com.example",),
          stated=[info("b", [1, 2, 4, 4])])
    model("out_of_scope", [node("TreeEnsembleClassifier", "x", "a", name="trees", domain="ai.onnx.ml"),
                           node("Gradient", "x", "b", name="slope", domain="ai.onnx.preview.training"),
                           node("SequenceConstruct", "x", "c", name="list"), node("StringConcat", "x,x", "d", name="text"),
                           node("RandomNormal", "", "e", name="dice", shape=[1]), node("HardSwish", "x", "y", name="swish"),
                           node("SequenceConstruct", "x", "f")], opset=13, domains=("ai.onnx.ml", "ai.onnx.preview.training"))
    model("dot", [node("Relu", "x", 'a "b" \\ c'), node("Add", 'a "b" \\ c,w', "y")], x=(2,), constants=[tensor("w", [1, 2])])
    model("escape", [node("Relu", "x\x1b[31m", "y\x1b[0m")], inputs=[info("x\x1b[31m", (2,))], outputs=("y\x1b[0m",))
    model("escape_undefined", [node("Relu", "later\x1b[31m")])
    model("opset_0", relu, opset=0)
    model("newer_op", [node("HardSwish", "x", name="swish")], opset=13)
    model("undefined_name", [node("Add", "x,later", name="early"), node("Relu", "x", "later")])
    model("twice", [node("Relu", "x"), node("Tanh", "x")])
    model("not_broadcastable", [node("Add", "x,c", name="sum")], constants=[tensor("c", [1, 2, 3])])
    model("huge_constant", [node("ConstantOfShape", "shape", name="huge")], inputs=[],
          constants=[ints("shape", 2**40, 2**40)])
    model("integers", [node("Exp", "x", name="power")], inputs=[info("x", [2], TensorProto.INT64)])
    short = tensor("w", [1, 2, 3, 4])
    short.dims[0] = 5
    model("short_data", [node("Add", "x,w")], x=(5,), constants=[short])
    negative = tensor("w", [1])
    negative.dims[0] = -1
    model("negative_dim", [node("Add", "x,w")], x=(5,), constants=[negative])
    with open(os.path.join(FOLDER, "deep.onnx"), "wb") as file:  # graph in attribute in node in graph in …
        file.write(field(7, nested(100)))
    with open(os.path.join(FOLDER, "text.onnx"), "w", encoding="ascii") as file:
        file.write("This is a text file, not a model.\n")
    with open(os.path.join(FOLDER, "empty.onnx"), "wb"):
        pass


os.makedirs(FOLDER, exist_ok=True)
for make in (
    convolutions, products, pools, normalizations,
    activations, arithmetic, functions,
    moves,
    signals, images,
    float_types, quantized,
    attentions, sequences,
    sampled,
    counted,
    controls, recurrences,
    constants,
    stored_elsewhere,
    old_opsets,
    shapes_and_errors,
):
    make()
