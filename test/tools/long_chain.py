# RUN: %python %s %qanat %t
# A network of 20,000 nodes takes time and memory in proportion to its length: about a second, where walks over all
# values for each new name took minutes. The bound is a guard against those, not a measurement.
import subprocess
import sys

qanat, path = sys.argv[1:]
COUNT = 20000
with open(path + ".qir", "w", encoding="utf-8") as file:
    file.write("func @main(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {\n")
    before = "x"
    for i in range(COUNT):
        file.write(f"  %c{i} = constant dense<[{i}.0, 1.0, 2.0, 3.0]> : tensor<4xf32>\n"
                   f"  %t{i} = nn.add %{before}, %c{i} : (tensor<1x4xf32>, tensor<4xf32>) -> tensor<1x4xf32>\n")
        before = f"t{i}"
    file.write(f"  return %{before} : tensor<1x4xf32>\n}}\n")
for arguments in (["import"], ["compile", "--emit", "c"]):
    subprocess.run([qanat, *arguments, path + ".qir", "-o", path + ".c"], check=True, timeout=60)
with open(path + ".c", encoding="utf-8") as file:
    assert f"t{COUNT - 1}" in file.read()
