"""A denoiser taken apart into encoder and denoiser, and put together again from whatever runs these."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mlffm_segdiff.segmenters.base import Graph, Part


class EncoderGraph(nn.Module):
    """``encode`` as a graph: image to features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Map an image (B3HW), and its style (B) if there are any, to the features that ``denoise`` reads."""
        return tuple(self.network.encode(*inputs))  # type: ignore[operator]


class DenoiserGraph(nn.Module):
    """``denoise`` as a graph: noisy mask, time and features to a logit or noise."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        """Map x_t (B C H W), times t (B) and features to a tuple of B1HW, or B2HW, alone."""
        noisy_mask, t, *features = inputs
        return (self.network.denoise(noisy_mask, t, features),)  # type: ignore[operator]


class GraphDenoiser(nn.Module):
    """A denoiser that runs on two graphs, those of its encoder and of its denoiser."""

    def __init__(self, encoder: Graph, denoiser: Graph, total_stride: int, styles: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        self.denoiser = denoiser
        self.total_stride = total_stride
        self.styles = styles

    def encode(self, *inputs: Tensor) -> list[Tensor]:
        """Map an image (B3HW), and its style (B) where there are styles, to features, each with B rows."""
        return list(self.encoder(*inputs))

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map a noisy mask (B C H W), times (B) and features to a logit or noise; see ``Denoiser``."""
        (output,) = self.denoiser(noisy_mask, t, *features)
        return output


def denoiser_parts(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    noisy_mask: Tensor,
    t: Tensor,
    features: Sequence[Tensor],
) -> dict[str, Part]:
    """Return the parts ``encoder`` and ``denoiser``, with these examples of their inputs."""
    names = tuple(f"features_{number}" for number in range(len(features)))
    encoder = Part(EncoderGraph(network), tuple(inputs.values()), tuple(inputs), names)
    read = (noisy_mask, t, *features)
    return {
        "encoder": encoder,
        "denoiser": Part(DenoiserGraph(network), read, ("noisy_mask", "t", *names), ("output",)),
    }
