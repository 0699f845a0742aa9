"""Calls of the library with arguments that nobody should pass, each a line of Python.

A case is a program: it makes a module `m`, most often a sound one, and calls it.
"""

import contextlib
import random
import re
import tempfile
import traceback
import warnings
from math import inf, nan
from pathlib import Path

import numpy as np
import torch
from attack import attack, little_memory
from hypothesis import strategies as st
from torch import nn

import tablefree
from tablefree import TablefreeError
from tablefree.embeddings import METHODS, build
from tablefree.embeddings.history import HistoryUsers

NAMES = {name: getattr(tablefree, name) for name in tablefree.__all__}
NAMES |= {"torch": torch, "np": np, "nn": nn, "inf": inf, "nan": nan, "build": build}
NAMES |= {"HistoryUsers": HistoryUsers, "Path": Path}
# What is said of a wrong signature is raised before any line of ours.
FOLDER = str(Path(tablefree.__file__).parent)


def listed(text: str) -> tuple[str, ...]:
    """The texts between semicolons."""
    return tuple(" ".join(one.split()) for one in text.split(";"))


SIZES = listed(
    r"""
    1; 2; 3; 4; 8; 12; np.int64(4); np.uint8(3)
    """
)
ODD_SIZES = listed(
    r"""
    0; -1; True; 10**14; 2**48; 2**52 + 1; 2**62; 2**63; 10**30; -10**30; 2.0; nan; inf; '4';
    None; b'4'; [4]; (); {}; np.float32(4); np.int8(-1); torch.tensor(4); torch.tensor([4, 5]);
    np.array([4]); 1j
    """
)
NUMBERS = listed(
    r"""
    0.0; 0.1; 0.5; 1.0; 1; np.float32(.5)
    """
)
ODD_NUMBERS = listed(
    r"""
    nan; inf; -inf; -1.0; -1e-9; 1e308; 1e-320; 2; 10**400; None; '0.1'; [0.1]; torch.tensor(0.1);
    torch.tensor(nan); 1j; True
    """
)
WORDS = listed(
    r"""
    ''; 'x'; 'mish'; 'gated'; 'none'; 'add'; 'mean'; 'sum'; '\ud800'; None; 7; []; b'a';
    'a' * 10**6; ('mish',); nan
    """
)
SEEDS = listed(
    r"""
    'user_id'; 0; 7; 2**64 - 1
    """
)
ODD_SEEDS = listed(
    r"""
    -1; 2**64; 10**30; nan; None; True; 1.5; b'a'; '\ud800'; ''; 'secret:x:0'; [1]; np.int64(3)
    """
)
LAYERS = listed(
    r"""
    (); (4,); [4, 4]; (np.int64(3),)
    """
)
ODD_LAYERS = listed(
    r"""
    (0,); (-1,); ('4',); 4; None; '44'; (nan,); (2.0,); (10**14,); (10**30,); [[4]];
    torch.tensor([4, 4]); np.array([4]); (4,) * 3000; (True,); {4}; {4: 4}
    """
)
IDS = listed(
    r"""
    torch.tensor([0, 1, 2]); torch.tensor([[0, 1], [2, 0]]); torch.tensor(1);
    torch.zeros(0, dtype=torch.int64); torch.zeros(0, 3, dtype=torch.int32); torch.arange(4)[::2];
    torch.arange(4).reshape(2, 2).T; torch.zeros(3, dtype=torch.uint8);
    torch.ones(2, dtype=torch.int16); torch.zeros(3, dtype=torch.uint64);
    torch.zeros(2, 1, 2, dtype=torch.int8); torch.tensor([1]).expand(5)
    """
)
ANY_IDS = listed(
    r"""
    torch.tensor([-1, 2**62, -2**63]); torch.tensor([2**63 - 1] * 3);
    torch.tensor([2**64 - 1], dtype=torch.uint64); torch.tensor([2**32 - 1], dtype=torch.uint32)
    """
)
ODD_IDS = listed(
    r"""
    torch.tensor([1.0]); torch.tensor([nan]); torch.tensor([True]); torch.tensor([1j]);
    torch.tensor([]); torch.zeros(2, 2, dtype=torch.int64).to_sparse();
    torch.zeros(3, dtype=torch.int64, device='meta');
    torch.zeros(2, 2, dtype=torch.int64).to_sparse_csr(); [1, 2]; 1; None; 'a'; np.arange(3);
    torch.nested.nested_tensor([torch.arange(2), torch.arange(3)], layout=torch.jagged);
    torch.nested.nested_tensor([torch.arange(2), torch.arange(3)]);
    torch.tensor([1], dtype=torch.bfloat16);
    torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8); {'a': torch.tensor([1])};
    torch; (); torch.masked.masked_tensor(torch.tensor([1, 2]), torch.tensor([True, False]));
    torch.empty(0); nn.Parameter(torch.ones(2)); torch.arange(3).to(torch.float8_e4m3fn);
    torch.tensor(2.5)
    """
)
FLOATS = listed(
    r"""
    torch.rand(3); torch.rand(3, 2); torch.rand(2, 2); torch.rand(4, 3); torch.ones(3).double()
    """
)
ODD_FLOATS = listed(
    r"""
    torch.full((3,), nan); torch.full((3,), inf); torch.full((3,), -1.0); torch.zeros(3);
    torch.zeros(0); torch.rand(3, 1, 1); torch.rand(3, device='meta'); np.ones(3);
    [1.0, 2.0, 3.0]; 1.0; 'a'; torch.ones(3, dtype=torch.int64); torch.rand(3).half();
    torch.rand(3).to_sparse(); torch.full((3, 2), nan)
    """
)
OFFSETS = listed(
    r"""
    torch.tensor([0]); torch.tensor([0, 1]); torch.tensor([0, 2]); torch.tensor([0, 1, 3]);
    torch.tensor([0, 0, 3], dtype=torch.int32)
    """
)
ODD_OFFSETS = listed(
    r"""
    torch.tensor([1]); torch.tensor([0, -1]); torch.tensor([0, 9]); torch.tensor([2, 1]);
    torch.tensor([0.0]); torch.tensor([[0]]); torch.zeros(0, dtype=torch.int64); [0]; 0; None;
    torch.tensor([0, 1], device='meta'); torch.tensor([True]); torch.tensor(0);
    torch.tensor([0], dtype=torch.uint8); np.array([0, 1]); torch.tensor([0, 2**62])
    """
)
VALUES = listed(
    r"""
    ['a', 'b']; [1, 2]; 'a'; 7; b'a'; [b'a']; [None]; [1, 'a']; [True]; [1.5]; nan; [[1]];
    [2**64]; [-2**63 - 1]; ['\ud800']; []; np.array(['a', 'b']); np.array([b'a', b'b\0']);
    np.array([1.0]); np.array([1], dtype='>i8'); np.array(['2020-01-01'], dtype='M8[D]');
    np.array([1, 'a'], dtype=object); np.ma.array([1, 2], mask=[0, 1]); np.array(3);
    np.zeros((0, 3), np.int32); np.zeros(3, 'V8'); np.array([True]); np.array([1j]);
    np.recarray((2,), dtype=[('a', int)]); object(); {'a': 1}; {1, 2}; range(3); (x for x in [1]);
    lambda: 1; np.array([[1, 2], [3, 4]]).T; np.str_('a'); np.int64(3); np.float64(1);
    [np.int64(3), 4]; [np.str_('a'), 'b']; np.array(['a', None], dtype=object); bytearray(b'a');
    memoryview(b'a'); torch.tensor([1, 2]); [torch.tensor(1)];
    np.array([float('nan')], dtype=object); np.array([1, 2**63], dtype=np.uint64);
    np.array(['a'], dtype=np.dtypes.StringDType()); 'x' * 10**6
    """
)
ODD = ODD_SIZES + ODD_NUMBERS + WORDS + ODD_IDS


