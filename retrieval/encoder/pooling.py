"""Token states in, one vector per text out; always in float32, whatever the transformer computes in.

Shape letters: N texts, T token positions (padding at the end), D dimensions.
"""

import torch

from retrieval.encoder.config import PoolingName


def pool(state_NTD: torch.Tensor, mask_NT: torch.Tensor, how: PoolingName) -> torch.Tensor:
    """One vector per text.

    Args:
        state_NTD: last token states, any floating type.
        mask_NT: 1 where a token stands, 0 where padding does; padding only at the end.
        how: `cls` the first token, `mean` the mean over tokens, `last` the last token before the padding.

    Returns:
        float32 (N, D).
    """
    if how == "cls":
        return state_NTD[:, 0].float()
    # A text without any token cannot come from our tokenizers; counting it as one token keeps it finite here.
    tokens_N = mask_NT.sum(1).clamp(min=1)
    if how == "last":
        return state_NTD[torch.arange(len(state_NTD), device=state_NTD.device), tokens_N - 1].float()
    # where, not a product: what a transformer computes at padding may be anything, NaN included.
    kept_NTD = torch.where(mask_NT[:, :, None].bool(), state_NTD.float(), 0.0)
    return kept_NTD.sum(1) / tokens_N[:, None]
