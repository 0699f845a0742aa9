import numpy as np
import pytest
import torch

from tablefree import (
    DecodedEmbedding,
    FullTable,
    InputError,
    SketchEmbedding,
    SketchEncoding,
    solve_sketch,
)

N = 2000
TABLE = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))


def dense_solution(encoding, ids, table, weights, ridge=0.0):
    """Rows by NumPy, from the matrix written out."""
    buckets = encoding.buckets(ids).numpy()
    matrix = np.zeros((len(ids), buckets.shape[1] * encoding.num_rows))
    for number, column in enumerate(buckets.T):
        matrix[np.arange(len(ids)), number * encoding.num_rows + column] = 1
    roots = np.sqrt(weights / weights.mean())[:, None]
    penalty = np.sqrt(ridge) * np.eye(matrix.shape[1])
    system = np.vstack([roots * matrix, penalty])
    wanted = np.vstack([roots * table.double().numpy(), np.zeros((matrix.shape[1], 4))])
    return matrix, np.linalg.lstsq(system, wanted, rcond=None)[0]


def test_with_rows_enough_any_table_is_represented():
    encoding = SketchEncoding(int(1.3 * N / 4), 4, seed="item")
    report = solve_sketch(TABLE, encoding, tolerance=5e-5)
    errors = encoding(torch.arange(N)).detach() - TABLE
    assert errors.norm() < 1e-4 * TABLE.norm()
    assert report.variance_kept > 1 - 1e-7
    assert report.losses[-1] == pytest.approx(float(errors.square().mean()), rel=0.1)


def test_with_fewer_rows_it_keeps_what_a_dense_solver_keeps():
    encoding = SketchEncoding(N // 8, 4, seed="item")
    report = solve_sketch(TABLE, encoding)
    matrix, rows = dense_solution(encoding, torch.arange(N), TABLE, np.ones(N))
    lost = ((TABLE.numpy() - matrix @ rows) ** 2).sum() / (N * TABLE.numpy().var(0).sum())
    assert report.variance_kept == pytest.approx(1 - lost, abs=1e-5)
    assert report.variance_kept == pytest.approx(0.5, abs=0.02)


def test_weights_ids_and_ridge_are_those_of_the_dense_system():
    ids, table = torch.arange(90) * 7919 - 5, TABLE[:90]
    weights = torch.rand(90, generator=torch.Generator().manual_seed(1)) * (ids % 5 > 0)
    encoding = SketchEncoding(20, 4, num_hashes=2, seed=1)
    report = solve_sketch(table, encoding, ids=ids, weights=weights, ridge=0.1, tolerance=1e-6)
    _, rows = dense_solution(encoding, ids, table, weights.double().numpy(), ridge=0.1)
    torch.testing.assert_close(
        encoding.rows.weight.detach(), torch.tensor(rows).float(), atol=1e-4, rtol=1e-3
    )
    assert report.weighted_variance_kept > report.variance_kept


def test_columns_without_anything_stay_zero():
    encoding = SketchEncoding(700, 4, seed=0)
    table = TABLE * torch.tensor([1.0, 0.0, 1.0, 0.0])
    report = solve_sketch(table, encoding, ridge=0.0)
    assert encoding.rows.weight[:, 1].abs().max() == 0
    assert report.variance_kept > 1 - 1e-6


def test_a_decoder_over_the_table_serves_the_sketch():
    narrow = DecodedEmbedding(16, [FullTable(300, 3)], hidden=(8,))
    sketch = SketchEmbedding(16, num_rows=120, code_width=3, hidden=(8,), seed=0)
    solve_sketch(narrow.encodings[0].rows.weight[:-1], sketch.encoding)
    sketch.network.load_state_dict(narrow.network.state_dict())
    ids = torch.arange(300)
    torch.testing.assert_close(sketch(ids), narrow(ids), atol=1e-3, rtol=0)


def test_it_stops_at_its_last_step():
    report = solve_sketch(TABLE, SketchEncoding(500, 4, seed=0), max_steps=7)
    assert len(report.losses) == 7
    assert list(report.losses) == sorted(report.losses, reverse=True)


def test_options_out_of_range_are_refused():
    for name in ("ridge", "tolerance"):
        with pytest.raises(InputError, match=f"{name} must be at least 0 and finite, got -1"):
            solve_sketch(TABLE, SketchEncoding(9, 4, seed=0), **{name: -1})
    with pytest.raises(InputError, match="max_steps must be"):
        solve_sketch(TABLE, SketchEncoding(9, 4, seed=0), max_steps=0)
    with pytest.raises(InputError, match="rows of a SketchEncoding are solved for, got FullTable"):
        solve_sketch(TABLE, FullTable(9, 4))
    with pytest.raises(InputError, match="16 rows that ids own: use distill"):
        solve_sketch(TABLE, SketchEncoding(9, 4, capacity=16, seed=0))
