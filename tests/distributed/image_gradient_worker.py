"""One rank: gradients of both towers on batches of captions and images, against a float64 single-process reference.

Reports, for each case, the relative difference of the loss and of the gradient of each tower.
"""

import numpy as np
import torch
from small_training import PAD_ID, global_batch, reference_loss, report, share, small_encoder, with_images

from trainer.batch import LocalBatch
from trainer.engine import Engine
from trainer.engine_config import EngineConfig
from trainer.loss import LossConfig
from trainer.ranks import process_group, rank, world_size

WAYS = {"plain": (1, False), "cached": (3, True)}
LOSS = LossConfig(symmetric=True)
BATCHES: dict[str, LocalBatch] = {
    # Every passage an image; then every query one, with several captions each; then images with the first rank only.
    "captions search images": with_images(global_batch("mono"), [], range(8)),
    "images search captions": with_images(global_batch("multi"), range(8), []),
    "slots": with_images(global_batch("cross", step=1), [1], [0, 6]),
    "captions search captions": global_batch("mono", step=1),
}


def moments(engine: Engine) -> dict[str, torch.Tensor] | None:
    state = engine.full_state()
    return None if state is None else dict(state.first_moments)


def length(gradients: dict[str, torch.Tensor], tower: str) -> float:
    chosen = [
        gradient.flatten() for name, gradient in gradients.items() if name.startswith("image.") == (tower == "image")
    ]
    return float(torch.cat(chosen).norm())


def reference(architecture: str, batch: LocalBatch) -> tuple[float, dict[str, torch.Tensor]]:
    encoder = small_encoder(images=architecture).double()
    loss = reference_loss(encoder, batch, LOSS)
    loss.backward()
    named = dict(encoder.named_parameters())
    return loss.item(), {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in named.items()}


def compare(architecture: str, stage: int, way: str) -> dict[str, list[float]]:
    """One engine meets all batches: nothing of one step's gradients may be left in the next, with or without images."""
    micro_batches, caching = WAYS[way]
    # With beta1 = 0 AdamW's first moment is the gradient itself, whatever the stage; with a rate of 0 nothing moves.
    config = EngineConfig(
        zero_stage=stage, betas=(0.0, 0.999), max_grad_norm=0, micro_batches=micro_batches, gradient_caching=caching
    )
    engine = Engine(small_encoder(images=architecture), PAD_ID, config, LOSS)
    errors: dict[str, list[float]] = {}
    for name, batch in BATCHES.items():
        result = engine.train_step(share(batch, rank(), world_size()), learning_rate=0.0)
        found = moments(engine)
        loss, expected = EXPECTED[architecture, name]
        errors[name] = [abs(result.loss / loss - 1)]
        if found is not None:
            assert found.keys() == expected.keys()
            difference = {key: found[key] - gradient for key, gradient in expected.items()}
            whole = length(expected, "text")
            errors[name] += [length(difference, tower) / whole for tower in ("text", "image")]
            assert (length(expected, "image") > 0) == (name != "captions search captions")
    engine.close()
    return errors


CASES = [("clip", stage, "cached") for stage in range(4)] + [("clip", 0, "plain"), ("clip", 3, "plain")]
CASES += [("siglip", 3, "cached")]
EXPECTED = {(kind, name): reference(kind, batch) for kind in ("clip", "siglip") for name, batch in BATCHES.items()}


def encoded_apart() -> float:
    """Largest difference between vectors encoded together, unevenly over ranks, and one by one."""
    encoder = small_encoder(images="clip").eval()
    batch = BATCHES["slots"].inputs
    mine = batch[: 3 + 5 * rank()] if rank() else [one for one in batch if one.ndim == 1][:4]
    with torch.no_grad():
        alone = [
            encoder.image(torch.from_numpy(one)[None])
            if one.ndim == 3
            else encoder(torch.from_numpy(one)[None], torch.ones(1, len(one), dtype=torch.int64))
            for one in mine
        ]
    engine = Engine(small_encoder(images="clip"), PAD_ID, EngineConfig(zero_stage=3), LOSS)
    together = engine.encode(mine, max_tokens=20)
    engine.close()
    return float(np.abs(together - torch.cat(alone).numpy()).max())


def main() -> None:
    torch.set_num_threads(1)
    with process_group():
        found = {
            ", ".join([*map(str, case), name]): errors for case in CASES for name, errors in compare(*case).items()
        }
        report({"gradients": found, "vectors": encoded_apart()})


if __name__ == "__main__":
    main()
