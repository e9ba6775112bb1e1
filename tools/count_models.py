"""Count the cost of each model of the package: count_models.py

Writes src/mlffm_segdiff/segmenters/model_costs.json, which `mlffm-segdiff models` prints. Needs the
extra train.
"""

import json
from dataclasses import asdict
from pathlib import Path

from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.cost import count_model
from mlffm_segdiff.segmenters.model_list import MODEL_COSTS

if __name__ == "__main__":
    own = [name for name in MODELS if name not in MODELS.names_elsewhere()]
    text = json.dumps({name: asdict(count_model(name)) for name in own}, indent=2)
    Path(str(MODEL_COSTS)).write_text(f"{text}\n", encoding="utf-8")
