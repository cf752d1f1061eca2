"""Encoders: tokens (B, L) to features (B, L, C), convolutions with zero padding beyond the ends.

Tokens are the base codes A, C, G, T, N (0 to 4), `MASK` and `PAD`. A PAD position is no base:
its features are held at zero in every layer, so that a padded window gives what the whole
sequence gives. Activations are kept as (B, L, C) throughout; convolutions see them as a
channels-last image of height 1, the layout in which the CPU's kernels are fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.dna.sequence import N, T
from dnaannot.nn.residual import PAIRED_TAPS, add_norm, is_fused, paired_conv

MASK, PAD, VOCABULARY = 5, 6, 7


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is; presets differ only in these values.

    Attributes:
        kind: "residual" (the paper's, base resolution) or "strided".
        channels: width of the residual trunk.
        dilations: dilation of each trunk layer.
        kernel: kernel width of trunk layers, odd.
        stride: bases per trunk position (1 for "residual"). A multiple of 3 keeps the codon
            position of a coding exon constant along the trunk.
        stem_channels: width at base resolution ("strided" only).
        stem_kernel: kernel width of the convolutions at base resolution, odd.
    """

    kind: str
    channels: int
    dilations: tuple[int, ...]
    kernel: int = 9
    stride: int = 1
    stem_channels: int = 0
    stem_kernel: int = 9


PRESETS: dict[str, EncoderConfig] = {
    "spt": EncoderConfig("residual", 512, (1, 2, 4, 8, 16, 32) * 5),
    "strided": EncoderConfig(
        "strided",
        channels=192,
        dilations=(1, 2, 4, 8, 16, 32, 64, 1, 2, 4, 8, 16, 32, 64, 1, 2, 4, 8),
        kernel=7,
        stride=9,
        stem_channels=48,
    ),
    "regulatory": EncoderConfig(
        "strided",
        channels=160,
        dilations=(1, 2, 4, 8, 16, 32, 64, 1, 2, 4, 8, 16),
        kernel=5,
        stride=8,
        stem_channels=64,
    ),
    "tiny": EncoderConfig(
        "strided", 32, (1, 2, 4, 8), kernel=5, stride=9, stem_channels=16, stem_kernel=7
    ),
}
"""`spt` is the paper's encoder, `strided` that of the gene models, `regulatory` that of tracks;
`tiny` is for tests."""


