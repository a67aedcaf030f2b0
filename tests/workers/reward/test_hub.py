"""Where a base is read from: a hub's repository becomes a folder first, and no folder leads to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tests.workers.reward.builders import planted_pairs
from tests.workers.reward.test_scorers import write_causal
from workers.reward import train
from workers.reward.config import EmbeddingConfig, TransformerConfig
from workers.reward.errors import ConfigError, ModelUnavailableError, UntrustedModelError
from workers.reward.hub import find_base
from workers.reward.scorers.likelihood import open_likelihood
from workers.reward.scorers.spec import ScorerSpec
from workers.reward.transformer.build import locate

NAME = "somebody/model"
CONFIGS: dict[str, Any] = {"transformer": TransformerConfig, "embedding": EmbeddingConfig}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the hub has as `somebody/model`."""
    folder = tmp_path / "hub"
    folder.mkdir()

    def give(
        name: str, *, revision: str | None, allow_patterns: list[str], ignore_patterns: list[str]
    ) -> str:
        assert (name, revision) == (NAME, "r1")
        (folder / "asked").write_text(" ".join(allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", give)
    return folder


def adapter(folder: Path, base: str) -> None:
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": base})
    )


def test_an_adapter_leads_to_nobody_elses_model(repository: Path, tmp_path: Path) -> None:
    """transformers reads `base_model_name_or_path` as a path of this machine."""
    victim = write_causal(tmp_path / "victim", 1)
    adapter(repository, victim)
    for name in (NAME, str(repository)):
        with pytest.raises(ConfigError, match="holds an adapter"):
            locate(TransformerConfig(base=name, revision="r1"))
        with pytest.raises(ConfigError, match="holds an adapter"):
            open_likelihood(ScorerSpec(kind="perplexity", model=name, revision="r1"))


def test_an_adapter_beside_a_whole_model_is_refused_too(tmp_path: Path) -> None:
    folder = Path(write_causal(tmp_path / "both", 1))
    adapter(folder, "elsewhere")
    with pytest.raises(ConfigError, match="holds an adapter"):
        open_likelihood(ScorerSpec(kind="perplexity", model=str(folder)))


@pytest.mark.parametrize("away", ["/elsewhere/model.safetensors", "../2/model.safetensors", 7])
def test_an_index_names_weights_beside_it_alone(tmp_path: Path, away: object) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": away}}))
    with pytest.raises(UntrustedModelError, match="outside its folder"):
        find_base(str(tmp_path))
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    assert find_base(str(tmp_path)) == tmp_path


def test_a_repository_is_read_from_its_folder(repository: Path) -> None:
    write_causal(repository, 1)
    assert find_base(NAME, revision="r1", weights=False) == repository
    assert "safetensors" not in (repository / "asked").read_text()
    scorer = open_likelihood(ScorerSpec(kind="perplexity", model=NAME, revision="r1", device="cpu"))
    assert scorer.kind == "perplexity"
    assert "*.safetensors" in (repository / "asked").read_text()
    assert "*.py" not in (repository / "asked").read_text()


@pytest.mark.parametrize("kind", ["transformer", "embedding"])
def test_a_template_that_cannot_be_used_is_refused_before_weights_are_fetched(
    repository: Path, tmp_path: Path, kind: str
) -> None:
    write_causal(repository, 1)
    config = CONFIGS[kind](base=NAME, revision="r1", chat_template="{% for m in messages %}", device="cpu")
    with pytest.raises(ConfigError, match="chat_template"):
        train(kind, planted_pairs(8), config, tmp_path / "m")
    assert "safetensors" not in (repository / "asked").read_text()


@pytest.mark.parametrize("fields", [{"torch_compile": True}, {"quantize": "nf4", "lora_rank": 4}])
def test_what_needs_cuda_is_refused_before_a_hub_is_asked(
    repository: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    config = TransformerConfig(base=NAME, revision="r1", device="cpu", **fields)
    with pytest.raises(ConfigError, match="CUDA device"):
        train("transformer", planted_pairs(8), config, tmp_path / "m")
    assert not (repository / "asked").exists()


def test_a_repository_with_code_is_refused(repository: Path) -> None:
    (repository / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(UntrustedModelError, match="auto_map"):
        find_base(NAME, revision="r1")


def test_what_no_hub_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="there is no folder"):
        find_base(str(tmp_path / "nowhere"))
