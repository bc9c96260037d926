"""Every error that extractft raises on purpose.

A message says what was expected and what was found; what to do about it is added as a note. Customers' text is
never part of a message: it is an attribute, for those who ask. Knows no other module of the package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = [
    "ArtifactError",
    "ArtifactMismatchError",
    "ArtifactNotFoundError",
    "BulkRunError",
    "ConfigError",
    "DatasetError",
    "DocumentError",
    "EmptyTextError",
    "EngineError",
    "ExtractFTError",
    "ExtractFTWarning",
    "ExtractionError",
    "GrammarError",
    "InputTooLongError",
    "InvalidAnswerError",
    "LowConfidenceError",
    "MergeConflictError",
    "MissingDependencyError",
    "NotVerbatimError",
    "OutputInvalidError",
    "OutputTruncatedError",
    "PerformanceWarning",
    "PromptError",
    "ReviewConflictError",
    "ReviewError",
    "ReviewUnavailableError",
    "RowIssue",
    "ScannedDocumentError",
    "SchemaError",
    "ServerError",
    "TrainingError",
]


class ExtractFTError(Exception):
    """Base of all errors raised by extractft.

    Example:
        ```python
        try:
            complaint = extractor.extract("")
        except ExtractFTError as error:
            print(error, *error.__notes__)
        ```
    """

    def hint(self, text: str) -> Self:
        """Add what the user can do about it, shown below the message, and return the error."""
        self.add_note(text)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy around `__init__`, whatever arguments a class takes; attributes and notes go along."""
        reduced: tuple[Any, ...] = tuple(super().__reduce__())
        arguments, attributes = reduced[1], dict(reduced[2]) if len(reduced) > 2 else {}
        if "__notes__" in attributes:
            attributes["__notes__"] = list(attributes["__notes__"])  # a hint to the copy is none to the original
        return _restored, (type(self), arguments), attributes


def _restored(cls: type[ExtractFTError], arguments: tuple[Any, ...]) -> ExtractFTError:
    """An error as Python's own classes make it from its arguments; the attributes are put back afterwards."""
    error = cls.__new__(cls, *arguments)
    builtin: Any = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    builtin.__init__(error, *arguments)
    return error


class ExtractFTWarning(UserWarning):
    """Base of all warnings that extractft gives: what went well, and not as somebody would expect."""


class PerformanceWarning(ExtractFTWarning):
    """Something takes a slower way than it should. The results are the same."""


