"""The embedding of the diffusion time."""

from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Sinusoids of t and a two-layer perceptron (Ho et al. 2020), from diffusers' parts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sinusoids = Timesteps(width // 2, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.perceptron = TimestepEmbedding(width // 2, width)
        self.activation = nn.SiLU()

    def forward(self, t: Tensor, shift: Tensor | None = None) -> Tensor:
        """Map timesteps (B) to embeddings (B x width), activated once for all blocks; shift: added before."""
        sinusoids = self.sinusoids(t).to(self.perceptron.linear_1.weight.dtype)
        embedded = self.perceptron(sinusoids)
        activated: Tensor = self.activation(embedded if shift is None else embedded + shift)
        return activated