def weigh(usual: tuple[str, ...], odd: tuple[str, ...], weight: int) -> st.SearchStrategy[str]:
    """One of the usual, save for one time in `weight`."""
    return st.integers(1, weight).flatmap(
        lambda drawn: st.sampled_from(odd if drawn == weight else usual)
    )


SIZE = weigh(SIZES, ODD_SIZES, 8)
NUMBER = weigh(NUMBERS, ODD_NUMBERS, 4)
SEED = weigh(SEEDS, ODD_SEEDS, 12)
LAYER = weigh(LAYERS, ODD_LAYERS, 6)
ID = weigh(IDS, ODD_IDS + ANY_IDS, 4)
FLOAT = weigh(FLOATS, ODD_FLOATS, 2)
OFFSET = weigh(OFFSETS, ODD_OFFSETS, 3)
BOOL = weigh(("True", "False"), ("None", "1", "'no'", "nan"), 8)


def choice(*usual: str) -> st.SearchStrategy[str]:
    return weigh(tuple(map(repr, usual)), WORDS, 8)


OF_NETWORK = {
    "hidden": LAYER,
    "activation": choice("mish", "relu", "gelu"),
    "norm": choice("batch", "layer", "rms", "none"),
    "dropout": NUMBER,
    "skip": BOOL,
}
OF_DECODER = OF_NETWORK | {"side_features": weigh(("0", "2"), ODD_SIZES, 6), "recompute": BOOL}
ENCODINGS = listed(
    r"""
    DenseHashEncoding(4, seed='a'); SketchEncoding(8, 2, seed=0); HashingTrick(4, 4, seed='b');
    FullTable(3, 2); SketchEncoding(8, 2, capacity=16, seed=0)
    """
)
EMBEDDINGS = listed(
    r"""
    FullTable(3, 4); NarrowTable(3, 4, 2); HashingTrick(8, 4, seed='a');
    MultiHash(8, 4, seed='a'); HashEmbedding(8, 4, num_importance_rows=4, seed='a');
    QuotientRemainder(4, 4, num_quotients=4, seed='a');
    HybridHash(4, 4, frequent_ids=torch.tensor([1, 2]), seed='a');
    CafeEmbedding(2, 4, num_rows=4, seed='a');
    DeepHashEmbedding(4, num_hashes=8, hidden=(4,), seed='a');
    SketchEmbedding(4, num_rows=8, code_width=2, seed='a');
    SketchEmbedding(4, num_rows=8, code_width=2, capacity=16, sightings=2, sparse=True, seed='a');
    CachedEmbedding(HashingTrick(8, 4, seed='a'), 16);
    DecodedEmbedding(4, [DenseHashEncoding(4, seed='a'), SketchEncoding(8, 2, seed=0)]);
    HistoryUsers(FullTable(3, 4), 4); presets.sketch(4, capacity=100, seed='a')
    """
)
ODD_EMBEDDINGS = listed(
    r"""
    nn.Embedding(3, 4); None; 'sketch'; FullTable; nn.Linear(2, 2); torch.ones(3); []
    """
)
OF_EMBEDDING = weigh(EMBEDDINGS, ODD_EMBEDDINGS, 8)
# name → positional arguments, keyword arguments: those with a * are always given
CONSTRUCTORS = {
    "FullTable": ([SIZE, SIZE], {}),
    "NarrowTable": ([SIZE, SIZE, SIZE], {}),
    "HashingTrick": ([SIZE, SIZE], {"*seed": SEED}),
    "MultiHash": (
        [SIZE, SIZE],
        {"num_hashes": SIZE, "shared": BOOL, "combine": choice("add", "concat"), "*seed": SEED},
    ),
    "HashEmbedding": (
        [SIZE, SIZE],
        {"*num_importance_rows": SIZE, "num_hashes": SIZE, "*seed": SEED},
    ),
    "QuotientRemainder": (
        [SIZE, SIZE],
        {"*num_quotients": SIZE, "combine": choice("add", "multiply", "concat"), "*seed": SEED},
    ),
    "HybridHash": ([SIZE, SIZE], {"*frequent_ids": ID, "num_hashes": SIZE, "*seed": SEED}),
    "CafeEmbedding": ([SIZE, SIZE], {"*num_rows": SIZE, "*seed": SEED}),
    "DeepHashEmbedding": (
        [SIZE],
        {
            "*num_hashes": SIZE,
            "num_buckets": SIZE,
            "transform": choice("uniform", "gaussian"),
            "*seed": SEED,
        }
        | OF_DECODER,
    ),
    "DecodedEmbedding": (
        [
            SIZE,
            st.lists(weigh(ENCODINGS, ODD, 12), max_size=2).map(
                lambda all_: f"[{', '.join(all_)}]"
            ),
        ],
        OF_DECODER,
    ),
    "SketchEmbedding": (
        [SIZE],
        {
            "*num_rows": SIZE,
            "*code_width": SIZE,
            "num_hashes": SIZE,
            "capacity": weigh(("16", "np.int64(32)", "(16, 32)"), ODD_SIZES, 4),
            "sightings": SIZE,
            "sparse": BOOL,
            "*seed": SEED,
        }
        | OF_NETWORK,
    ),
    "SketchEncoding": (
        [SIZE, SIZE],
        {
            "num_hashes": SIZE,
            "capacity": weigh(("16", "(16, 32)"), ODD_SIZES, 4),
            "sightings": SIZE,
            "sparse": BOOL,
            "*seed": SEED,
        },
    ),
    "DenseHashEncoding": (
        [SIZE],
        {
            "*seed": SEED,
            "family": choice("multiply_shift", "carter_wegman"),
            "num_buckets": SIZE,
            "transform": choice("uniform", "gaussian"),
        },
    ),
    "HashBuckets": (
        [SIZE, SIZE],
        {"*seed": SEED, "family": choice("multiply_shift", "carter_wegman")},
    ),
    "SideFeatures": ([ID, FLOAT], {}),
    "CachedEmbedding": ([OF_EMBEDDING, SIZE], {}),
    "EmbeddingBag": (
        [OF_EMBEDDING],
        {
            "mode": choice("sum", "mean", "max"),
            "padding_idx": weigh(("0", "'a'", "None"), ODD_SIZES, 3),
            "include_last_offset": BOOL,
        },
    ),
    "HistoryUsers": (
        [OF_EMBEDDING, weigh(("4",), ODD_SIZES, 4)],
        {"hidden": LAYER, "alpha": NUMBER, "own": OF_EMBEDDING},
    ),
    "GMF": ([OF_EMBEDDING, OF_EMBEDDING], {}),
    "MLP": ([OF_EMBEDDING, OF_EMBEDDING], {}),
    "Bags": ([ID, OFFSET], {"weights": FLOAT}),
    "Bags.from_rows": ([ID], {"weights": FLOAT}),
    "Bags.from_starts": ([ID, OFFSET], {"weights": FLOAT}),
    "presets.sketch": (
        [SIZE],
        {"*capacity": weigh(("100", "1000"), ODD_SIZES, 4), "size": NUMBER, "*seed": SEED},
    ),
    "build": (
        [choice(*METHODS)],
        {
            "*num_parameters": weigh(("50", "200", "1000"), ODD_SIZES, 5),
            "*num_embeddings": weigh(("20", "100"), ODD_SIZES, 5),
            "*embedding_dim": SIZE,
            "*seed": SEED,
        },
    ),
    "Secret": ([weigh(("'x' * 32", "b'y' * 32"), WORDS, 2)], {}),
    "EmbeddingCollection.from_embeddings": (
        [OF_EMBEDDING.map(lambda one: f"{{'a': {one}, 'b': HashingTrick(8, 4, seed=0)}}")],
        {},
    ),
}
FEATURE = weigh(
    (
        "{'method': 'hashing_trick', 'num_rows': 8, 'embedding_dim': 4, 'seed': 0}",
        "{'method': 'full_table', 'num_embeddings': 3, 'embedding_dim': 4}",
        "{'method': 'sketch', 'embedding_dim': 4, 'num_rows': 8, 'code_width': 2}",
        "{'method': 'deep_hash', 'embedding_dim': 4, 'num_hashes': 8, 'hidden': [4]}",
        "{'method': 'hashing_trick', 'num_rows': 8, 'embedding_dim': 4, 'id_type': 'string'}",
        "{'method': 'full_table', 'num_embeddings': 3, 'embedding_dim': 4, 'pooling': 'mean'}",
        "{'shared_with': 'a'}",
        "{'shared_with': 'a', 'pooling': 'sum', 'seed': 'b'}",
    ),
    (
        "{}",
        "None",
        "[]",
        "{'method': 'x'}",
        "{'method': None}",
        "{'shared_with': 'z'}",
        "{'shared_with': []}",
        "{'method': 'full_table'}",
        "{'method': 'full_table', 'num_embeddings': 10**12, 'embedding_dim': 4}",
        "{'method': 'full_table', 'num_embeddings': 3, 'embedding_dim': 4, 'pooling': 'x'}",
        "{'method': 'full_table', 'num_embeddings': 3, 'embedding_dim': 4, 'padding_idx': nan}",
        "{'method': 'full_table', 'num_embeddings': 3, 'embedding_dim': '4'}",
        "{'method': ['full_table']}",
        "{'method': 'full_table', 'num_embeddings': 3, 'embedding_dim': 4, 'id_type': 'float'}",
        "7",
        "'sketch'",
        "{'method': 'full_table', 'num_embeddings': 3, 'embedding_dim': 4, 'seed': 1}",
        "{1: 2}",
    ),
    6,
)
DTYPE = weigh(
    ("torch.float32", "torch.bfloat16", "torch.int8"),
    ("torch.float16", "torch.int64", "None", "'int8'", "torch.float64", "8"),
    3,
)
RATES = dict.fromkeys(
    ("learning_rate", "weight_decay", "network_learning_rate", "network_weight_decay"), NUMBER
)
PATHS = st.sampled_from(
    (
        "'saved'",
        "'saved/deep'",
        "'there'",
        "'there/below'",
        "''",
        "'a\\0b'",
        "None",
        "7",
        "'n' * 300",
        "Path('saved')",
        "'\\ud800'",
        "b'saved'",
    )
)


