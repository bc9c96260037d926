"""Our settings in the words of transformers' `Trainer`, and the order in which rows are seen.

Knows the trainer's arguments; no rows' contents and no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import Sampler
from transformers import TrainingArguments

from extractft.config import TrainingConfig
from extractft.errors import TrainingError
from extractft.training.parallel import PATIENCE, Processes

__all__ = ["StepSampler", "training_arguments"]


class StepSampler(Sampler[list[int]]):
    """TrainingRow numbers of one optimizer step after another, in a new order each epoch: the same in every process.

    Args:
        count: Rows in all.
        rows_per_step: Rows of a step, over all processes; an epoch's last step may have fewer.
        seed: Decides about the orders, together with the epoch.
        epoch: Tells which epoch it is, the first being 0, whenever a pass over the rows begins.
    """

    def __init__(self, count: int, rows_per_step: int, *, seed: int, epoch: Callable[[], int]) -> None:
        self.count = count
        self.rows_per_step = rows_per_step
        self.seed = seed
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        order = torch.randperm(self.count, generator=generator).tolist()
        for start in range(0, self.count, self.rows_per_step):
            yield order[start : start + self.rows_per_step]

    def __len__(self) -> int:
        return -(-self.count // self.rows_per_step)


def training_arguments(
    config: TrainingConfig, directory: Path, device: torch.device, processes: Processes
) -> TrainingArguments:
    """Arguments of a trainer whose batches are whole optimizer steps and which itself saves and scores nothing.

    Raises:
        TrainingError: One of several processes is not on the device that is its own.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    args = TrainingArguments(
        output_dir=str(directory),
        per_device_train_batch_size=config.per_device_train_batch_size * config.gradient_accumulation_steps,
        gradient_accumulation_steps=1,
        learning_rate=config.learning_rate,
        num_train_epochs=config.num_train_epochs,
        warmup_steps=config.warmup_steps,
        lr_scheduler_type=config.lr_scheduler_type,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch_fused" if device.type in ("cpu", "cuda") else "adamw_torch",
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=device.type == "cpu",
        ddp_backend="gloo" if processes.count > 1 and device.type == "cpu" else None,
        ddp_timeout=int(PATIENCE.total_seconds()),
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    _bind_device(args, device, processes)
    return args


def _bind_device(args: TrainingArguments, device: torch.device, processes: Processes) -> None:
    if processes.count > 1 and device.type == "cuda" and device != args.device:
        raise TrainingError(f"expected process {processes.rank} on {args.device}, found it on {device}").hint(
            "Leave device='auto', so that each process takes the GPU of its own."
        )
    if processes.count == 1 and device.type == "cuda":
        # The model stays on the one device it is on; the trainer would spread it over all that it sees.
        vars(args)["_setup_devices"] = device
        args._n_gpu = 1
        torch.cuda.set_device(device)
