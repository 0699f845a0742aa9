"""Save a module into a folder or to the Hugging Face Hub, and have it back, bit for bit.

The three methods of `huggingface_hub.ModelHubMixin`. Only the Hub needs that package, the extra
`hub`, and it takes a while to import: so what is local does without it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from torch import nn

from tablefree import saved
from tablefree.errors import CheckpointError, InputError
from tablefree.rows.table import read_as_the_rest

Describe = Callable[[nn.Module], Any]
Redo = Callable[[nn.Module, Any], nn.Module]
_REDONE: dict[str, tuple[Describe, Redo]] = {}


def redone_when_loaded(name: str, describe: Describe, redo: Redo) -> None:
    """Have something that was done to a trained module be done again to a loaded one's outline.

    Args:
        name: in `config.json`.
        describe: what was done, in types that JSON has; None for nothing.
        redo: does what is described to a module without weights, and returns it or another.
    """
    _REDONE[name] = describe, redo


class Pretrained(nn.Module, ABC):
    """Base of the modules that can be saved: embeddings, collections and models.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from tablefree import Embedding, HashingTrick
        >>> embedding = HashingTrick(100, 8, seed="item_id")
        >>> with TemporaryDirectory() as folder:
        ...     embedding.save_pretrained(folder)
        ...     copy = Embedding.from_pretrained(folder)
        >>> bool((copy.rows.weight == embedding.rows.weight).all())
        True
    """

    @abstractmethod
    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the module, in types that JSON has."""

    @classmethod
    @abstractmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> "Pretrained":
        """A module of the same shape and hash functions; its weights are not in `config.json`.

        Raises:
            KeyError, TypeError, AttributeError, InputError, CheckpointError: it describes none.
        """

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `config.json` and `model.safetensors` into a folder, over those in it.

        Raises:
            InputError: what could not be loaded again: users that are histories (save their model),
                a class of your own, weights used twice or not finite; a folder that cannot be
                written to.
        """
        folder, tensors = Path(save_directory), self.state_dict()
        config = self.saved_config()
        done = {name: describe(self) for name, (describe, _) in _REDONE.items()}
        config |= {name: what for name, what in done.items() if what is not None}
        try:
            with saved.outlining(folder, f"module of class {type(self).__name__}"):
                outline = _outline(type(self), config)
            if type(outline) is not type(self):
                raise CheckpointError(f"it would come back as a {type(outline).__name__}")
            saved.load_weights(outline, tensors, folder)
            saved.check_finite(tensors, "of it")
        except CheckpointError as error:
            raise InputError(
                f"this {type(self).__name__} cannot be loaded again, so it is not saved: {error}; "
                "save histories with their model, and others by torch.save of their state dict"
            ) from error
        saved.write(folder, config, tensors)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> Self:
        """Load a module, in evaluation mode, on the CPU. Nothing that can run code is read.

        Args:
            name_or_path: a folder that `save_pretrained` wrote, or a name on the Hub, "user/model".
            revision: branch, tag or commit on the Hub.
            cache_dir: where downloads are kept.
            force_download: whether to download what is kept already.
            local_files_only: whether to use what is kept, without a look at the Hub.
            token: for private names; by default the one kept by `hf auth login`.

        Raises:
            CheckpointError: no such folder or name; a file that is missing, damaged, a pickle or of
                another format version; another class, weights or hash functions; numbers that are
                not finite.
            InputError: neither folder nor name, as the rows that `nn.Embedding.from_pretrained`
                takes; a name on the Hub without the package `huggingface_hub`.
        """
        if not isinstance(name_or_path, str | Path):
            raise InputError(
                "from_pretrained takes a folder that `save_pretrained` wrote, or a name on the "
                f"Hub, got {type(name_or_path).__name__}: `tablefree.convert` and "
                "`tablefree.distill` take the rows of a table"
            )
        folder = Path(name_or_path)
        try:
            is_file, is_folder = folder.is_file(), folder.is_dir()
        except OSError as error:
            raise CheckpointError(f"{folder} cannot be read ({error.strerror})") from error
        if is_file:
            raise CheckpointError(
                f"{folder} is a file: pass a folder that `save_pretrained` wrote; pickles, which "
                "can run code, are not loaded"
            )
        if not is_folder:
            folder = _hub().download(
                str(name_or_path),
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        found = saved.read(folder)
        with saved.outlining(folder, f"module of class {cls.__name__}"):
            module = _outline(cls, found.config)
        if not isinstance(module, cls):
            kind = type(module).__name__
            raise CheckpointError(
                f"{folder} has no {cls.__name__} but a {kind}: call {kind}.from_pretrained"
            )
        saved.load_weights(module, saved.read_weights(found, module.state_dict()), folder)
        read_as_the_rest(module)
        return module.eval()

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the files of `save_pretrained` and a model card to the Hugging Face Hub.

        Args:
            repo_id: "user/model"; created if need be.
            options: of `huggingface_hub.ModelHubMixin.push_to_hub`: `private`, `token`, `branch`,
                `commit_message`, `create_pr`.

        Returns:
            The address of the commit.

        Raises:
            InputError: as `save_pretrained`; without the package `huggingface_hub`.
        """
        model = _hub().HubModel(type(self).__name__, self.save_pretrained)
        address: str = model.push_to_hub(repo_id, **options)
        return address


def _outline(cls: type[Pretrained], config: Mapping[str, Any]) -> Pretrained:
    module: nn.Module = cls.from_saved_config(config)
    for name, (_, redo) in _REDONE.items():
        if name in config:
            module = redo(module, config[name])
    assert isinstance(module, Pretrained)
    return module


def _hub() -> ModuleType:
    try:
        from tablefree import hub
    except ModuleNotFoundError as error:
        raise InputError(
            f"no folder of that name, and the package {error.name}, which the Hub needs, is not "
            'installed: pass a folder, or `pip install "tablefree[hub]"`'
        ) from error
    return hub
