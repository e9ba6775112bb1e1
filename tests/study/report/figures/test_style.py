import itertools

from matplotlib.colors import to_rgb

from mlffm_segdiff.study.report.figures.style import COLOURS, WIDTH, colour, line, marker, page_figure


def test_twenty_variants_can_be_distinguished() -> None:
    assert len({(colour(n), line(n)) for n in range(20)}) == 20
    assert len({(colour(n), marker(n)) for n in range(20)}) == 20


def test_colours_differ_in_lightness_too() -> None:
    """For readers without colour vision: neighbours' luminances (WCAG weights) are not the same."""
    weights = (0.2126, 0.7152, 0.0722)
    found = [sum(w * c for w, c in zip(weights, to_rgb(name), strict=True)) for name in COLOURS]
    assert all(abs(one - other) > 0.02 for one, other in itertools.pairwise(found))


def test_figures_have_a_pages_width() -> None:
    assert page_figure(3).get_figwidth() == WIDTH
