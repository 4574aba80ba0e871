"""Writes the parts as ONNX, batch normalisation folded away."""

import torch

from parts import SLOPE


def folded(part):
    """(kernel, bias) of a convolution with its batch normalisation."""
    convolution, norm = part
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    kernel = convolution.weight * gain[:, None, None, None]
    return kernel, norm.bias - norm.running_mean * gain


class Writer:
    """Adds to a `Graph` of models/convert; every method takes and gives the name of a value."""

    def __init__(self, graph):
        self.graph, self.count = graph, 0

    def convolution(self, kernel, bias, source, stride=1, groups=1, pad=0):
        self.count += 1
        name = f"conv{self.count}"
        weights = [self.graph.weight(name + ".weight", kernel.numpy()), self.graph.weight(name + ".bias", bias.numpy())]
        return self.graph.node("Conv", [source, *weights], name, pads=[pad] * 4, strides=[stride] * 2, group=groups,
                               kernel_shape=list(kernel.shape[-2:]))

    def normed(self, part, source):
        convolution = part[0]
        shape = convolution.stride[0], convolution.groups, convolution.padding[0]
        return self.convolution(*folded(part), source, *shape)

    def leaky(self, source):
        return self.graph.node("LeakyRelu", [source], source + ".leaky", alpha=SLOPE)

    def gate(self, part, source):
        mean = self.graph.node("GlobalAveragePool", [source], source + ".mean")
        less = self.leaky(self.convolution(part.less.weight, part.less.bias, mean))
        more = self.convolution(part.more.weight, part.more.bias, less)
        share = self.graph.node("Sigmoid", [more], more + ".share")
        return self.graph.node("Mul", [source, share], source + ".gated")

    def block(self, part, source):
        hidden = self.leaky(self.normed(part.depth, self.leaky(self.normed(part.expand, source))))
        branch = self.normed(part.project, hidden)
        if hasattr(part.gate, "less"):
            branch = self.gate(part.gate, branch)
        return self.graph.node("Add", [source, branch], branch + ".sum") if part.around else branch

    def head(self, part, source, output, mixture=None):
        """The last norm goes into the last matrix; `mixture` (rows, answers) makes other answers of the head's."""
        wide = self.leaky(self.normed(part.expand, source))
        place = part.place.weight
        flat = self.convolution(place, torch.zeros(len(place)), wide, groups=len(place))
        flat = self.graph.node("Flatten", [flat], "flat", axis=1)
        gain = part.norm.weight / torch.sqrt(part.norm.running_var + part.norm.eps)
        matrix = part.embed.weight * gain[None]
        bias = part.embed.bias + part.embed.weight @ (part.norm.bias - part.norm.running_mean * gain)
        if mixture is not None:
            matrix, bias = mixture @ matrix, mixture @ bias
        weights = [self.graph.weight("embed.weight", matrix.numpy()), self.graph.weight("embed.bias", bias.numpy())]
        self.graph.node("Gemm", [flat, *weights], output, transB=1)
        self.graph.output(output, [1, len(bias)])