@st.composite
def call(draw, name: str, positional: list, named: dict) -> str:
    """A call, most often with all that it needs."""
    given = [draw(value) for value in positional]
    for key, value in named.items():
        if key.startswith("*") or draw(st.integers(0, 2)) == 0:
            given.append(f"{key.removeprefix('*')}={draw(value)}")
    if draw(st.integers(0, 60)) == 0:
        given.append(draw(st.sampled_from(("nothing=1", "*[1, 2, 3]", "**{'a': 2}"))))
    return f"{name}({', '.join(given)})"


CALLS = st.one_of(
    ID.map(lambda ids: f"m({ids})"),
    ID.map(lambda ids: f"m({ids})"),
    st.tuples(ID, FLOAT).map(lambda two: f"m({two[0]}, {two[1]})"),
    st.tuples(ID, OFFSET, FLOAT).map(lambda two: f"m({two[0]}, {two[1]}, {two[2]})"),
    st.tuples(ID, ID).map(lambda two: f"m({two[0]}, {two[1]})"),
    st.tuples(ID, ID).map(lambda two: f"m({{'a': {two[0]}, 'b': {two[1]}}})"),
    ID.map(lambda ids: f"m({{'a': {ids}}})"),
    FLOAT.map(lambda numbers: f"m({numbers})"),
    st.sampled_from(
        (
            "m.eval()",
            "m.train()",
            "m.config()",
            "m.describe()",
            "m.double()",
            "m.half()",
            "m.to('meta')",
            "m.state_dict()",
            "m.requires_grad_(False)",
            "m.num_parameters",
            "repr(m)",
            "m.clear()",
            "__import__('copy').deepcopy(m)",
            "__import__('pickle').dumps(m)",
            "m.load_state_dict({})",
            "m.load_state_dict(m.state_dict())",
            "len(m)",
            "m(torch.tensor([0, 1])).sum().backward()",
        )
    ),
    DTYPE.map(lambda dtype: f"m.freeze({dtype})"),
    SIZE.map(lambda size: f"m.grow({size})"),
    NUMBER.map(lambda factor: f"m.rescale({factor})"),
    PATHS.map(lambda path: f"m.save_pretrained({path})"),
    PATHS.map(lambda path: f"type(m).from_pretrained({path})"),
    call("optimizers", [st.just("m")], RATES | {"optimizer": choice("adamw", "muon")}),
    call("parameter_groups", [st.just("m")], RATES),
    call(
        "RowAdam",
        [st.sampled_from(("m.parameters()", "[m]", "[Rows(3, 2, sparse=True)]", "None"))],
        {"lr": NUMBER, "weight_decay": NUMBER, "beta2": NUMBER, "eps": NUMBER},
    ),
    call("to_ids", [st.sampled_from(VALUES + ODD_IDS)], {}),
    call("hash_strings", [st.sampled_from(VALUES + ODD_IDS)], {}),
    call(
        "convert",
        [
            weigh(
                (
                    "nn.Sequential(nn.Embedding(50, 4))",
                    "m",
                    "nn.Sequential(nn.EmbeddingBag(50, 4))",
                ),
                ODD,
                8,
            )
        ],
        {
            "*method": choice(*METHODS),
            "*min_rows": weigh(("1", "10"), ODD_SIZES, 5),
            "size": NUMBER,
            "num_parameters": SIZE,
            "pattern": choice("*", "0"),
            "distill": weigh(("False", "{'steps': 2}"), ODD, 3),
        },
    ),
    call(
        "distill",
        [
            weigh(("torch.rand(3, 4)", "nn.Embedding(3, 4)"), ODD + ODD_FLOATS, 6),
            weigh(("m",), ODD, 9),
        ],
        {
            "ids": ID,
            "weights": FLOAT,
            "*steps": weigh(("1", "2"), ODD_SIZES, 6),
            "batch_size": SIZE,
            "learning_rate": NUMBER,
            "network_learning_rate": NUMBER,
            "optimizer": choice("adamw", "muon"),
            "*seed": SEED,
        },
    ),
    call("materialize", [weigh(("m",), ODD, 9)], {"ids": ID}),
    call("m.set_histories", [OFFSET, ID], {"user_keys": ID}),
    call("m.embed_bags", [ID, OFFSET], {}),
    call("m.without", [SIZE], {}),
    call("Bags", [ID, OFFSET], {"weights": FLOAT}).map(
        lambda bags: f"m({{'a': {bags}, 'b': {bags}}})"
    ),
    call("CachedEmbedding", [st.just("m"), SIZE], {}),
    call("DLRM", [weigh(("m",), ODD, 9)], {"num_dense": SIZE, "bottom": LAYER, "top": LAYER}),
    call("DeepFM", [weigh(("m",), ODD, 9)], {"num_dense": SIZE, "hidden": LAYER}),
    call("DCN", [weigh(("m",), ODD, 9)], {"num_dense": SIZE, "num_crosses": SIZE, "hidden": LAYER}),
)


