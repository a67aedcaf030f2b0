"""A base by its name: a local folder, or a hub's repository fetched into one. Nothing else is followed from there."""

from __future__ import annotations

from pathlib import Path

from .errors import ConfigError, ModelUnavailableError, UntrustedModelError
from .folder import is_trusted, read_json

ADAPTER_SETTINGS = "adapter_config.json"
SETTINGS = ("*.json", "*.txt", "*.model", "*.jinja")
# In folders lie copies for other programs; consolidated weights are the same ones again.
LEFT_OUT = ("*/*", "consolidated*")


def find_base(
    name: str, *, revision: str | None = None, hub: str = "huggingface", weights: bool = True
) -> Path:
    """The folder of a base; of a hub's repository, without ``weights`` settings and tokenizer alone.

    Raises ``ModelUnavailableError`` where there is none, ``UntrustedModelError`` for one that brings code or whose
    index names weights outside it, and ``ConfigError`` for an adapter: transformers would go on to the base that
    the adapter names, whosever folder that is.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _fetch(name, revision, hub, weights=weights)
    if (folder / ADAPTER_SETTINGS).exists():
        raise ConfigError(
            f"{name} holds an adapter ({ADAPTER_SETTINGS}); name one with the whole, merged model"
        )
    if not is_trusted(name):
        _refuse_code(folder)
    _refuse_ways_out(folder)
    return folder


def _fetch(name: str, revision: str | None, hub: str, *, weights: bool) -> Path:
    patterns = [*SETTINGS, *(["*.safetensors"] if weights else []), *(["*.py"] if is_trusted(name) else [])]
    try:
        if hub == "modelscope":
            from modelscope import snapshot_download

            return Path(
                snapshot_download(
                    name, revision=revision, allow_patterns=patterns, ignore_patterns=[*LEFT_OUT]
                )
            )
        from huggingface_hub import snapshot_download as download

        return Path(download(name, revision=revision, allow_patterns=patterns, ignore_patterns=[*LEFT_OUT]))
    except Exception as error:  # the hubs' clients raise many kinds, all meaning the same here
        raise ModelUnavailableError(f"there is no folder {name}, and {hub} gives none: {error}") from error


def _refuse_code(folder: Path) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).exists() and "auto_map" in read_json(folder / name):
            raise UntrustedModelError(
                f"{name} names its own code (auto_map); CHOSEN_TRUST_REMOTE_CODE would allow it"
            )


def _refuse_ways_out(folder: Path) -> None:
    """An index may name no file but those beside it."""
    for index in folder.glob("*.index.json"):
        files = read_json(index).get("weight_map")
        names = files.values() if isinstance(files, dict) else ()
        if any(not isinstance(name, str) or Path(name).name != name for name in names):
            raise UntrustedModelError(f"{index.name} names weights outside its folder")
