"""A denoiser split into the graphs of its encoder and its denoiser, and a denoiser that runs such graphs."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mlffm_segdiff.segmenters.base import Graph, Part


class EncoderGraph(nn.Module):
    """`Denoiser.encode` as a graph: image to features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Map an image (B3HW), and its style (B) for a network with styles, to features."""
        return tuple(self.network.encode(*inputs))  # type: ignore[operator]


class DenoiserGraph(nn.Module):
    """`Denoiser.denoise` as a graph: noisy mask, timestep and features to the network's output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        """Map x_t (BCHW), timesteps (B) and features to a tuple of one output, B1HW."""
        noisy_mask, t, *features = inputs
        return (self.network.denoise(noisy_mask, t, features),)  # type: ignore[operator]


class GraphDenoiser(nn.Module):
    """A denoiser that runs on the graphs of an encoder and a denoiser."""

    def __init__(self, encoder: Graph, denoiser: Graph, total_stride: int, styles: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        self.denoiser = denoiser
        self.total_stride = total_stride
        self.styles = styles

    def encode(self, *inputs: Tensor) -> list[Tensor]:
        """Map an image (B3HW), and its style (B) for a network with styles, to features, each with B rows."""
        return list(self.encoder(*inputs))

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map a noisy mask (BCHW), timesteps (B) and features to the output, B1HW."""
        (output,) = self.denoiser(noisy_mask, t, *features)
        return output


def denoiser_parts(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    noisy_mask: Tensor,
    t: Tensor,
    features: Sequence[Tensor],
) -> dict[str, Part]:
    """Split a denoiser into the parts ``encoder`` and ``denoiser``.

    Args:
        network: The denoiser, see `segmenters.diffusion.Denoiser`.
        inputs: Example inputs of the encoder by name.
        noisy_mask: Example, BCHW.
        t: Example timesteps, B.
        features: The encoder's outputs for ``inputs``.
    """
    names = tuple(f"features_{number}" for number in range(len(features)))
    encoder = Part(EncoderGraph(network), tuple(inputs.values()), tuple(inputs), names)
    read = (noisy_mask, t, *features)
    return {
        "encoder": encoder,
        "denoiser": Part(DenoiserGraph(network), read, ("noisy_mask", "t", *names), ("output",)),
    }
