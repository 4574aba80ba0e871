"""A teacher as ONNX Runtime sees it, giving what its blocks give beside its answer."""

import onnx
import onnxruntime
import torch


class Teacher:
    """`blocks` yields the names of the values that end its blocks, given its graph."""

    def __init__(self, path, threads, blocks):
        model = onnx.load(path)
        graph = model.graph
        for value in [*graph.input, *graph.output]:
            value.type.tensor_type.shape.dim[0].dim_param = "n"
        self.picture, self.answer = graph.input[0].name, graph.output[0].name
        self.outputs = list(blocks(graph))
        graph.output.extend(onnx.helper.make_tensor_value_info(o, onnx.TensorProto.FLOAT, None) for o in self.outputs)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # PyTorch's threads need the cores.
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def __call__(self, picture):
        """(n, 3, side, side) RGB 0..255 to ([maps, (n, c, h, w)], answer (n, m)). Both teachers take BGR."""
        feed = {self.picture: picture.flip(1).cpu().numpy()}
        *maps, answer = self.session.run([*self.outputs, self.answer], feed)
        maps = [torch.from_numpy(array).to(picture.device).contiguous(memory_format=torch.channels_last) for array in maps]
        return maps, torch.from_numpy(answer).to(picture.device).flatten(1)


def gated_blocks(graph):
    """face-reidentification-retail-0095: the gated map of each of 15 blocks, or its sum with the block's input."""
    gates = {node.output[0] for node in graph.node if node.op_type == "Sigmoid"}
    sums = sum_after(graph)
    for node in graph.node:
        if node.op_type == "Mul" and gates.intersection(node.input):
            yield sums.get(node.output[0], node.output[0])


def plain_blocks(graph):
    """MiniFASNet: the map of each convolution without an activation, or its sum with the block's input."""
    activated = {node.input[0] for node in graph.node if node.op_type in ("PRelu", "Flatten")}
    sums = sum_after(graph)
    for node in graph.node:
        if node.op_type == "Conv" and not activated.intersection(node.output):
            yield sums.get(node.output[0], node.output[0])


def sum_after(graph):
    return {node.input[1]: node.output[0] for node in graph.node if node.op_type == "Add"}
