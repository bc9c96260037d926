"""The system prompt, written from a schema by a Jinja template.

Templates run in a sandbox: a prompt may come with a configuration file. Knows the schema; knows no tokenizer.
"""

from __future__ import annotations

from typing import Any

from extractft.config import PromptConfig
from extractft.errors import PromptError
from extractft.prompt.field_outline import FieldEntry, outline
from extractft.prompt.language_detection import detect_language
from extractft.prompt.phrasebook import PHRASEBOOKS, Phrasebook
from extractft.prompt.template_rendering import environment, render_template
from extractft.schema import Schema

__all__ = ["render_system_prompt"]

DEFAULT_CONFIG = PromptConfig()


def render_system_prompt(schema: Schema[Any], config: PromptConfig = DEFAULT_CONFIG) -> str:
    """Write the system prompt for a schema.

    `config.template`, if given, is the source of a Jinja template that replaces the built-in one. It may use:

    - `schema_name`, `description`: name and docstring of the schema; the docstring may be empty.
    - `instructions`: `config.instructions`, or empty.
    - `language`: `zh` or `en`; `words`: names of types in that language (`words.text.one`, `words.comma`, ...).
    - `root`: `object`, `list` or `value`; `answer`: the whole answer's type in words.
    - `fields`: the fields, each with `key`, `type` (empty for plain text), `details` (constraints, default, `required`
      or `optional`, in words), `optional`, `description`, `children` (fields of an object or of the objects in a list,
      or numbered options of a union, which have a `number` and no `key`).
    - `any_optional`, `optional_marked`, `any_plain`, `any_formed`, `omit_defaults`: what the sentences around the list
      depend on.

    `{% include "fields.jinja" %}` writes the built-in list of fields. A template that computes (calls, filters with
    arguments, `set`, macros, arithmetic) is rendered in a process of its own, with bounds on time and memory.

    Args:
        schema: The schema of the records. Its own `omit_defaults` decides how absent fields are spelled.
        config: Language, template and further instructions.

    Returns:
        The prompt, without white space around it.

    Raises:
        PromptError: `config.template` has a syntax error, uses an unknown variable, renders to nothing, or takes too
            much time or memory.
    """
    variables = _variables(schema, config)
    if config.template is None:
        return environment().get_template(f"{variables['language']}.jinja").render(variables).strip()
    return _render_own(config.template, variables)


def _variables(schema: Schema[Any], config: PromptConfig) -> dict[str, Any]:
    """The variables of a template; `render_system_prompt` lists them."""
    language = detect_language(schema) if config.language == "auto" else config.language
    words = PHRASEBOOKS[language]
    form = outline(schema.tree, schema.definitions, words, omit_defaults=schema.omit_defaults)
    return {
        "schema_name": schema.name,
        "description": (schema.description or "").strip(),
        "instructions": (config.instructions or "").strip(),
        "language": language,
        "words": words,
        "root": form.root,
        "answer": _spell(form.answer, words),
        "fields": form.answer.children,
        "any_optional": form.any_optional,
        "optional_marked": form.optional_marked,
        "any_plain": form.any_plain,
        "any_formed": form.any_formed,
        "omit_defaults": schema.omit_defaults,
    }


def _spell(answer: FieldEntry, words: Phrasebook) -> str:
    opening, closing = words.bracket
    return answer.type + (opening + words.comma.join(answer.details) + closing if answer.details else "")


def _render_own(source: str, variables: dict[str, Any]) -> str:
    prompt = render_template(source, variables)
    if not prompt:
        raise PromptError("expected a template that writes a prompt, found that it writes nothing").hint(
            "Correct PromptConfig.template, or leave it out to use the built-in one."
        )
    return prompt
