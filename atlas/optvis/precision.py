"""Which arithmetic the network's passes are computed in while an image is optimized.

The image, its parameterization, transforms, penalties and the optimizer's state are always float32,
and so is every number that is reported. Activations and their gradients may be rounded to bfloat16:
where a processor has instructions for it, convolutions take half the time or less, and pictures do
not suffer (benchmarks/results/precision.txt). Elsewhere bfloat16 would be emulated, many times as
slow, and float32 takes its place.
"""

from __future__ import annotations

import torch

from atlas.optvis.recipe import PrecisionName

_X86 = ("avx512_bf16", "amx_bf16")
"""Instruction sets whose bfloat16 products PyTorch's convolutions use."""


def arithmetic(precision: PrecisionName, device: torch.device | str) -> torch.dtype:
    """The type to compute in on a device: bfloat16 if it may be and the device has it."""
    kind = torch.device(device).type
    if precision == "float32":
        return torch.float32
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        probe = getattr(torch.cpu, "get_capabilities", None)  # older PyTorch cannot tell
        native = probe is not None and any(probe().get(name, False) for name in _X86)
    return torch.bfloat16 if native else torch.float32
