"""Limits of the requests and jobs that a server accepts."""

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
    """Limits of the requests and jobs that a server accepts.

    Attributes:
        body_bytes: Largest body of a request, in bytes.
        total_bytes: Largest total size of the uploads in memory, in bytes.
        queue: Largest number of requests in progress or waiting, once their upload is complete.
        batch: Largest number of images in one call of the network.
        pixels: Largest number of pixels of an image.
        evaluations: Largest number of network evaluations for one image, see `evaluations`.
        per_client: Largest number of simultaneous requests of one client; clients on this machine have no
            limit.
        jobs: Largest number of jobs kept at the same time, in any state.
        jobs_per_client: Largest number of these jobs of one client; clients on this machine have no limit.
        job_images: Largest number of images of a job.
        job_bytes: Largest body of the request that starts a job, in bytes.
        disk_bytes: Largest total size of the uploads and results of all jobs on disk, in bytes.
        job_seconds: Time for which results are kept, in seconds.
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
        sampling: Sampling settings of the image.
        inputs: Number of inputs that the network gets for the image: two if there is a box.
    """
    once = sampling.samples * sampling.steps if sampling.samples else 1 + sampling.second_look
    return inputs * once * (len(MIRRORS) if sampling.mirror else 1)
