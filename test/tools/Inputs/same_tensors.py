"""Fails unless every int8 tensor that the first .npz and another one both hold is the same, and there are enough of them.

usage: same_tensors.py FEWEST FIRST.npz OTHERS.npz...
"""
import sys

import numpy as np

first = np.load(sys.argv[2])
for path in sys.argv[3:]:
    other = np.load(path)
    common = [name for name in first.files if name in other.files and first[name].dtype == np.int8]
    assert len(common) >= int(sys.argv[1]), (path, len(common))
    for name in common:
        a, b = first[name], other[name]
        assert a.dtype == b.dtype and a.shape == b.shape, (path, name, a.dtype, b.dtype, a.shape, b.shape)
        assert (a == b).all(), f"{path}: {name}: {(a != b).sum()} of {a.size} elements differ"
    for name in set(first.files) & set(other.files) - set(common):
        np.testing.assert_allclose(other[name], first[name], rtol=1e-5, atol=1e-5, err_msg=f"{path}: {name}")
