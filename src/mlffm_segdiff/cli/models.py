"""``mlffm-segdiff models``: the networks that a recipe can name."""


def models() -> None:
    """List the models: parameters, arithmetic, steps and source.

    Of the recipe that is called as the model, else of the defaults. GFLOP: the arithmetic of the convolutions
    and matrix products of one segmentation at 128 x 128. Steps: those of sampling, times the samples or the
    mirror images.
    """
    from rich.console import Console
    from rich.table import Table

    from mlffm_segdiff.build.figures import count_figures, model_recipe
    from mlffm_segdiff.build.models import MODELS

    table = Table("model")
    for column in ("parameters", "GFLOP", "steps"):
        table.add_column(column, justify="right")
    table.add_column("source", overflow="fold")
    with Console(stderr=True).status("counting"):
        for name, entry in MODELS.items():
            figures = count_figures(model_recipe(name))
            passes = f"{figures.steps} x {figures.samples}" if figures.samples > 1 else str(figures.steps)
            table.add_row(
                name, f"{figures.parameters:,}", f"{figures.flops / 1e9:,.1f}", passes, entry.citation
            )
    Console(markup=False, highlight=False).print(table)