def convolve(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """1-D convolution of x (B, L, C) with zero padding: (B, L, C')."""
    image = x.transpose(1, 2).unsqueeze(2)
    weight = conv.weight.unsqueeze(2)
    y = F.conv2d(
        image,
        weight.contiguous(memory_format=torch.channels_last),
        conv.bias,
        padding=(0, int(conv.padding[0])),
        dilation=(1, conv.dilation[0]),
    )
    return y.squeeze(2).transpose(1, 2)


def one_hot(tokens: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """One-hot (B, L, width) of tokens (B, L); PAD is all zeros."""
    table = torch.eye(VOCABULARY, width, dtype=dtype, device=tokens.device)
    table[PAD] = 0
    return table[tokens.long()]


def other_strand(tokens: Tensor) -> Tensor:
    """Tokens (B, L) of the reverse complement; N, MASK and PAD are their own complements."""
    return torch.where(tokens < N, T - tokens, tokens).flip(1)


def _same_conv(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    padding = dilation * (kernel // 2)
    return nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation)


class ResidualConv(nn.Module):
    """x + LN(GELU(conv(x))), features (B, L, C)."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv = _same_conv(channels, channels, kernel, dilation)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, bases: Tensor | None) -> Tensor:
        dtype = _compute_dtype(x)
        if self.conv.kernel_size[0] == PAIRED_TAPS and is_fused(x, dtype, self.norm):
            return paired_conv(x.to(dtype), self.conv, self.norm, bases)
        return _residual(x, convolve(x, self.conv), self.norm, bases)


class ResidualLinear(nn.Module):
    """x + LN(GELU(Linear(x))), features (B, L, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, bases: Tensor | None) -> Tensor:
        return _residual(x, self.linear(x), self.norm, bases)


def _residual(x: Tensor, y: Tensor, norm: nn.LayerNorm, bases: Tensor | None) -> Tensor:
    """A layer's x + LN(GELU(y))."""
    if is_fused(y, y.dtype, norm):
        return add_norm(x.to(y.dtype), y, norm, bases)
    return x + _masked(norm(F.gelu(y)), bases)


def _masked(x: Tensor, bases: Tensor | None) -> Tensor:
    return x if bases is None else x * bases.to(x.dtype)


def _bases(tokens: Tensor) -> Tensor | None:
    """(B, L, 1) 1 at bases and 0 at padding; None where there is no padding."""
    bases = tokens != PAD
    return None if bool(bases.all()) else bases.unsqueeze(-1)


class ResidualEncoder(nn.Module):
    """The paper's encoder (Mupparapu et al. 2025, section 4.1): one-hot straight into C channels.

    Every layer is a dilated convolution and a position-wise linear map, each as
    x += LN(GELU(.)).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (ResidualConv(config.channels, config.kernel, d), ResidualLinear(config.channels))
            )
            for d in config.dilations
        )

    @property
    def halo(self) -> int:
        """Bases to each side that a feature depends on."""
        return sum(self.config.dilations) * (self.config.kernel // 2)

    @property
    def coarse_channels(self) -> int:
        """Width of what `coarse` gives."""
        return self.channels

    def coarse(self, tokens: Tensor) -> Tensor:
        """Features of each cell: of each base here, where the stride is 1."""
        return self(tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features (B, L, C) of tokens (B, L)."""
        bases = _bases(tokens)
        x = one_hot(tokens, self.channels, _compute_dtype(tokens))
        for layer in self.layers:
            conv, linear = cast(nn.ModuleList, layer)
            x = linear(conv(x, bases), bases)
        return x


class StridedEncoder(nn.Module):
    """A stem at base resolution around a dilated residual trunk at 1 / stride of it.

    Windows must begin at a multiple of the stride in sequence coordinates, or features depend
    on where the window begins. L must be a multiple of the stride (pad with PAD).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = config.stem_channels
        width, stride = config.stem_channels, config.stride
        self.embed = _same_conv(VOCABULARY, width, config.stem_kernel)
        self.stem = ResidualConv(width, config.stem_kernel, 1)
        self.down = nn.Linear(stride * width, config.channels)
        self.trunk = nn.ModuleList(
            ResidualConv(config.channels, config.kernel, d) for d in config.dilations
        )
        self.norm = nn.LayerNorm(config.channels)
        self.up = nn.Linear(config.channels, stride * width)
        self.fuse = ResidualConv(width, config.stem_kernel, 1)

    @property
    def halo(self) -> int:
        """Bases to each side that a feature depends on, a multiple of the stride."""
        stride, reach = self.config.stride, self.config.stem_kernel // 2
        trunk = sum(self.config.dilations) * (self.config.kernel // 2)
        return (trunk + 1 + -(-3 * reach // stride)) * stride

    @property
    def coarse_channels(self) -> int:
        """Width of what `coarse` gives."""
        return self.config.channels

    def coarse(self, tokens: Tensor) -> Tensor:
        """Trunk features (B, L / stride, C') of tokens (B, L), L a multiple of the stride."""
        bases = _bases(tokens)
        return self.norm(self._trunk(self._stem(tokens, bases), bases))

    def forward(self, tokens: Tensor) -> Tensor:
        """Features (B, L, C) of tokens (B, L), L a multiple of the stride."""
        batch, length = tokens.shape
        bases = _bases(tokens)
        x = self._stem(tokens, bases)
        y = self.up(self.norm(self._trunk(x, bases)))
        return self.fuse(x + _masked(y.view(batch, length, -1), bases), bases)

    def _stem(self, tokens: Tensor, bases: Tensor | None) -> Tensor:
        """(B, L, stem channels)."""
        x = one_hot(tokens, VOCABULARY, _compute_dtype(tokens))
        return self.stem(_masked(F.gelu(convolve(x, self.embed)), bases), bases)

    def _trunk(self, x: Tensor, bases: Tensor | None) -> Tensor:
        """(B, L / stride, C) of x (B, L, stem channels), not yet normalised."""
        batch, length, _ = x.shape
        coarse_shape = (batch, length // self.config.stride, -1)
        coarse_bases = None
        if bases is not None:
            coarse_bases = bases.view(coarse_shape).any(-1, keepdim=True)
        y = _masked(self.down(x.reshape(coarse_shape)), coarse_bases)
        for layer in self.trunk:
            y = layer(y, coarse_bases)
        return y


def _compute_dtype(x: Tensor) -> torch.dtype:
    device = x.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype if x.is_floating_point() else torch.get_default_dtype()


Encoder = ResidualEncoder | StridedEncoder


def build_encoder(config: EncoderConfig) -> Encoder:
    """An encoder with random weights.

    Raises:
        ValueError: if `config.kind` is unknown.
    """
    if config.kind == "residual":
        return ResidualEncoder(config)
    if config.kind == "strided":
        return StridedEncoder(config)
    raise ValueError(f"no encoder of kind {config.kind!r}")
