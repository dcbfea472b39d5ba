"""One rank: gradients of every ZeRO stage and way of encoding, against a float64 single-process reference.

Reports, for each case, the relative difference of the whole gradient and of the loss.
"""

import torch
from small_training import KINDS, PAD_ID, global_batch, reference_loss, report, share, small_encoder

from trainer.engine import Engine
from trainer.engine_config import EngineConfig
from trainer.loss import LossConfig
from trainer.ranks import process_group, rank, world_size

WAYS = {"plain 1": (1, False), "plain 4": (4, False), "cached 4": (4, True)}
LOSSES = {"mono": LossConfig(), "cross": LossConfig(temperature=0.1), "multi": LossConfig(symmetric=True)}


def reference(kind: str, config: LossConfig) -> tuple[float, dict[str, torch.Tensor]]:
    encoder = small_encoder().double()
    loss = reference_loss(encoder, global_batch(kind), config)
    loss.backward()
    return loss.item(), {name: parameter.grad for name, parameter in encoder.named_parameters()}


def compare(kind: str, stage: int, micro_batches: int, caching: bool, expected: tuple) -> list[float]:
    # With beta1 = 0 AdamW's first moment is the gradient itself, whatever the stage; with a rate of 0 nothing moves.
    config = EngineConfig(
        zero_stage=stage,
        betas=(0.0, 0.999),
        max_grad_norm=0,
        micro_batches=micro_batches,
        gradient_caching=caching,
    )
    engine = Engine(small_encoder(), PAD_ID, config, LOSSES[kind])
    result = engine.train_step(share(global_batch(kind), rank(), world_size()), learning_rate=0.0)
    state = engine.full_state()
    engine.close()
    loss, gradients = expected
    if state is None:
        return [abs(result.loss / loss - 1)]
    assert state.first_moments.keys() == gradients.keys()
    difference = torch.cat([(state.first_moments[name] - g).flatten() for name, g in gradients.items()])
    length = torch.cat([g.flatten() for g in gradients.values()]).norm()
    return [abs(result.loss / loss - 1), float(difference.norm() / length), abs(result.grad_norm / float(length) - 1)]


def main() -> None:
    torch.set_num_threads(1)
    with process_group():
        found = {}
        for kind in KINDS:
            expected = reference(kind, LOSSES[kind])
            for stage in range(4):
                for way, (micro_batches, caching) in WAYS.items():
                    found[f"{kind}, ZeRO {stage}, {way}"] = compare(kind, stage, micro_batches, caching, expected)
        report(found)


if __name__ == "__main__":
    main()
