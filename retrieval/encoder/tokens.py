"""Texts -> token ids. The only module that opens a tokenizer.

`Tokens` carries the tokenizer itself as bytes, not a path to it, so that it travels into any process. What runs is the
Rust tokenizer without transformers around it; like any use of it, it heeds TOKENIZERS_PARALLELISM and
RAYON_NUM_THREADS.
"""

import copy
import functools
import hashlib
import json
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cluster.errors import ConfigError, DataError
from cluster.fingerprint import fingerprint
from retrieval.encoder.config import EncoderConfig, Role
from retrieval.encoder.known import KnowingEngine, Known, text_keys
from retrieval.encoder.m2m100 import M2M100Engine

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

PAD_MULTIPLE = 8
"""Widths of padded batches are multiples of this: what matrix hardware likes, and fewer different shapes."""

_LOADING_NOTES = {"is_local", "local_files_only", "name_or_path"}

_PROBE = "What is it? Ein Haus — дом 家 บ้าน घर 12,5"


class Engine(Protocol):
    """What turns texts into ids, as plain data that pickles."""

    @property
    def pad_id(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    def encode(self, texts: Sequence[str], languages: Sequence[str] | None, max_tokens: int) -> list[np.ndarray]: ...


@dataclass(frozen=True)
class FastEngine:
    """A Rust tokenizer as its JSON text; built once per process however often it is unpickled."""

    document: str
    pad_id: int

    @property
    def size(self) -> int:
        """One more than the largest token id."""
        tokenizer, _ = _built(self.document)
        return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.document.encode()).hexdigest()[:16]

    def encode(self, texts: Sequence[str], languages: Sequence[str] | None, max_tokens: int) -> list[np.ndarray]:
        """Ids with the tokenizer's own special tokens, int32; `languages` does not matter to it."""
        tokenizer, lock = _built(self.document)
        with lock:  # the maximum is a setting of the shared tokenizer
            tokenizer.enable_truncation(max_tokens)
            encodings = tokenizer.encode_batch_fast(list(texts))
        ids: list[int] = []
        ends = []
        for encoding in encodings:
            ids += encoding.ids
            ends.append(len(ids))
        flat = np.array(ids, dtype=np.int32)  # one array for all: a fifth less than one for each
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@functools.lru_cache(maxsize=2)
def _built(document: str) -> tuple["Tokenizer", threading.Lock]:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(document), threading.Lock()


class Tokens:
    """Texts of a role -> token ids: the tokenizer, and from the configuration the prefixes and maximum lengths."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", config: EncoderConfig) -> None:
        """
        Raises:
            ConfigError: the tokenizer is of a kind we cannot run.
        """
        self.config = config
        self.files: Mapping[str, bytes] = _saved_files(tokenizer)
        """The tokenizer as transformers saves it: file name -> content."""
        self.marks_languages = type(tokenizer).__name__ == "M2M100Tokenizer"
        """Whether every text needs its language."""
        self._engine: Engine = _m2m100_engine(tokenizer) if self.marks_languages else _fast_engine(tokenizer)

    @property
    def pad_id(self) -> int:
        """The id that fills up shorter texts."""
        return self._engine.pad_id

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id that can come out."""
        return self._engine.size

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names what `encode` gives: same name, same ids for the same texts, on any machine and in any process."""
        config = self.config
        roles = (config.query_prefix, config.max_query_tokens, config.passage_prefix, config.max_passage_tokens)
        return fingerprint((self._engine.fingerprint, roles))

    def encode(self, texts: Sequence[str], role: Role, languages: Sequence[str] | None = None) -> list[np.ndarray]:
        """Token ids of texts, each with its role's prefix and the special tokens, cut to the role's maximum.

        Args:
            texts: any number of them.
            role: whose prefix and maximum apply.
            languages: code of each text's language; only M2M100 needs it.

        Returns:
            One int32 array per text, unpadded.

        Raises:
            DataError: the languages are missing where needed, unknown, or fewer or more than the texts.
        """
        if languages is not None and len(languages) != len(texts):
            raise DataError(f"{len(texts)} texts but {len(languages)} languages; give one for each text")
        return self._engine.encode(self._prefixed(texts, role), languages, self.config.max_tokens(role))

    def keys(self, texts: Sequence[str], role: Role, languages: Sequence[str]) -> np.ndarray:
        """(n) int64: what `knowing` finds the texts by."""
        marks = languages if self.marks_languages else None
        return text_keys(self._prefixed(texts, role), marks, self.config.max_tokens(role))

    def knowing(self, known: Known) -> "Tokens":
        """The same tokens, that look up texts before they tokenise them."""
        tokens = copy.copy(self)
        tokens._engine = KnowingEngine(self._engine, known, self.marks_languages)
        return tokens

    def _prefixed(self, texts: Sequence[str], role: Role) -> Sequence[str]:
        prefix = self.config.prefix(role)
        # As text, not as ids: a tokenizer may join the end of the prefix with the beginning of the text.
        return [prefix + text for text in texts] if prefix else texts

    def pad(self, ids: Sequence[np.ndarray], multiple_of: int = PAD_MULTIPLE) -> dict[str, np.ndarray]:
        """Encoded texts as one rectangle, padded at the end.

        The width is the longest text rounded up to `multiple_of`, but not beyond the longest text there can be, which
        may be all the positions the transformer has.

        Returns:
            `input_ids` and `attention_mask` (1 = token, 0 = padding), int64 (N, T).
        """
        length_N = np.array([len(row) for row in ids], dtype=np.int64)
        longest = int(length_N.max(initial=1))
        most = max(self.config.max_query_tokens, self.config.max_passage_tokens, longest)
        width = min(-(-longest // multiple_of) * multiple_of, most)
        mask_NT = np.arange(width) < length_N[:, None]
        id_NT = np.full(mask_NT.shape, self._engine.pad_id, dtype=np.int64)
        if len(ids):
            id_NT[mask_NT] = np.concatenate(ids)
        return {"input_ids": id_NT, "attention_mask": mask_NT.astype(np.int64)}

    def __call__(
        self, texts: Sequence[str], role: Role, languages: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Encode and pad: what the encoder's forward takes, as numpy arrays."""
        return self.pad(self.encode(texts, role, languages))


