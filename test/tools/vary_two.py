# Sizes may vary where planes have two elements at their least: all sizes take the same kernel from planes to pixels.
# REQUIRES: onnx, numpy
# RUN: rm -rf %t && mkdir %t && cd %t && %python %s && %qanat calibrate m.onnx -d random --shape 1,17,9,11 -o cal
# RUN: cd %t && %qanat compile m.onnx -q i8 --calibration cal --target x86-64-v4-vnni --shape 1,17,1..16,2..20 -o m.o
import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

weight = numpy_helper.from_array(np.ones((8, 17, 1, 1), np.float32), "w")
node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1])
shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, "h", "w"]) for n, c in (("x", 17), ("y", 8))]
save(helper.make_model(helper.make_graph([node], "m", shapes[:1], shapes[1:], [weight]),
                       opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "m.onnx")
