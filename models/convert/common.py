"""What both conversions share: a small ONNX writer whose output is the same bytes on every run."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13  # Every operator used here is unchanged up to 17; the older number loads in more runtimes.


class Graph:
    """Collects nodes and weights in order. Names come from the source network's own numbering."""

    def __init__(self, name, input_shape):
        self.name, self.nodes, self.weights, self.outputs = name, [], [], []
        self.input = helper.make_tensor_value_info("image", TensorProto.FLOAT, input_shape)

    def weight(self, name, values):
        """Stores as fp16 with a Cast (half the file; the runtime folds it away) unless the array is too small to matter."""
        values = np.asarray(values, np.float32)
        halved = values.astype(np.float16)
        assert np.isfinite(halved).all(), name
        if values.size < 256 and not np.array_equal(halved.astype(np.float32), values):
            self.weights.append(numpy_helper.from_array(values, name))
            return name
        self.weights.append(numpy_helper.from_array(halved, name + ".half"))
        return self.node("Cast", [name + ".half"], name, to=TensorProto.FLOAT)

    def constant(self, name, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def output(self, name, shape):
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def write(self, path, note):
        graph = helper.make_graph(self.nodes, self.name, [self.input], self.outputs, self.weights, doc_string=note)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="bedcheck", producer_version=""
        )
        onnx.checker.check_model(model, full_check=True)
        assert all(node.domain == "" for node in model.graph.node)
        with open(path, "wb") as file:
            file.write(model.SerializeToString(deterministic=True))


def synthetic(size):
    """The picture behind every golden number: an 8-bit pattern that any program can make (height, width, RGB)."""
    y, x, c = np.meshgrid(np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    return ((3 * x + 5 * y + 85 * c + (x * y) % 61) % 256).astype(np.uint8)
