"""Folders: what sentence-transformers makes of ours, and we of theirs; round trips; one-line errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from cluster.errors import ConfigError
from retrieval.encode import encode_texts
from retrieval.encoder.config import EncoderConfig, FreshConfig
from retrieval.encoder.dual import DualEncoder
from retrieval.encoder.folder import build_encoder, load_encoder, save_encoder
from retrieval.encoder.tokens import Tokens

FRESH = FreshConfig(layers=2, hidden=32, heads=4, intermediate=48, vocabulary=400)
SHORT = {"max_query_tokens": 10, "max_passage_tokens": 24}


def of_fresh(texts: list[str], fresh: FreshConfig = FRESH, **fields: object) -> tuple[DualEncoder, Tokens]:
    encoder, tokens = build_encoder(EncoderConfig(fresh=fresh, **SHORT, **fields), texts)
    for parameter in encoder.backbone.parameters():  # further apart than freshly drawn weights leave the vectors
        parameter.data *= 5
    return encoder, tokens


def of_folder(folder: Path, **fields: object) -> tuple[DualEncoder, Tokens]:
    return build_encoder(EncoderConfig(name_or_path=str(folder), **SHORT, **fields))


def assert_sentence_transformers_agrees(folder: Path, encoder: DualEncoder, tokens: Tokens, texts: list[str]) -> None:
    theirs = SentenceTransformer(str(folder), device="cpu")
    assert (theirs.prompts["query"], theirs.prompts["passage"]) == ("Query: ", "Passage: ")
    queries, passages = (encode_texts(encoder, tokens, texts, role) for role in ("query", "passage"))
    assert np.linalg.norm(queries[0] - queries[5]) > 1e-3  # the comparison below means something
    np.testing.assert_allclose(theirs.encode_query(texts), queries, atol=1e-5)
    np.testing.assert_allclose(theirs.encode_document(texts), passages, atol=1e-5)
    np.testing.assert_allclose(theirs.encode(texts, prompt_name="passage"), passages, atol=1e-5)
    short = [text for text in texts if len(tokens.encode([text], "query")[0]) < 10]  # by name, one maximum for both
    by_name = theirs.encode(short, prompt_name="query")
    np.testing.assert_allclose(by_name, encode_texts(encoder, tokens, short, "query"), atol=1e-5)


@pytest.mark.parametrize("projection", [None, 12])
@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_sentence_transformers_gives_the_same_vectors_from_our_folder(
    tmp_path: Path, texts: list[str], pooling: str, projection: int | None
) -> None:
    encoder, tokens = of_fresh(texts, pooling=pooling, projection=projection)
    save_encoder(tmp_path, encoder, tokens)
    assert_sentence_transformers_agrees(tmp_path, encoder, tokens, texts)


@pytest.fixture(scope="module")
def labse_folder(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LaBSE's form, written by sentence-transformers itself: BERT, cls, dense with tanh, normalize."""
    folder = tmp_path_factory.mktemp("labse")
    torch.manual_seed(4)
    modules = [Transformer(str(bert_folder)), Pooling(32, "cls"), Dense(32, 20, activation_function=torch.nn.Tanh())]
    SentenceTransformer(modules=[*modules, Normalize()], device="cpu").save(str(folder))
    return folder


