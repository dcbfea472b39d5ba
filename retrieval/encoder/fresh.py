"""Texts -> a small encoder from scratch, with a tokenizer trained on them. Same texts and seed, same encoder.

SentencePiece trains the pieces, not the Unigram trainer of `tokenizers`: that one gave another result in each of six
runs, with a single thread too, where SentencePiece gave the same bits (docs/decisions/fresh-tokenizer.md).
"""

import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from cluster.errors import ConfigError, DataError
from retrieval.encoder.backbones import fresh_backbone
from retrieval.encoder.config import EncoderConfig, FreshConfig
from retrieval.encoder.dual import IDENTITY, Dense, DualEncoder
from retrieval.encoder.tokens import Tokens, m2m100_tokens, unigram_tokens
from retrieval.records import Group

CHARACTERS_PER_LANGUAGE = 500_000
"""What `sample_texts` takes of each language; about half a minute of training for eleven."""

_CHARACTER_COVERAGE = 0.9999
"""Share of all characters that get pieces of their own; the rest, mostly rare ideographs, are <unk>."""

_LONGEST_TEXT_BYTES = 1 << 20


def sample_texts(groups: Iterable[Group], characters: int = CHARACTERS_PER_LANGUAGE) -> Iterator[str]:
    """Different queries and passages of groups, the same amount of each language as far as there is so much.

    Takes what comes first; prepared groups are shuffled.

    Args:
        groups: read up to the end, unless the caller stops.
        characters: of each language; the text that reaches this number is the last.
    """
    taken: dict[str, int] = {}
    seen: set[str] = set()
    for group in groups:
        for language, pair in group.pairs.items():
            for text in (pair.query, pair.passage):
                if taken.setdefault(language, 0) >= characters or text in seen:
                    continue
                seen.add(text)
                taken[language] += len(text)
                yield text


def build_fresh(config: EncoderConfig, texts: Iterable[str]) -> tuple[DualEncoder, Tokens]:
    """A new encoder, in evaluation mode: its tokenizer depends on the texts and their order, its weights on the seed.

    Raises:
        DataError: there are no texts, or more different characters than `fresh.vocabulary` has room for.
    """
    fresh = config.fresh
    if fresh is None:
        raise ConfigError("fresh: missing; say what the fresh encoder shall be like")
    model = train_sentencepiece(_with_prefixes(texts, config), fresh)
    tokens = (m2m100_tokens if fresh.architecture == "m2m100" else unigram_tokens)(model, config)
    with drawn_with(fresh.seed):
        backbone, width = fresh_backbone(fresh, config, tokens.vocabulary_size)
        dense = [Dense(width, config.projection, bias=False, activation=IDENTITY)] if config.projection else []
    return DualEncoder(backbone, width, dense, config).eval(), tokens


@contextmanager
def drawn_with(seed: int) -> Iterator[None]:
    """Inside, torch's CPU generator starts from the seed; afterwards it goes on as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would reseed the GPUs as well, for good.
        torch.default_generator.manual_seed(seed)
        yield


def train_sentencepiece(texts: Iterable[str], fresh: FreshConfig) -> bytes:
    """Train a Unigram model as XLM-R's was (SentencePiece, NMT-NFKC normalisation).

    Returns:
        The model file; its pieces begin with <s> <pad> </s> <unk> <mask>.
    """
    from sentencepiece import SentencePieceTrainer

    iterator = iter(texts)
    first = next(iterator, None)
    if first is None:
        raise DataError("fresh: there are no texts to train the tokenizer on; is the training data empty?")
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=itertools.chain([first], iterator),
            model_writer=model,
            model_type="unigram",
            vocab_size=fresh.vocabulary,
            hard_vocab_limit=False,  # little text gives fewer pieces, not an error
            character_coverage=_CHARACTER_COVERAGE,
            max_sentence_length=_LONGEST_TEXT_BYTES,
            bos_id=0,
            pad_id=1,
            eos_id=2,
            unk_id=3,
            control_symbols=["<mask>"],
            num_threads=1,  # the sums of several threads differ with their number
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"fresh.vocabulary {fresh.vocabulary}: no tokenizer could be trained ({reason})") from error
    return model.getvalue()


def _with_prefixes(texts: Iterable[str], config: EncoderConfig) -> Iterator[str]:
    """Texts as the encoder will meet them, so that prefixes in another script than the texts are not <unk>."""
    prefixes = itertools.cycle((config.query_prefix, config.passage_prefix))
    written = (text for text in texts if text.strip())
    return (prefix + text for prefix, text in zip(prefixes, written, strict=False))
