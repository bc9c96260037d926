"""Makes completions with a transformers model: callers from any thread join one running batch.

Knows requests, callers and turns. Knows no text and no schema.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import abc, deque
from collections.abc import Iterable, Iterator

import torch
from transformers import PreTrainedModel

from extractft.completion import Completion, EngineCapabilities, GenerationRequest, Proposer
from extractft.config import GenerationConfig
from extractft.errors import ConfigError, PerformanceWarning
from extractft.inference.cpu.int8_linears import Int8Linears
from extractft.inference.cpu.prepacked_linears import PrepackedLinears
from extractft.inference.cpu.transposed_linears import TransposedLinears, put_back
from extractft.inference.model_runner import ModelRunner
from extractft.inference.model_state import WeightVersion, evaluating
from extractft.inference.reference_engine import ReferenceEngine
from extractft.inference.scheduler import Scheduler, Statistics
from extractft.inference.sequence import Sequence
from extractft.modeling import is_out_of_memory
from extractft.processes import BoundToProcess, fork_safe_lock, raised_by_signal, reset_after_fork
from extractft.speculation.registry import make_proposer

__all__ = ["TransformersEngine"]

_PATIENCE = 0.05
"""Seconds after which a caller that nobody has woken looks for itself if the batch still runs."""
_GRACE = 0.05
"""Share of a pass that the next one waits for callers whose records have just ended. A client on this machine is back
within milliseconds; its next text would else wait for a whole pass, and its row stand empty."""
_LOOK = 0.0005
"""Seconds after which it looks whether they are back."""


class TransformersEngine(BoundToProcess):
    """Decodes greedily with a causal language model of transformers, bare or wrapped by PEFT.

    Safe to share between threads: whoever waits for a completion runs the batch for all, or waits while another does.
    Safe to interrupt, at any instruction: nothing has to be put in order by the one who was interrupted. A turn at the
    batch is held by a lock that the interpreter itself lets go; a turn that did not come to its end leaves a mark, and
    the next one abandons what stands in the batch and begins again with all that callers still wait for. The same in
    a forked process.
    The answers are those of `ReferenceEngine`; models whose layers cannot be packed are left to it. The model may be
    trained between two calls, and an adapter merged, and the first generation afterwards sees the new weights; call
    `reset()` after changes that torch takes no note of, such as those of `.data`, or switching adapters.

    Args:
        model: The model.
        end_token_id: The token that ends a record, as the grammars have it.
        pad_token_id: Fills up shorter rows, where rows are padded.
        config: Rows of a batch and alternatives to report.
        prefix_ids: Token ids that most prompts begin with; their keys and values are computed once, and shared.
        max_batch_tokens: Bounds the memory of a batch: rows times the tokens, beyond the prefix, that the longest of
            them may come to. A row that does not fit waits; one that fits nowhere runs alone.
        proposer: Guesses tokens, of which several are checked in one pass; the config's if `None`. It changes the time
            that a record takes, not the record.
        eight_bit: Multiply in 8 bits: in a part of the time, with nearly the same answers.

    Raises:
        ConfigError: `eight_bit` for a model that is not in float32 on a processor that can do it, or a proposer that
            there is not.

    Attributes:
        capabilities: All that the protocol names.
    """

    capabilities = EngineCapabilities("transformers")

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        end_token_id: int,
        pad_token_id: int,
        config: GenerationConfig,
        prefix_ids: abc.Sequence[int] = (),
        max_batch_tokens: int = 16_384,
        proposer: Proposer | None = None,
        eight_bit: bool = False,
    ) -> None:
        self._model = model
        self._config = config
        self._reference = ReferenceEngine(
            model,
            end_token_id=end_token_id,
            pad_token_id=pad_token_id,
            config=config,
            prefix_ids=prefix_ids,
            max_batch_tokens=max_batch_tokens,
        )
        self._scheduler = Scheduler(
            ModelRunner(model, prefix_ids),
            end_token_id=end_token_id,
            config=config,
            max_tokens=max_batch_tokens,
            proposer=make_proposer(config.proposer) if proposer is None else proposer,
        )
        self._proposer_given = proposer is not None
        self._eight_bit = Int8Linears(model, prefix_ids) if eight_bit else None
        self._prepacked, self._transposed = PrepackedLinears(model), TransposedLinears(model)
        self._fastest: PrepackedLinears | TransposedLinears | None = None
        self._turn, self._trial = fork_safe_lock(), fork_safe_lock()
        self._runner: int | None = None
        self._whole = True
        self._sequences: dict[Sequence, None] = {}
        self._ended, self._pass_seconds = 0, 0.0
        self._packed: bool | None = None
        self._fallback_reason: str | None = None
        self._weights = WeightVersion(model)
        self._version: int | None = None
        reset_after_fork(self)

    @property
    def packed(self) -> bool:
        """True if the model's layers can be packed; tried out when first asked. See `fallback_reason` if not."""
        packed, tried = self._packed, False
        if packed is None:
            with self._trial:  # those who wait for the outcome do not queue up for turns, which take a whole record
                packed, tried = self._packed, self._packed is None
                if packed is None:
                    packed = self._try_out()
        if tried and not packed:
            self._warn()
        return packed

    def _try_out(self) -> bool:
        with self._turn:
            self._begin()
            with evaluating(self._model):
                reason = self._scheduler.model.unsupported()
            self._packed, self._fallback_reason, self._whole = reason is None, reason, True
        return reason is None

    @property
    def fallback_reason(self) -> str | None:
        """Reason for decoding the slow way, one token a pass; `None` if it does not."""
        return None if self.packed else self._fallback_reason

    def _warn(self) -> None:
        warnings.warn(
            f"Rows of {type(self._model).__name__} cannot be packed: {self._fallback_reason}. Records are decoded one "
            "token a pass, which takes several times as long and gives the same answers. To avoid it, take a base "
            "model whose attention transformers lets be replaced, such as Llama, Qwen3, Gemma 3 or Mistral.",
            PerformanceWarning,
            stacklevel=3,
        )

    @property
    def statistics(self) -> Statistics:
        """Counts of what the packed batch has done so far."""
        return self._scheduler.statistics

    def generate(self, requests: Iterable[GenerationRequest], *, batch_size: int | None = None) -> Iterator[Completion]:
        """Yield one completion for each request, in order; requests are taken lazily, two batches ahead at most.

        Args:
            requests: What to complete.
            batch_size: Most rows side by side; the config's if `None`.

        Raises:
            ConfigError: `eight_bit` for a model whose layers cannot be packed.
        """
        if not self.packed:
            if self._eight_bit is not None:
                found = type(self._model).__name__
                raise ConfigError(
                    f"expected a model whose layers can be packed for 8-bit products, found {found}: "
                    f"{self._fallback_reason}"
                )
            yield from self._reference.generate(requests, batch_size=batch_size)
            return
        yield from self._stream(iter(requests), batch_size or self._config.batch_size)

    def cancel(self, request: GenerationRequest) -> None:
        """Give up a request that another thread waits for: it gets an error, and the batch goes on without it."""
        given_up = [sequence for sequence in list(self._sequences) if sequence.request is request]
        for sequence in given_up:
            sequence.completion = sequence.completion or Completion((), "error", "The request was cancelled.")
        self._cancel(given_up)

    def reset(self) -> None:
        """Forget what was computed with the present weights, and give the memory back that it takes.

        What drafts have learned stays: they are guesses, whatever the weights.
        """
        with self._turn:
            self._begin()
            self._weights.forget()
            self._version = None
            self._packed = None
            self._release()
            self._reference.reset()
            self._whole = True

    def forget_drafts(self) -> None:
        """Let the drafts of records that begin from now on know no earlier record, as in a new process.

        A proposer that was handed over stays as it is.
        """
        if not self._proposer_given:
            self._scheduler.use_proposer(make_proposer(self._config.proposer))

    def after_fork(self) -> None:
        """Forget the callers of the other process; one of them may have been in the midst of a turn."""
        self._sequences = {}
        self._runner, self._whole = None, False
        put_back(self._model.modules())
        self._scheduler.abandon()

    def _release(self) -> None:
        self._fastest = None
        self._prepacked.release()
        if self._eight_bit is not None:
            self._eight_bit.release()
        self._scheduler.model.reset()

    def _stream(self, requests: Iterator[GenerationRequest], rows: int) -> Iterator[Completion]:
        """Keep `rows` requests on their way, and up to as many finished ones behind a slow one that comes first."""
        line: deque[Sequence] = deque()
        exhausted = False
        try:
            while True:
                while line and line[0].finished:
                    yield line.popleft().outcome()
                while not exhausted and len(line) < 2 * rows and sum(not sequence.finished for sequence in line) < rows:
                    request = next(requests, None)
                    if request is None:
                        exhausted = True
                        break
                    line.append(Sequence(request, rows))
                    self._sequences[line[-1]] = None
                if not line:
                    return
                self._advance(line[0])
        finally:
            self._cancel(line)

    @property
    def _waiting(self) -> list[Sequence]:
        """Sequences that are wanted and not in the batch, the first to come first."""
        inside = set(self._scheduler.running)
        return [s for s in list(self._sequences) if not (s.finished or s.cancelled or s in inside)]

    def _cancel(self, sequences: Iterable[Sequence]) -> None:
        """Nobody waits for these any more. If nobody runs the batch either, their rows leave it now."""
        for sequence in sequences:
            sequence.cancelled = True
            self._sequences.pop(sequence, None)
        if len(self._scheduler) and not self._turn.locked():
            with self._turn:
                self._begin()
                self._scheduler.drop_cancelled()
                self._whole = True

    def _advance(self, sequence: Sequence) -> None:
        """Run the batch until some row ends, or wait until another thread has."""
        self._sequences.setdefault(sequence)  # a fork has come between
        if self._turn.locked():
            if self._runner == threading.get_ident():
                raise RuntimeError("expected a call from outside of a pass through the model, found one from within")
            sequence.wait(self._turn.locked, _PATIENCE)
            return
        try:
            with self._turn:
                if not sequence.finished:
                    self._take_turn(sequence)
        finally:
            self._wake_next()

    def _take_turn(self, sequence: Sequence) -> None:
        """One turn at the batch, which is held by this thread."""
        gradients = torch.is_grad_enabled()
        self._await_callers()
        try:
            self._begin()
            self._runner = threading.get_ident()
            try:
                self._run()
            except Exception as error:
                if raised_by_signal(error):  # its own thread's affair, as an interrupt is
                    raise
                self._failed(error, sequence)
            self._whole = True
        except BaseException:
            self._scheduler.abandon()  # memory must not wait for the next turn; if this is interrupted too, it does
            raise
        finally:
            torch._C._set_grad_enabled(gradients)  # in C, and so done whatever interrupts
            self._runner = None
        for other in list(self._sequences):
            if other.finished or other.cancelled:
                self._sequences.pop(other, None)
                self._ended += other.finished and other.owner != threading.get_ident()
                other.wake()

    def _await_callers(self) -> None:
        """Let those whose records ended in the last turn come with the next text before the batch goes on."""
        missing, self._ended = self._ended, 0
        begun = time.perf_counter()
        while len(self._scheduler) and len(self._waiting) < missing:
            left = _GRACE * self._pass_seconds - (time.perf_counter() - begun)
            if left <= 0:
                return
            time.sleep(min(left, _LOOK))  # an event of `threading` could be left locked by an interrupt

    def _begin(self) -> None:
        """Mark the batch as being worked on; begin again if the last one who did so has not come to the end."""
        if not self._whole:
            self._scheduler.abandon()
        self._whole = False

    def _wake_next(self) -> None:
        """Let one of those who wait have the next turn."""
        for sequence in list(self._sequences):
            if sequence.waiting and not sequence.finished:
                sequence.wake()
                return

    def _failed(self, error: Exception, sequence: Sequence) -> None:
        """A pass failed, or what comes before it.

        Of several rows one may be to blame, so each begins again on its own. One that fails alone has used up the
        memory, and is answered with that, or gives its caller the error.
        """
        running = self._scheduler.abandon()
        if len(running) > 1:
            for other in running:
                other.alone = True
        elif running and is_out_of_memory(error):
            running[0].completion = Completion((), "error", "There was not enough memory for this request alone.")
        elif running:
            running[0].error = error
        elif not sequence.finished:  # it did not get as far as the batch
            sequence.error = error

    def _run(self) -> None:
        with evaluating(self._model):
            self._renew()
            with self._linears().installed():
                while True:
                    self._scheduler.drop_cancelled()
                    self._scheduler.admit(deque(self._waiting))
                    begun = time.perf_counter()
                    ended = self._scheduler.step()
                    self._pass_seconds = time.perf_counter() - begun
                    if ended or not len(self._scheduler):
                        return

    def _linears(self) -> Int8Linears | PrepackedLinears | TransposedLinears:
        """Choose, once for the weights, the fastest way to multiply that config, processor and memory allow."""
        if self._eight_bit is not None:
            return self._eight_bit
        if self._fastest is None:
            prepack = self._config.prepack_weights and self._prepacked.worthwhile()
            self._fastest = self._prepacked if prepack else self._transposed
        return self._fastest

    def _renew(self) -> None:
        """After a change of the weights, begin again with all that was computed with the old ones."""
        version = self._weights.version()
        if version != self._version:
            self._scheduler.abandon()
            self._release()
            self._version = version