class SchemaError(ExtractFTError, ValueError):
    """A type cannot be turned into an extraction schema.

    Attributes:
        path: Path to the offending field, such as `"lines.0.total"`; empty for the schema itself.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class ConfigError(ExtractFTError, ValueError):
    """A setting is unknown or out of range, or asks for something that this machine or this model does not have."""


class PromptError(ExtractFTError, ValueError):
    """A prompt template or a chat template cannot be rendered."""


@dataclass(frozen=True, slots=True)
class RowIssue:
    """One thing that is wrong with a row of data.

    Attributes:
        row: The number that the row has in its own file: the line of a text file (a header counts, and a row that
            takes several lines has the number of the first), the row of a spreadsheet. In memory the first row is 1.
        kind: Short machine-readable name, such as `"invalid_output"`.
        message: The fault in words, without quoting the row's text.
        field: Path to the field concerned, empty for the row as a whole.
        file: Name of the file, if the data is in several.
        value: The value that was found. Private data: in no message, unless asked for by
            `load_examples(show_values=True)`.
    """

    row: int
    kind: str
    message: str
    field: str = ""
    file: str = ""
    value: Any = dataclasses.field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.file, f"row {self.row}", self.field) if part)
        return f"{where}: {self.message}"


MOST_EQUAL = 3
"""Most rows with the same fault that have a line each in a message."""


def _rows_with_one_fault(issues: Sequence[RowIssue]) -> str:
    """One line for rows that all have the same fault."""
    first = issues[0]
    rows = ", ".join(str(issue.row) for issue in issues[:MOST_EQUAL])
    rows = f"rows {rows} and {len(issues) - MOST_EQUAL} more"
    where = ", ".join(part for part in (first.file, rows, first.field) if part)
    return f"{where}: {first.message}"


class DatasetError(ExtractFTError, ValueError):
    """Rows of a dataset cannot be used.

    Attributes:
        issues: Every bad row, not the first alone.
    """

    shown = 10

    def __init__(self, message: str, *, issues: Sequence[RowIssue] = ()) -> None:
        lines = [message, *(f"  {issue}" for issue in issues[: self.shown])]
        if len(issues) > MOST_EQUAL and len({(issue.file, issue.field, issue.message) for issue in issues}) == 1:
            lines[1:] = [f"  {_rows_with_one_fault(issues)}"]
        elif len(issues) > self.shown:
            lines.append(f"  ... and {len(issues) - self.shown} more, all in `.issues`")
        super().__init__("\n".join(lines))
        self.issues = tuple(issues)


class DocumentError(ExtractFTError, ValueError):
    """A document cannot be read as text."""


class ScannedDocumentError(DocumentError):
    """A document has pictures of text in place of text.

    Attributes:
        pages: The numbers of the pages that are pictures.
    """

    def __init__(self, message: str, *, pages: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.pages = tuple(pages)


class TrainingError(ExtractFTError, RuntimeError):
    """Training could not start, go on or resume."""


class ArtifactError(ExtractFTError):
    """A saved extractor cannot be written or read."""


class ArtifactNotFoundError(ArtifactError, FileNotFoundError):
    """A directory or file of a saved extractor, or a base model, is missing."""


class ArtifactMismatchError(ArtifactError, ValueError):
    """A saved extractor does not belong to what it was loaded with.

    Attributes:
        expected: The artifact's value.
        found: The value that it was given.
    """

    def __init__(self, message: str, *, expected: str, found: str) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class BulkRunError(ExtractFTError, RuntimeError):
    """A bulk run cannot begin or go on, or stopped before its end; what is done is kept."""


class ReviewError(ExtractFTError, RuntimeError):
    """A review cannot be opened, read or added to; what was saved before is kept."""


class ReviewConflictError(ReviewError):
    """Somebody else looks at a record, or has decided about it in the meantime."""


class ReviewUnavailableError(ReviewError):
    """The file of a review cannot be used now: somebody holds it, the disk is full, it is damaged or gone."""


class ExtractionError(ExtractFTError):
    """A text gave no valid record.

    Attributes:
        text: The text as it was handed in. Private data: never logged by extractft.
        raw_output: The model's output, as far as it came; `None` if it did not run.
    """

    def __init__(self, message: str, *, text: str, raw_output: str | None = None) -> None:
        super().__init__(message)
        self.text = text
        self.raw_output = raw_output


class EmptyTextError(ExtractionError):
    """The text is empty, or holds nothing but white space and characters without a width: no record is in it."""


class InputTooLongError(ExtractionError):
    """The prompt does not fit into the model's window."""


class OutputTruncatedError(ExtractionError):
    """The record was not complete when the budget of new tokens was spent."""


class OutputInvalidError(ExtractionError):
    """The record has the right shape but a validator of the schema refused it."""


class LowConfidenceError(ExtractionError):
    """The record is valid, and less certain than was asked for.

    Attributes:
        extraction: The record with its confidence and its places in the text, for whoever looks it over.
    """

    def __init__(self, message: str, *, text: str, raw_output: str, extraction: Any) -> None:
        super().__init__(message, text=text, raw_output=raw_output)
        self.extraction = extraction


class MergeConflictError(ExtractionError):
    """The pieces of a long text say different things of a field marked `Merge("error")`.

    Attributes:
        path: The field, with `*` for keys that are data.
        windows: Numbers of two pieces that disagree.
    """

    def __init__(self, message: str, *, path: str, windows: tuple[int, int], text: str = "") -> None:
        super().__init__(message, text=text)
        self.path = path
        self.windows = windows


class EngineError(ExtractFTError, RuntimeError):
    """An engine cannot be reached, or does not do what the extractor needs of it."""


class ServerError(ExtractionError):
    """A server gave no record for a text: it could not be reached, or answered with an error. Other texts go on.

    Attributes:
        status: The HTTP status that it answered with; `None` if no answer came.
        retryable: True if the same text may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        text: str,
        raw_output: str | None = None,
        status: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, text=text, raw_output=raw_output)
        self.status = status
        self.retryable = retryable


class InvalidAnswerError(EngineError, ValueError):
    """A server answered with what is no record of the schema. It is the cause of the `ExtractionError` of that text."""


class NotVerbatimError(InvalidAnswerError):
    """A server wrote a value that a verbatim field cannot have: it does not occur in the text."""


class GrammarError(ExtractFTError, RuntimeError):
    """A grammar refused a token or became too complex. Engines report it for the one completion concerned."""


class MissingDependencyError(ExtractFTError, ImportError):
    """An optional package is needed and not installed."""
