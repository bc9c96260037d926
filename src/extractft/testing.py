"""Doubles and checks for tests and docs: no download, no real model.

Sits above the extractor, next to the command line: nothing in the package imports it.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

__all__ = ["byte_tokenizer", "tiny_model"]

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.role == 'assistant' %}<think>

</think>

{% endif %}{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}
{%- endif -%}
"""
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token a byte, Qwen3's control tokens and a chat template of the same shape.

    `<think>` and `</think>` are added tokens but not special ones, as with Qwen3.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([AddedToken(t, special="think" not in t, normalized=False) for t in CONTROL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def tiny_model(
    *, vocab_size: int = 264, hidden_size: int = 64, num_hidden_layers: int = 1, seed: int = 0
) -> PreTrainedModel:
    """A randomly initialised Qwen3 of a few thousand weights, in float32 on the CPU.

    The vocabulary is a few ids wider than `byte_tokenizer()`'s, as Qwen3's is.
    """
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=4096,
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=258,
        pad_token_id=256,
    )
    return Qwen3ForCausalLM(config).eval()
