"""The tokenizer of a saved extractor, read from its `tokenizer.json` alone: the same ids, without transformers.

Knows one file. Renders no chat template: the frame that a manifest keeps is enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from extractft.errors import ArtifactError, PromptError

__all__ = ["TOKENIZER_FILE", "StoredTokenizer"]

TOKENIZER_FILE = "tokenizer.json"


class StoredTokenizer:
    """A fast tokenizer as `ChatRenderer` and `GrammarCompiler` need it.

    Args:
        backend: The tokenizer of the `tokenizers` library.
        eos_token_id: Id of the end-of-sequence token, if it is known.

    Attributes:
        backend_tokenizer: The tokenizer of the `tokenizers` library.
        eos_token_id: Id of the end-of-sequence token.
        chat_template: Always `None`: give the renderer its frame.
    """

    chat_template = None

    def __init__(self, backend: Tokenizer, *, eos_token_id: int | None = None) -> None:
        self.backend_tokenizer = backend
        self.eos_token_id = eos_token_id

    @classmethod
    def from_directory(cls, directory: Path, *, eos_token_id: int | None = None) -> StoredTokenizer:
        """Read the tokenizer of a saved extractor.

        Raises:
            ArtifactError: The file cannot be read as a tokenizer.
        """
        try:
            backend = Tokenizer.from_file(str(directory / TOKENIZER_FILE))
        except Exception as error:  # the tokenizers library raises bare ones
            raise ArtifactError(
                f"Expected a tokenizer in {directory / TOKENIZER_FILE}, found one that cannot be read "
                f"({type(error).__name__})."
            ).hint("Copy the extractor again.") from error
        return cls(backend, eos_token_id=eos_token_id)

    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: Any) -> Any:
        """Refuse: there is no template.

        Raises:
            PromptError: Always.
        """
        raise PromptError("expected a tokenizer with a chat template, found none").hint(
            "Give the renderer the frame of the chat, which the manifest of a saved extractor keeps."
        )
