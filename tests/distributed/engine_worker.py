"""One rank: what the engine promises beyond gradients. Reports which checks it has run; a failed one ends the worker."""

import numpy as np
import torch
from small_training import KINDS, PAD_ID, global_batch, reference_loss, report, share, small_encoder

from cluster.errors import WorkError
from trainer.batch import LocalBatch
from trainer.engine import Engine
from trainer.engine_config import EngineConfig
from trainer.loss import LossConfig
from trainer.ranks import process_group, rank, world_size
from trainer.state import FullState

RATE = 0.01


def batch(step: int) -> LocalBatch:
    return share(global_batch(KINDS[step % 3], step), rank(), world_size())


def engine(encoder: torch.nn.Module | None = None, seed: int = 0, state: FullState | None = None, **fields) -> Engine:
    return Engine(encoder or small_encoder(), PAD_ID, EngineConfig(**fields), LossConfig(), seed, state)


def check_three_steps_equal_adamw_in_float64() -> None:
    """Clipping, decay that leaves biases and norms out, bias correction, and the rate of each step."""
    settings = {
        "weight_decay": 0.3,
        "max_grad_norm": 0.5,
        "epsilon": 1e-3,
    }  # epsilon: where gradients are mere rounding
    reference = small_encoder().double()
    named = dict(reference.named_parameters())
    biases_and_norms = [p for name, p in named.items() if name.endswith("bias") or "LayerNorm" in name]
    others = [p for p in named.values() if all(p is not other for other in biases_and_norms)]
    adamw = torch.optim.AdamW([{"params": others, "weight_decay": 0.3}, {"params": biases_and_norms}], eps=1e-3)
    adamw.param_groups[1]["weight_decay"] = 0.0
    for step in range(3):
        adamw.zero_grad()
        reference_loss(reference, global_batch(KINDS[step], step), LossConfig()).backward()
        assert torch.nn.utils.clip_grad_norm_(named.values(), 0.5) > 0.5  # else the test would show nothing of clipping
        for group in adamw.param_groups:
            group["lr"] = RATE * (step + 1)
        adamw.step()
    for stage in range(4):
        trained = engine(zero_stage=stage, **settings)
        for step in range(3):
            trained.train_step(batch(step), RATE * (step + 1))
        state = trained.full_state()
        trained.close()
        if state is not None:
            assert state.optimizer_steps == 3
            for name, parameter in named.items():
                worst = (state.weights[name] - parameter).abs().max().item()
                assert worst < 1e-3 * RATE, f"ZeRO {stage}: {name} is off by {worst}"


def check_vectors_do_not_depend_on_batching_or_on_other_ranks() -> None:
    texts = [*global_batch("multi").inputs][: 5 + 8 * rank()]
    encoder = small_encoder(dropout=0.3).eval()
    with torch.no_grad():
        alone = [encoder(torch.from_numpy(text)[None], torch.ones(1, len(text), dtype=torch.int64)) for text in texts]
    for stage in (0, 3):
        tried = engine(small_encoder(dropout=0.3), zero_stage=stage)
        for max_tokens in (20, 10_000):
            np.testing.assert_allclose(tried.encode(texts, max_tokens), torch.cat(alone).numpy(), atol=1e-6)
        assert tried.train_step(batch(0), RATE).applied
        tried.close()


def check_a_loss_that_is_not_finite_ends_the_run_by_name() -> None:
    encoder = small_encoder()
    encoder.dense[0].weight.data.fill_(float("nan"))
    tried = engine(encoder)
    try:
        tried.train_step(batch(4), RATE)
    except WorkError as error:
        told = str(error)
    assert told.startswith("step 4 (cross batch from atlas): the loss is nan; lower engine.learning_rate"), told
    tried.close()


def check_more_micro_batches_than_texts_become_as_many_as_there_are() -> None:
    losses = []
    for micro_batches in (1, 99):
        tried = engine(micro_batches=micro_batches, gradient_caching=True)
        losses.append(tried.train_step(batch(0), RATE).loss)
        tried.close()
    assert abs(losses[0] - losses[1]) < 1e-6


def check_caching_repeats_the_dropout_of_its_first_pass() -> None:
    """Both ways draw the same masks for the same micro batches; other seeds and other steps draw others."""
    found = {}
    for name, seed, step, caching in (("plain", 1, 0, False), ("cached", 1, 0, True), ("other", 2, 0, True)):
        tried = engine(small_encoder(dropout=0.2), seed, betas=(0.0, 0.9), micro_batches=4, gradient_caching=caching)
        loss = tried.train_step(batch(step), 0.0).loss
        again = tried.train_step(batch(step), 0.0).loss
        assert loss == again, "the same step drew other dropout"
        state = tried.full_state()
        tried.close()
        found[name] = loss, torch.cat([gradient.flatten() for gradient in state.first_moments.values()])
    torch.testing.assert_close(found["cached"], found["plain"], rtol=1e-5, atol=1e-7)
    assert abs(found["other"][0] - found["plain"][0]) > 1e-3


def check_a_resumed_run_repeats_the_dropout_of_the_one_that_went_through() -> None:
    through = engine(small_encoder(dropout=0.2), zero_stage=2)
    for step in range(2):
        through.train_step(batch(step), RATE)
    state = through.full_state()
    losses = [through.train_step(batch(step), RATE).loss for step in range(2, 5)]
    through.close()
    resumed = engine(small_encoder(dropout=0.2), zero_stage=2, state=state)
    assert [resumed.train_step(batch(step), RATE).loss for step in range(2, 5)] == losses
    resumed.close()


def check_bf16_keeps_float32_state_and_learns() -> None:
    exact = engine(betas=(0.0, 0.9))
    expected_loss = exact.train_step(batch(0), 0.0).loss
    expected = torch.cat([g.flatten() for g in exact.full_state().first_moments.values()])
    exact.close()
    for stage in range(4):
        tried = engine(betas=(0.0, 0.9), zero_stage=stage, precision="bf16", micro_batches=3, gradient_caching=True)
        loss = tried.train_step(batch(0), 0.0).loss
        state = tried.full_state()
        assert all(tensor.dtype == torch.float32 for tensor in state.weights.values() if tensor.is_floating_point())
        gradient = torch.cat([g.flatten() for g in state.first_moments.values()])
        off = ((gradient - expected).norm() / expected.norm()).item()
        assert 1e-5 < off < 0.1, f"ZeRO {stage}: bf16 gradient is off by {off}"  # below: it was not bf16 at all
        assert abs(loss / expected_loss - 1) < 0.05
        losses = [tried.train_step(batch(0), RATE).loss for _ in range(12)]
        assert losses[-1] < losses[0] / 2, f"ZeRO {stage}: {losses}"
        tried.close()


CHECKS = {
    1: (
        check_caching_repeats_the_dropout_of_its_first_pass,
        check_a_resumed_run_repeats_the_dropout_of_the_one_that_went_through,
        check_bf16_keeps_float32_state_and_learns,
        check_more_micro_batches_than_texts_become_as_many_as_there_are,
    ),
    2: (
        check_three_steps_equal_adamw_in_float64,
        check_vectors_do_not_depend_on_batching_or_on_other_ranks,
        check_a_loss_that_is_not_finite_ends_the_run_by_name,
    ),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    with process_group():
        for check in CHECKS[world_size()]:
            check()
        report([check.__name__ for check in CHECKS[world_size()]])
