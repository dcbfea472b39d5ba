"""Small models of the real classes with random weights, as folders: what a hub model looks like on disk."""

import io
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
)

TEXTS = [
    "Where does the river rise?",
    "The Danube rises in the Black Forest and ends in the Black Sea.",
    "Wo entspringt die Donau?",
    "Die Donau entspringt im Schwarzwald und mündet in das Schwarze Meer.",
    "¿Dónde nace el Danubio?",
    "El Danubio nace en la Selva Negra y desemboca en el mar Negro.",
    "Где начинается Дунай?",
    "Дунай начинается в Шварцвальде и впадает в Чёрное море.",
    "多瑙河发源于哪里？",
    "多瑙河发源于黑森林，注入黑海。",
    "แม่น้ำดานูบเริ่มต้นที่ไหน",
    "أين ينبع نهر الدانوب؟",
    "How   many\ncountries does it pass? 10, or so.",
    "Ten.",
    "",
]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return list(TEXTS)


def write_word_pieces(folder: Path) -> int:
    """A BERT tokenizer whose pieces are single characters and a few words; the size of its vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    characters = sorted({character for text in TEXTS for character in text if not character.isspace()})
    words = ["The", "the", "river", "Donau", "##s", "Query", "Passage", ":"]
    pieces = [*characters, *(f"##{character}" for character in characters), *words]
    vocabulary = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    fields = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(fields))
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return len(vocabulary)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=write_word_pieces(folder),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=60,
        initializer_range=0.3,
    )
    torch.manual_seed(1)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def distilbert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a pooler option, that names its sizes in its own way."""
    folder = tmp_path_factory.mktemp("distilbert")
    size = write_word_pieces(folder)
    config = DistilBertConfig(vocab_size=size, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64)
    torch.manual_seed(2)
    DistilBertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def m2m100_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole translation model, decoder and all, as it is published."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    folder = tmp_path_factory.mktemp("m2m100")
    model = io.BytesIO()
    corpus = iter([text for text in TEXTS if text] * 3)
    SentencePieceTrainer.train(
        sentence_iterator=corpus, model_writer=model, vocab_size=250, hard_vocab_limit=False, minloglevel=2
    )
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    processor = SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]
    # As in the published model: the vocabulary has an order of its own, and lacks a few of SentencePiece's pieces.
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pieces, reverse=True)[5:]]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(vocabulary)}))
    M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model")).save_pretrained(folder)
    config = M2M100Config(
        vocab_size=len(vocabulary) + 100 + 8,
        d_model=32,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=128,
    )
    torch.manual_seed(3)
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder
