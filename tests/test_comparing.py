"""The weights in an exported file are the model's own, rounded to its type and no further."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export: needs onnx. Install it: pip install onnx.")

from llmresearch.export import DATA, ExportError, Variant, build
from llmresearch.export.comparing import compared
from tests.tiny_models import made

FORMS = [{}, {"dtype": "fp16"}, {"dtype": "int8", "method": "blocks"}, {"dtype": "int8", "method": "dynamic"},
         {"dtype": "fp16", "form": "growing"}]  # fmt: skip


@pytest.fixture(scope="module", params=["gpt2", "gemma3"])
def model(request, tmp_path_factory):
    return request.param, made(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form.values()) or "fp32")
def test_a_sample_of_every_matrix_is_within_half_a_step(form, model, tmp_path):
    facts = build.build(model[1], tmp_path, Variant(**form))
    found = facts["sampled"]
    assert found["matrices"] >= 9 and found["weights"] > 5_000
    assert found["worst_steps"] == 0 if not form else 0.45 < found["worst_steps"] <= 0.5
    assert facts["export_seconds"] > 0


def test_weights_of_another_model_are_found(model, tmp_path):
    family, folder = model
    build.build(folder, tmp_path, Variant())
    data = tmp_path / DATA
    halved = np.frombuffer(data.read_bytes(), np.float32) / 2
    data.write_bytes(halved.tobytes())
    with pytest.raises(ExportError, match="steps of its type away from the model's own weight"):
        compared(Path(tmp_path) / "model.onnx", folder, {"gemma3": "gemma3_text"}.get(family, family))