@pytest.mark.parametrize("projection", [None, 12])
def test_a_folder_with_a_dense_head_keeps_it(
    tmp_path: Path, labse_folder: Path, texts: list[str], projection: int | None
) -> None:
    encoder, tokens = of_folder(labse_folder, projection=projection)
    assert encoder.pooling == "cls" and encoder.dimension == (projection or 20)
    save_encoder(tmp_path, encoder, tokens)
    assert_sentence_transformers_agrees(tmp_path, encoder, tokens, texts)
    if projection is None:
        theirs = SentenceTransformer(str(labse_folder), device="cpu")
        reference = theirs.encode(texts, prompt="Passage: ", processing_kwargs={"text": {"max_length": 24}})
        np.testing.assert_allclose(encode_texts(encoder, tokens, texts, "passage"), reference, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert_folder", "distilbert_folder"])
def test_any_encoder_of_transformers_can_be_the_backbone(
    tmp_path: Path, kind: str, texts: list[str], request: pytest.FixtureRequest
) -> None:
    encoder, tokens = of_folder(request.getfixturevalue(kind), projection=12)
    assert encoder.pooling == "mean"
    save_encoder(tmp_path, encoder, tokens)
    assert_sentence_transformers_agrees(tmp_path, encoder, tokens, texts)


def test_m2m100_keeps_its_encoder_and_sentence_transformers_reads_it_one_language_at_a_time(
    tmp_path: Path, m2m100_folder: Path, texts: list[str]
) -> None:
    encoder, tokens = of_folder(m2m100_folder, projection=12)
    assert type(encoder.backbone).__name__ == "M2M100Encoder" and encoder.backbone.layerdrop == 0
    save_encoder(tmp_path, encoder, tokens)
    again, again_tokens = load_encoder(tmp_path)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    for language in ("en", "de"):
        theirs.tokenizer.src_lang = language
        languages = [language] * len(texts)
        vectors = encode_texts(encoder, tokens, texts, "passage", languages)
        np.testing.assert_array_equal(encode_texts(again, again_tokens, texts, "passage", languages), vectors)
        np.testing.assert_allclose(theirs.encode_document(texts), vectors, atol=1e-5)


@pytest.mark.parametrize("kind", ["fresh", "fresh_m2m100", "labse_folder", "m2m100_folder"])
def test_save_and_load_change_nothing(
    tmp_path: Path, kind: str, texts: list[str], request: pytest.FixtureRequest
) -> None:
    if kind.startswith("fresh"):
        architecture = "m2m100" if kind == "fresh_m2m100" else "xlm_roberta"
        made = of_fresh(texts, FRESH.model_copy(update={"architecture": architecture}), projection=12)
    else:
        made = of_folder(request.getfixturevalue(kind))
    save_encoder(tmp_path / "one", *made)
    encoder, tokens = load_encoder(tmp_path / "one")
    assert tokens.fingerprint == made[1].fingerprint
    assert encoder.config == made[0].config.model_copy(update={"pooling": made[0].pooling})
    for name, tensor in made[0].state_dict().items():
        torch.testing.assert_close(encoder.state_dict()[name], tensor, rtol=0, atol=0, msg=name)
    save_encoder(tmp_path / "two", encoder, tokens)
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert first == second


def test_weights_gathered_elsewhere_are_the_ones_saved_in_float32(tmp_path: Path, texts: list[str]) -> None:
    encoder, tokens = of_fresh(texts, projection=12)
    state = {name: tensor + 0.25 for name, tensor in encoder.state_dict().items()}
    save_encoder(tmp_path, encoder.to(torch.bfloat16), tokens, state)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float32"
    loaded, _ = load_encoder(tmp_path)
    for name, tensor in state.items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def test_weights_in_training_precision_are_saved_in_float32(tmp_path: Path, texts: list[str]) -> None:
    encoder, tokens = of_fresh(texts, projection=12)
    save_encoder(tmp_path, encoder.to(torch.bfloat16), tokens)
    for path in tmp_path.rglob("*.safetensors"):
        assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float32}


def test_a_configuration_given_replaces_the_saved_one(tmp_path: Path, texts: list[str]) -> None:
    made = of_fresh(texts, projection=12)
    save_encoder(tmp_path, *made)
    config = EncoderConfig(name_or_path=str(tmp_path), projection=12, dropout=0.5, query_prefix="", pooling="cls")
    encoder, tokens = load_encoder(tmp_path, config)
    assert len(encoder.dense) == 1  # the folder's own projection has the dimension asked for
    assert encoder.backbone.config.hidden_dropout_prob == 0.5 and encoder.pooling == "cls"
    assert len(tokens.encode([""], "query")[0]) == 2
    wider, _ = load_encoder(tmp_path, config.model_copy(update={"projection": 8}))
    assert [layer.out_features for layer in wider.dense] == [12, 8]


def assert_refused(said: str, name_or_path: object, **fields: object) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        build_encoder(EncoderConfig(name_or_path=str(name_or_path), **SHORT | fields))
    assert "\n" not in str(caught.value)


def test_names_that_lead_nowhere_are_one_line_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_refused("no such folder; give the folder", tmp_path / "nowhere")
    assert_refused("name_or_path someone/some-model: .* could not be fetched", "someone/some-model")
    assert_refused("is a file", Path(__file__))
    assert_refused("holds no config.json", tmp_path)


@pytest.mark.parametrize("revision", [None, "main", "0123456789abcdef0123456789abcdef01234567"])
def test_hub_models_are_found_in_the_cache_by_name(
    tmp_path: Path, bert_folder: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached, commit = tmp_path / "models--someone--some-model", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(bert_folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    encoder, tokens = build_encoder(EncoderConfig(name_or_path="someone/some-model", revision=revision, **SHORT))
    assert encoder.dimension == 32
    # What was trained from there is a folder of its own: the revision does not belong to it.
    save_encoder(tmp_path / "trained", encoder, tokens)
    assert load_encoder(tmp_path / "trained", encoder.config)[0].config.revision == revision


def test_incomplete_and_foreign_folders_are_one_line_errors(tmp_path: Path, bert_folder: Path) -> None:
    def changed(name: str) -> Path:
        return Path(shutil.copytree(bert_folder, tmp_path / name))

    pickled = changed("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert_refused(r"holds only pytorch_model\.bin; weights are read from safetensors only", pickled)
    truncated = changed("truncated")
    content = (truncated / "model.safetensors").read_bytes()
    (truncated / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert_refused("truncated: no encoder could be read there", truncated)
    lacking = changed("lacking")
    weights = load_file(lacking / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, lacking / "model.safetensors", metadata={"format": "pt"})
    assert_refused("lack 1 tensors that BertModel has .* such as encoder.layer.1.output.dense.weight", lacking)
    other_kind = changed("other_kind")
    (other_kind / "config.json").write_text(json.dumps({"model_type": "distilbert"}))
    assert_refused("holds another kind of model", other_kind)
    unknown = changed("unknown")
    (unknown / "config.json").write_text(json.dumps({"model_type": "x", "auto_map": {"AutoConfig": "x.Config"}}))
    assert_refused("code from a model's repository is never run", unknown)
    broken = changed("broken")
    (broken / "config.json").write_text("{")
    assert_refused("broken: no encoder could be read there", broken)
    other_tokens = changed("other_tokens")
    fields = json.loads((other_tokens / "config.json").read_text())
    weights = load_file(other_tokens / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:50].clone()
    save_file(weights, other_tokens / "model.safetensors", metadata={"format": "pt"})
    (other_tokens / "config.json").write_text(json.dumps(fields | {"vocab_size": 50}))
    assert_refused("they are from different models", other_tokens)


def test_what_a_model_cannot_do_is_a_one_line_error(tmp_path: Path, bert_folder: Path) -> None:
    assert_refused("max_passage_tokens is 61, but .* reads at most 60", bert_folder, max_passage_tokens=61)
    assert_refused("only a hub model has revisions", bert_folder, revision="main")
    from transformers import MPNetConfig, MPNetModel, T5Config, T5Model, ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**sizes, image_size=32)).save_pretrained(tmp_path / "vit")
    assert_refused("vit does not turn token ids into token states", tmp_path / "vit")
    MPNetModel(MPNetConfig(**sizes)).save_pretrained(tmp_path / "mpnet")
    assert_refused("set attention: eager", tmp_path / "mpnet")
    assert_refused("gradient_checkpointing: mpnet", tmp_path / "mpnet", attention="eager", gradient_checkpointing=True)
    T5Model(T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=50)).save_pretrained(
        tmp_path / "t5"
    )
    assert_refused("t5 is an encoder-decoder; of those only m2m_100", tmp_path / "t5")


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("modules.json", lambda all_: [*all_[:2], {**all_[2], "type": "x.LSTM"}], "lists Transformer, Pooling, LSTM"),
        ("modules.json", lambda all_: [all_[0], all_[1], all_[3], all_[2]], "Transformer, Pooling, Normalize, Dense"),
        ("modules.json", lambda all_: [*all_[:2], {**all_[2], "path": "../x"}], "leads out of the folder"),
        ("modules.json", lambda all_: {}, "is not a list of modules"),
        ("1_Pooling/config.json", lambda fields: {**fields, "pooling_mode": "max"}, "pooling by max is not supported"),
        ("1_Pooling/config.json", lambda fields: {**fields, "include_prompt": False}, "without the prompt"),
        ("2_Dense/config.json", lambda fields: {**fields, "activation_function": "os.system"}, "os.system is not supp"),
        ("2_Dense/config.json", lambda fields: {**fields, "out_features": 7}, "no dense layer could be read there"),
        ("sentence_bert_config.json", lambda fields: {**fields, "do_lower_case": True}, "do_lower_case is not"),
    ],
)
def test_modules_that_we_do_not_have_are_one_line_errors(
    tmp_path: Path, labse_folder: Path, file: str, change: object, said: str
) -> None:
    folder = shutil.copytree(labse_folder, tmp_path / "changed")
    path = folder / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert_refused(said, folder)


def test_a_dense_head_must_be_safetensors_too(tmp_path: Path, labse_folder: Path) -> None:
    folder = shutil.copytree(labse_folder, tmp_path / "changed")
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    assert_refused(r"2_Dense/model\.safetensors: missing; weights are read from safetensors only", folder)


def test_folders_of_another_version_are_one_line_errors(tmp_path: Path, texts: list[str]) -> None:
    save_encoder(tmp_path, *of_fresh(texts))
    about = tmp_path / "mixlingual.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format_version": 9}))
    with pytest.raises(ConfigError, match=r"mixlingual\.json: format version 9"):
        load_encoder(tmp_path)
    about.write_text("[]")
    with pytest.raises(ConfigError, match="not readable as an encoder's description"):
        load_encoder(tmp_path)