def load_tokens(folder: Path, config: EncoderConfig) -> Tokens:
    """The tokenizer in a model's folder.

    Raises:
        ConfigError: there is none, or none that we can run.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return Tokens(tokenizer, config)
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}") from None
    except BaseException as error:
        if not _is_of_library(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{folder}: no tokenizer could be read there ({reason})") from error


def _is_of_library(error: BaseException) -> bool:
    """The library raises what its parsers raise, down to a bare Exception, and panics of Rust, which are none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def unigram_tokens(model: bytes, config: EncoderConfig) -> Tokens:
    """An XLM-R tokenizer over a SentencePiece model whose first pieces are <s> <pad> </s> <unk> <mask>."""
    from sentencepiece import sentencepiece_model_pb2
    from transformers import XLMRobertaTokenizer

    trained = sentencepiece_model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    # Annotated as str there, and handed to Rust, which takes bytes.
    options: dict[str, Any] = {"_spm_precompiled_charsmap": trained.normalizer_spec.precompiled_charsmap}
    tokenizer = XLMRobertaTokenizer(vocab=[(piece.piece, piece.score) for piece in trained.pieces], **options)
    return Tokens(tokenizer, config)


def m2m100_tokens(model: bytes, config: EncoderConfig) -> Tokens:
    """M2M100's tokenizer, with its tokens for 100 languages, over the same kind of SentencePiece model."""
    from sentencepiece import SentencePieceProcessor
    from transformers import M2M100Tokenizer

    processor = SentencePieceProcessor(model_proto=model)
    vocabulary = {processor.id_to_piece(number): number for number in range(processor.get_piece_size())}
    with tempfile.TemporaryDirectory() as name:
        vocabulary_file, model_file = Path(name) / "vocab.json", Path(name) / "sentencepiece.bpe.model"
        vocabulary_file.write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        model_file.write_bytes(model)
        M2M100Tokenizer(str(vocabulary_file), str(model_file)).save_pretrained(name)
        return load_tokens(Path(name), config)


def _saved_files(tokenizer: "PreTrainedTokenizerBase") -> dict[str, bytes]:
    """What the library saves, less its notes on how the tokenizer was loaded: the same tokenizer, the same bytes."""
    with tempfile.TemporaryDirectory() as name:
        tokenizer.save_pretrained(name)
        path = Path(name) / "tokenizer_config.json"
        fields = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: value for key, value in fields.items() if key not in _LOADING_NOTES}
        path.write_text(json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def _fast_engine(tokenizer: "PreTrainedTokenizerBase") -> FastEngine:
    from tokenizers import Tokenizer

    kind = type(tokenizer).__name__
    if not tokenizer.is_fast:
        raise ConfigError(f"its tokenizer, {kind}, has no fast form (tokenizer.json); choose a model that has one")
    bare = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    bare.no_padding()
    bare.no_truncation()
    engine = FastEngine(bare.to_str(), pad_id=tokenizer.pad_token_id or 0)
    # Some tokenizers do part of their work in Python; without that part the ids would be quietly wrong.
    if engine.encode([_PROBE], None, max_tokens=512)[0].tolist() != tokenizer(_PROBE)["input_ids"]:
        raise ConfigError(f"its tokenizer, {kind}, does more than its tokenizer.json says; choose another model")
    return engine


def _m2m100_engine(tokenizer: "PreTrainedTokenizerBase") -> M2M100Engine:
    return M2M100Engine(
        model=tokenizer.sp_model.serialized_model_proto(),
        vocabulary=dict(tokenizer.encoder),
        languages=dict(tokenizer.lang_code_to_id),
        end_id=tokenizer.eos_token_id,
        unknown_id=tokenizer.unk_token_id,
        pad_id=tokenizer.pad_token_id,
    )
