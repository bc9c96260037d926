"""Questions that a server has to answer as the engine here would, asked once on connecting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from extractft.completion import Completion, EngineCapabilities, GenerationRequest
from extractft.errors import EngineError, InvalidAnswerError
from extractft.remote.retrying_client import ServerAnswerError, ServerClient
from extractft.remote.server_dialect import MALFORMED, PromptCodec, RequestSettings, ServerDialect

__all__ = ["ServerProbe", "check_server"]

REFUSALS = (400, 422)
OLDER = (
    "The server's grammar library may be older than the one here: a negative multiple_of needs llguidance 1.8. Update "
    "the server, or loosen the constraint in the schema and check it in a validator."
)


@dataclass(frozen=True, slots=True)
class ServerProbe:
    """Questions to a server, and the right answers.

    Attributes:
        token_ids: Texts and the extractor's own token ids for them.
        request: A request with a grammar that allows two records which no model would write by itself.
        answers: The token ids of both, as the grammar's own tokenizer may split them: any split counts that spells
            one of these bytes.
        own_request: A request with the grammar of the extractor's own schema, which the server has to take.
        codec: Prompts and answers in characters.
        end_token_id: The token that ends a record.
        least_window: Tokens of the shortest useful window: the prompt without a text, and room for a record.
    """

    token_ids: Mapping[str, tuple[int, ...]]
    request: GenerationRequest
    answers: tuple[bytes, ...]
    own_request: GenerationRequest
    codec: PromptCodec
    end_token_id: int
    least_window: int


async def check_server(
    client: ServerClient,
    dialect: ServerDialect,
    capabilities: EngineCapabilities,
    settings: RequestSettings,
    probe: ServerProbe,
) -> EngineCapabilities:
    """Check window, tokenizer, grammar and log-probabilities.

    Returns:
        The capabilities, corrected by what was seen.

    Raises:
        EngineError: Something that records depend on is not as it is here.
    """
    _check_window(dialect, capabilities, probe)
    await _check_tokenizer(client, dialect, capabilities, probe)
    found = await _check_grammar(client, dialect, capabilities, settings, probe)
    await _check_own_grammar(client, dialect, settings, probe)
    return found


def _check_window(dialect: ServerDialect, capabilities: EngineCapabilities, probe: ServerProbe) -> None:
    window = capabilities.max_window
    if window is not None and window < probe.least_window:
        raise EngineError(
            f"Expected a window of at least {probe.least_window} tokens, found {window} for {capabilities.model!r}."
        ).hint(dialect.window_advice)


async def _check_tokenizer(
    client: ServerClient, dialect: ServerDialect, capabilities: EngineCapabilities, probe: ServerProbe
) -> None:
    for text, expected in probe.token_ids.items():
        found = await dialect.tokenize(client, capabilities.model, text)
        if found is None or tuple(found) == expected:
            continue
        raise EngineError(
            f"Expected the extractor's own tokenizer behind {capabilities.model!r}, found one that splits a probe "
            f"text into {len(found)} tokens instead of {len(expected)}, or into others."
        ).hint("Serve the model that was exported for this extractor: `extractft export`.")


async def _check_grammar(
    client: ServerClient,
    dialect: ServerDialect,
    capabilities: EngineCapabilities,
    settings: RequestSettings,
    probe: ServerProbe,
) -> EngineCapabilities:
    asked = dialect.request(probe.request, settings)
    try:
        answer = await client.post(asked.path, asked.body)
        completion = dialect.completion(probe.request, answer, settings)
    except ServerAnswerError as error:
        if error.status in REFUSALS:
            raise _refused_grammar(client, error, "a grammar", dialect.grammar_advice) from error
        raise
    except InvalidAnswerError as error:
        raise _ignored_grammar(client, dialect) from error
    except MALFORMED as error:
        raise EngineError(f"Expected an answer of {dialect.kind} from {client.base_url}, found another form.").hint(
            f"{type(error).__name__}: {error}"
        ) from error
    _require_answer(completion, probe, client, dialect)
    if capabilities.logprobs == "none" or any(step.alternatives for step in completion.steps):
        return capabilities
    note = "no log-probabilities came: records have no confidence"
    return replace(capabilities, logprobs="none", notes=(*capabilities.notes, note))


async def _check_own_grammar(
    client: ServerClient, dialect: ServerDialect, settings: RequestSettings, probe: ServerProbe
) -> None:
    """Check that the server takes the grammar of the extractor's schema; one token of a record is enough."""
    asked = dialect.request(replace(probe.own_request, max_new_tokens=1), settings)
    try:
        await client.post(asked.path, asked.body)
    except ServerAnswerError as error:
        if error.status in REFUSALS:
            raise _refused_grammar(client, error, "the grammar of the extractor's schema", OLDER) from error
        raise


def _refused_grammar(client: ServerClient, error: ServerAnswerError, what: str, advice: str) -> EngineError:
    refused = EngineError(f"Expected {client.base_url} to take {what}, found that it refuses it.")
    return refused.hint(f"It says: {error.detail}").hint(advice)


def _ignored_grammar(client: ServerClient, dialect: ServerDialect) -> EngineError:
    return EngineError(
        f"Expected {client.base_url} to write one of two records that a grammar allows, found that it ignores the "
        "grammar or writes it in another form."
    ).hint(dialect.grammar_advice)


def _require_answer(completion: Completion, probe: ServerProbe, client: ServerClient, dialect: ServerDialect) -> None:
    spelled = b"".join(probe.request.grammar.spelling(i) for i in completion.token_ids)
    if completion.finish_reason == "stop" and spelled in probe.answers:
        return
    raise _ignored_grammar(client, dialect)
