import sys
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.products import Product
from mlffm_segdiff.inference.outputs.output import Output, check_output


def test_products_may_be_named_by_their_text() -> None:
    assert Output(Path("x"), frozenset({"overlay"})).products == {Product.OVERLAY}
    with pytest.raises(UserError, match="'overlays' is no output; choose of probability, spread, overlay,"):
        check_output(Output(Path("x"), frozenset({"overlays"})), 5)


@pytest.mark.parametrize("samples", [0, 1])
def test_a_map_of_the_spread_needs_samples(samples: int) -> None:
    check_output(Output(Path("x"), frozenset({"spread"})), 2)
    with pytest.raises(UserError, match=f"needs samples, and {samples} are drawn; set samples to 2 or more"):
        check_output(Output(Path("x"), frozenset({"spread"})), samples)


@pytest.mark.parametrize(
    ("output", "package", "extra"),
    [
        (Output(Path("x"), frozenset({"dicom-seg"})), "highdicom", "dicom"),
        (Output(Path("x"), table_format="parquet"), "pyarrow", "table"),
    ],
)
def test_what_lacks_its_package_is_told_before_the_work(
    monkeypatch: pytest.MonkeyPatch, output: Output, package: str, extra: str
) -> None:
    check_output(output, 1)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package} is not installed.*\.\[{extra}\]"):
        check_output(output, 1)


@pytest.mark.parametrize("product", [None, *Product])
def test_only_what_draws_on_the_picture_needs_its_bytes(product: Product | None) -> None:
    products = frozenset({product} if product else ())
    expected = product in {Product.OVERLAY, Product.DICOM_SEG, Product.NNUNET}
    assert Output(Path("x"), products).needs_bytes == expected
