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


def compare(architecture: str, name: str, stage: int, way: str) -> list[float]:
    reference = small_encoder(images=architecture).double()
    loss = reference_loss(reference, BATCHES[name], LOSS)
    loss.backward()
    expected = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in reference.named_parameters()
    }
    micro_batches, caching = WAYS[way]
    # With beta1 = 0 AdamW's first moment is the gradient itself, whatever the stage; with a rate of 0 nothing moves.
    config = EngineConfig(
        zero_stage=stage, betas=(0.0, 0.999), max_grad_norm=0, micro_batches=micro_batches, gradient_caching=caching
    )
    engine = Engine(small_encoder(images=architecture), PAD_ID, config, LOSS)
    # A step with images before the one that counts: nothing of it may be left.
    engine.train_step(share(BATCHES["slots"], rank(), world_size()), learning_rate=0.0)
    result = engine.train_step(share(BATCHES[name], rank(), world_size()), learning_rate=0.0)
    found = moments(engine)
    engine.close()
    errors = [abs(result.loss / loss.item() - 1)]
    if found is not None:
        assert found.keys() == expected.keys()
        difference = {name: found[name] - gradient for name, gradient in expected.items()}
        whole = length(expected, "text")
        errors += [length(difference, tower) / whole for tower in ("text", "image")]
        assert (length(expected, "image") > 0) == (name != "captions search captions")
    return errors


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
        cases = [("clip", name, stage, way) for name in BATCHES for stage in (0, 1, 3) for way in WAYS]
        cases += [("siglip", "slots", stage, "cached") for stage in (0, 2, 3)]
        found = {", ".join(map(str, case)): compare(*case) for case in cases}
        report({"gradients": found, "vectors": encoded_apart()})


if __name__ == "__main__":
    main()