@st.composite
def programs(draw) -> list[str]:
    """What makes `m`, and calls of it."""
    kind = draw(st.integers(0, 7))
    if kind <= 2:
        made = draw(st.sampled_from(EMBEDDINGS))
    elif kind == 3:
        given = ", ".join(
            f"{name!r}: {draw(FEATURE)}" for name in ("a", "b")[: draw(st.integers(0, 2))]
        )
        made = f"EmbeddingCollection({{{given}}})"
    else:
        made = draw(call(name := draw(st.sampled_from(sorted(CONSTRUCTORS))), *CONSTRUCTORS[name]))
    return [f"m = {made}", *draw(st.lists(CALLS, min_size=3, max_size=4))]


# New weights are drawn from torch's generator, as torch's own modules draw theirs.
DRAWS = re.compile(r"m = |torch\.rand|convert|grow|materialize|nn\.|[A-Z]\w+\(|^m\(|backward")
OURS = re.compile(f"'({'|'.join({*NAMES} - {'Bags', 'Embedding', 'Secret'})})' object")
# Torch's own words, which its users know: of tensors without values, of shapes that do not go
# together, and of modules with nothing to learn.
LEFT = re.compile(
    "[Mm]eta tensors|must match the size of tensor|same number of dim|"
    "empty parameter list|only one element|Boolean value of Tensor"
)
NOT_FINITE = re.compile("nan|inf|1e308|rescale|half|float16|code_std")


