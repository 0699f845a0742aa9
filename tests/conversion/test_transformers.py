"""Language models of a library that we did not write, built from small configurations."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model, save_model

from tablefree import convert, materialize
from tablefree.conversion import ConvertedEmbedding

transformers = pytest.importorskip("transformers")

VOCABULARY = 4096
README = Path(__file__).parents[2] / "README.md"


def gpt2(*, tied=False):
    return transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=32,
        loss_type="ForCausalLM",
        tie_word_embeddings=tied,
    )


def llama(*, tied=False):
    return transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=tied,
    )


CONFIGURATIONS = {"transformer.wte": gpt2, "model.embed_tokens": llama}


def build(configuration):
    return transformers.AutoModelForCausalLM.from_config(configuration)


def batch(start):
    """Eight sequences of tokens, each token two bytes of the text."""
    text = torch.frombuffer(bytearray(README.read_bytes()), dtype=torch.uint8).long()
    pairs = (text[:-1] * 256 + text[1:])[::2] % VOCABULARY
    return pairs[start * 8 * 32 :][: 8 * 32].view(8, 32)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_converted_model_trains_and_is_saved_and_loaded(name, tmp_path):
    configuration = CONFIGURATIONS[name]()
    model, report = convert(build(configuration))
    assert [table.name for table in report.replaced] == [name]
    assert isinstance(model.get_input_embeddings(), ConvertedEmbedding)
    assert not report.refused

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for step in range(6):
        tokens = batch(step % 2)
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1

    save_model(model, tmp_path / "model.safetensors")
    loaded, _ = convert(build(configuration))
    load_model(loaded, tmp_path / "model.safetensors")
    tokens = batch(0)
    with torch.no_grad():
        logits = model.eval()(tokens).logits
        assert torch.equal(loaded.eval()(tokens).logits, logits)
        tables = materialize(loaded)
        torch.testing.assert_close(tables(tokens).logits, logits)
    tables.save_pretrained(tmp_path / "tables")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "tables")
    torch.testing.assert_close(again.eval()(tokens).logits, logits)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_tied_weights_are_refused(name):
    model, report = convert(build(CONFIGURATIONS[name](tied=True)))
    assert report.refused == {name: "its weight is shared with lm_head.weight: untie them first"}
    assert type(model.get_input_embeddings()) is torch.nn.Embedding
