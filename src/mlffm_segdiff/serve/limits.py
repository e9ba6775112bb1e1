"""What a server accepts, and what counts as heavy."""

from dataclasses import dataclass

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.segmenters.base import MIRRORS

LARGE_PIXELS = 4_000_000
"""Images with more pixels are decoded in threads of their own, so that smaller ones do not wait for them."""
HEAVY_EVALUATIONS = 8
"""Requests with more evaluations of the network take turns with the others."""
BATCH_EVALUATIONS = 64
"""Maximum number of evaluations in a batch of several images, which bounds how long others wait for it."""


@dataclass(frozen=True)
class Limits:
    """What a server accepts.

    Attributes:
        body_bytes: Of one request.
        total_bytes: Of all uploads in memory.
        queue: Requests in progress or waiting, once their upload is complete.
        batch: Images in one call of the network.
        pixels: Of one image.
        evaluations: Of the network for one image.
        per_client: Requests of one client at the same time; clients on this machine have no limit.
        jobs: Kept at the same time, in any state.
        jobs_per_client: Of these; clients on this machine have no limit.
        job_images: Of one job.
        job_bytes: Of the request that starts a job.
        disk_bytes: Of all jobs on disk: uploads and results.
        job_seconds: That results are kept.
    """

    body_bytes: int = 64 * 2**20
    total_bytes: int = 512 * 2**20
    queue: int = 32
    batch: int = 8
    pixels: int = 50_000_000
    evaluations: int = 256
    per_client: int = 16
    jobs: int = 32
    jobs_per_client: int = 4
    job_images: int = 500
    job_bytes: int = 2 * 2**30
    disk_bytes: int = 8 * 2**30
    job_seconds: float = 3600

    @property
    def heavy(self) -> int:
        """Heavy requests in progress or waiting: half of the queue."""
        return max(1, self.queue // 2)


def evaluations(sampling: SamplingConfig, inputs: int = 1) -> int:
    """Return how often the network is evaluated for one image: steps times samples, once for each mirror.

    Args:
        sampling: Of the image.
        inputs: That the network gets of the image: two if there is a box.
    """
    once = sampling.samples * sampling.steps if sampling.samples else 1 + sampling.second_look
    return inputs * once * (len(MIRRORS) if sampling.mirror else 1)