def check(program: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), little_memory():
        Path("there").touch()
        torch.manual_seed(0)
        names = dict(NAMES)
        for line in program:
            if "m" in names or line.startswith("m = "):
                result = run(line, names)
        is_tensor = isinstance(result, torch.Tensor) and result.is_floating_point()
        if is_tensor and not result.is_meta and not NOT_FINITE.search(" ".join(program)):
            assert result.isfinite().all(), (program, result)


def run(line: str, names: dict[str, object]) -> object:
    """Run one line: a result, or an error that is allowed."""
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    result = said = None
    try:
        with warnings.catch_warnings(action="ignore"):
            result = eval(line.removeprefix("m = "), names)
    except TablefreeError as error:
        said = str(error)
    except Exception as error:
        # What Python says of an object of a wrong class will do, if the object is not ours.
        is_python = isinstance(error, TypeError | AttributeError) and not OURS.search(str(error))
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        is_left = is_python or LEFT.search(str(error))
        if not is_left and any(name.startswith(FOLDER) for name in files):
            raise AssertionError(line) from error
    assert said is None or (said and "\n" not in said), (line, said)
    if line.startswith("m = ") and result is not None:
        names["m"] = result
    assert random.getstate() == before[0], line
    assert str(np.random.get_state()) == before[1], line  # noqa: NPY002
    assert DRAWS.search(line) or torch.equal(torch.get_rng_state(), before[2]), line
    return result


if __name__ == "__main__":
    attack(programs(), check)
