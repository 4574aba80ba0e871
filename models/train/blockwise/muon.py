"""Muon: momentum whose step is made orthogonal (Jordan 2024, Newton-Schulz of fifth order), for matrices and kernels."""

import torch


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                kept = state.setdefault("kept", torch.zeros_like(p))
                kept.lerp_(p.grad, 1 - group["momentum"])
                step = orthogonal(p.grad.lerp(kept, group["momentum"]).flatten(1)).view_as(p)
                p.mul_(1 - group["lr"] * 0.01)
                p.add_(step, alpha=-group["lr"] * max(1.0, p.shape[0] / p[0].numel()) ** 0.5)


def orthogonal(matrix):
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x
