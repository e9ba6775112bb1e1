from functools import partial

import pytest
import torch
import torch.nn.functional as F

from mlffm_segdiff.benchmark.roofline import (
    COPY_BYTES,
    copy_peak,
    copy_work,
    gigaflops,
    matrix_peak,
    matrix_works,
    measure_peak_share,
    operation_shares,
)
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.timing import Timing
from mlffm_segdiff.segmenters.cost import count_flops

CPU = torch.device("cpu")


def test_a_product_of_matrices_is_two_operations_a_term() -> None:
    left, right = torch.ones(30, 50), torch.ones(50, 70)
    assert count_flops(lambda: left @ right) == 2 * 30 * 50 * 70
    assert gigaflops({"product": lambda: left @ right}) == {"product, GFLOP": 2 * 30 * 50 * 70 / 1e9}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_convolution_is_counted_where_no_gradient_is_kept(mode: type) -> None:
    image, weight = torch.ones(2, 3, 8, 8), torch.ones(5, 3, 3, 3)
    with mode():
        assert count_flops(lambda: F.conv2d(image, weight, padding=1)) == 2 * 2 * 8 * 8 * 5 * 3 * 9


def test_the_peak_is_that_of_the_quickest_product() -> None:
    works = matrix_works(torch.float32, CPU, (100, 200))
    assert [count_flops(work) for work in works.values()] == [2 * 100**3, 2 * 200**3]
    timings = dict(zip(works, [Timing((1e-3, 2e-3, 9.0)), Timing((4e-3,))], strict=True))
    assert matrix_peak(timings, (100, 200)) == pytest.approx(16e6 / 4e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_computed_in_the_format_requested(dtype: torch.dtype) -> None:
    (work,) = matrix_works(dtype, CPU, (16,)).values()
    result = work()
    assert isinstance(result, torch.Tensor)
    assert result.dtype == dtype
    assert result.any()


def test_a_copy_reads_and_writes_its_bytes() -> None:
    copied = copy_work(CPU, 4000)()
    assert isinstance(copied, torch.Tensor)
    assert copied.nbytes == 4000
    assert (copied == 1).all()
    assert copy_peak(Timing((0.5,)), 4000) == 16_000


def test_operations_share_all_of_the_time(capfd: pytest.CaptureFixture[str]) -> None:
    large, small = torch.ones(600, 600), torch.ones(2)

    def work() -> None:
        for _ in range(10):
            torch.mm(large, large)
            torch.add(small, small)

    shares = operation_shares(work, CPU)
    assert next(iter(shares)) == "aten::mm"
    assert list(shares)[-1] == "others"
    assert "aten::add" in shares
    assert sum(shares.values()) == pytest.approx(100)
    few = operation_shares(work, CPU, most=1)
    assert list(few) == ["aten::mm", "others"]
    assert sum(few.values()) == pytest.approx(100)
    assert "".join(capfd.readouterr()) == ""


def test_share_of_the_peak_by_hand(subject: Subject) -> None:
    """Every call takes a second, so the peak is the largest product's arithmetic and the share a ratio."""
    found = measure_peak_share(subject, (32, 64))
    image = subject.random_images(16)
    with torch.inference_mode():
        flops = count_flops(partial(subject.segmenter.segment, image, subject.model.sampling))
    (result,) = found.results
    assert result.figure is not None
    assert result.figure.value == pytest.approx(100 * flops / (2 * 64**3))
    assert found.facts["roofline"] == pytest.approx(
        {
            "matrix peak, GFLOP/s": 2 * 64**3 / 1e9,
            "copy peak, GB/s": 2 * COPY_BYTES / 1e9,
            "segmentation, GFLOP": flops / 1e9,
            "segmentation, GFLOP/s": flops / 1e9,
        }
    )
    shares = found.facts["share of the segmentation's time, %"]
    assert any("convolution" in name for name in shares)
    assert sum(shares.values()) == pytest.approx(100)
