"""Who reads the maps; `test_look` has what is found."""

import numpy as np
import torch

from atlas.examples import scan


def maps() -> torch.Tensor:
    draws = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5, 6, 4)))
    return draws.float().contiguous(memory_format=torch.channels_last)


def check(found: scan.Scan) -> None:
    expected = maps().flatten(2)
    assert torch.equal(found.high, expected.amax(2))
    assert torch.equal(found.low_at.long(), expected.argmin(2))
    torch.testing.assert_close(found.total, expected.double().sum(2), rtol=1e-6, atol=1e-6)


def test_the_loop_rectifies_on_its_way():
    seen = maps()
    found = scan.scan(seen)
    assert found.rectified
    assert torch.equal(seen, maps().relu())
    check(found)


def test_without_numba_it_is_pytorch(monkeypatch):
    monkeypatch.setattr(scan, "compiled", lambda _: None)
    seen = maps()
    found = scan.scan(seen)
    assert not found.rectified
    assert torch.equal(seen, maps())
    check(found)
