"""The output of jobs that is what `/api/v1/segment` answers to each image."""

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.files.atomic import write_bytes
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.outputs.writers import Output, Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.serve.decoding import preview
from mlffm_segdiff.serve.responses import segment_response


class ResponseWriter(Writer):
    """response/NAME.json, a `SegmentResponse` with inner and outer contour, maps and preview.

    Args:
        output: See `Writer`.
        sampling: Sampling settings of the job.
        processing: Settings of the job by which segmentations become masks.
    """

    needs_image = True

    def __init__(self, output: Output, sampling: SamplingConfig, processing: Processing) -> None:
        super().__init__(output)
        self._sampling = sampling
        self._processing = processing

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the response."""
        return (f"response/{stem}.json",)

    def write(self, result: CaseResult) -> None:
        """Write the response."""
        response = segment_response(result, self._sampling, self._processing, preview=preview(result.image))
        (path,) = self.paths(result.image.stem)
        write_bytes(path, response.model_dump_json().encode())
