"""Write the card of the package's weights: model_card.py isic2018=FOLDER ph2=FOLDER ham10000=FOLDER

Each FOLDER is what `mlffm-segdiff evaluate default` wrote for the test ids of that data set. The text is
tools/model_card.md; figures come from the folders only.
"""

import sys
from pathlib import Path
from string import Template

from huggingface_hub import EvalResult, ModelCardData
from results_table import read_summary

from mlffm_segdiff.evaluation.report import HEADLINE_HEADER, headline_row, markdown_table
from mlffm_segdiff.metrics.summary import Summary
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.saved_weights import WEIGHTS

HERE = Path(__file__).parent
DEFAULT = HERE.parent / "src/mlffm_segdiff/weights/default"
NAMES = {
    "isic2018": "ISIC 2018 Task 1, 1,937 of 2,594 pairs",
    "ph2": "PH2",
    "ham10000": "HAM10000, split by lesion",
}


def eval_results(name: str, summary: Summary) -> list[EvalResult]:
    """Return the pooled and per-image scores of one data set in the hub's form."""
    scores = {
        "Jaccard, pooled": summary.pooled["jaccard"],
        "Dice, pooled": summary.pooled["dice"],
        "Jaccard, per image": summary.per_image["jaccard"].mean,
        "Dice, per image": summary.per_image["dice"].mean,
    }
    return [
        EvalResult(
            task_type="image-segmentation",
            dataset_type=name,
            dataset_name=NAMES[name],
            dataset_split="test",
            metric_type=metric.split(",")[0].lower(),
            metric_name=metric,
            metric_value=round(value, 4),
        )
        for metric, value in scores.items()
    ]


def main(*results: str) -> None:
    """Write README.md next to the weights."""
    found = {}
    for result in results:
        name, _, folder = result.partition("=")
        found[name] = read_summary(Path(folder), "network")
    data = ModelCardData(
        license="cc-by-nc-sa-4.0",
        library_name="mlffm-segdiff",
        pipeline_tag="image-segmentation",
        tags=["dermoscopy", "skin-lesion", "diffusion", "medical"],
        datasets=list(NAMES),
        model_name="mlffm-segdiff",
        eval_results=[one for name, summary in found.items() for one in eval_results(name, summary)],
    )
    segmenter = load_pretrained("default").segmenter
    text = Template((HERE / "model_card.md").read_text("utf-8")).substitute(
        parameters=f"{sum(p.numel() for p in segmenter.parameters()):,}",
        megabytes=f"{(DEFAULT / WEIGHTS).stat().st_size / 1e6:.1f}",
        scores=markdown_table(
            HEADLINE_HEADER[:6], [headline_row(NAMES[name], one)[:6] for name, one in found.items()]
        ).rstrip(),
    )
    (DEFAULT / "README.md").write_text(f"---\n{data.to_yaml()}\n---\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
