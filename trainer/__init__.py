"""How a retriever gets better: prepared groups in, checkpoints and an encoder folder out."""
