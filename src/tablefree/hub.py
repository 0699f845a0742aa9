"""Modules on the Hugging Face Hub, by the mixin of `huggingface_hub`, the extra `hub`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from tablefree.errors import CheckpointError
from tablefree.saved import CONFIG, WEIGHTS, one_line

_MODEL_CARD = """\
---
{{ card_data }}
---

A `{{ kind }}` of the Python library tablefree, embeddings without tables:

    import tablefree

    module = tablefree.{{ kind }}.from_pretrained("{{ repo_id }}")
"""


class HubModel(
    ModelHubMixin,
    library_name="tablefree",
    tags=["embedding", "recommendation"],
    model_card_template=_MODEL_CARD,
):
    """A module as the mixin wants it: its base class would make `import tablefree` slow."""

    def __init__(self, kind: str, save: Callable[[Path], None]) -> None:
        self.kind, self.save = kind, save

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the module and a model card that says how to load it."""
        card = {"kind": self.kind, "repo_id": repo_id}
        return super().push_to_hub(repo_id, model_card_kwargs=card, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        self.save(save_directory)


def download(repo_id: str, **options: Any) -> Path:
    """The folder with the files of a name on the Hub, which are kept for the next time.

    Raises:
        CheckpointError: no such name, or the Hub cannot be reached.
    """
    try:
        return Path(snapshot_download(repo_id, allow_patterns=[CONFIG, WEIGHTS], **options))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{repo_id!r} is no folder here, nor could it be had from the Hugging Face Hub "
            f"({one_line(error)}): pass a folder that `save_pretrained` wrote, or a name on the Hub"
        ) from error
