"""When fused kernels are asked, and that plain torch serves where they cannot."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
import torch
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.kernels import runtime
from VoxelOptRegistrationLib.options import Border, Smoothing, Ties
from VoxelOptRegistrationLib.solvers.candidates import candidate_displacements
from VoxelOptRegistrationLib.solvers.coupling import best_displacement
from VoxelOptRegistrationLib.solvers.message_passing import entropy_filter

CPU = torch.device("cpu")


@pytest.fixture
def broken_triton(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Triton that seems to be there, and to interpret, but cannot be imported."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(runtime, "_triton_version", lambda: "3.0")
    monkeypatch.setattr(runtime, "numba_serves", lambda: False)
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "VoxelOptRegistrationLib.kernels.gpu.warping", raising=False)
    runtime._given_up.cache_clear()
    yield
    runtime._given_up.cache_clear()


def test_what_cannot_run_is_logged_once_and_torch_serves(
    broken_triton: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    volume, displacement = torch.rand(1, 5, 6, 7), torch.randn(3, 5, 6, 7)
    assert runtime.fuses(volume, displacement) and runtime.kernels_in_use() == "triton 3.0"
    with caplog.at_level(logging.WARNING):
        warped = [warp(volume, displacement) for _ in range(2)]
    (logged,) = caplog.records
    assert "triton" in logged.getMessage()
    assert not runtime.triton_serves(CPU) and not runtime.kernels_in_use().startswith("triton")
    monkeypatch.setenv(runtime.SWITCH, "torch")
    for result in warped:
        assert torch.equal(result, warp(volume, displacement))


def test_out_of_memory_is_not_taken_for_a_broken_kernel(broken_triton: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(name: str, package: str) -> None:
        raise torch.cuda.OutOfMemoryError("no memory left")

    monkeypatch.setattr(runtime.importlib, "import_module", exhausted)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        runtime.fused("warping.warp", torch.rand(1, 2, 3, 4), torch.rand(3, 2, 3, 4), Border.ZERO)
    assert runtime.triton_serves(CPU)


def test_what_fused_kernels_are_asked_for(broken_triton: None, monkeypatch: pytest.MonkeyPatch) -> None:
    single = torch.rand(2)
    assert runtime.fuses(single, single.half(), single > 0, None)
    assert not runtime.fuses(single, single.double())
    assert not runtime.fuses(single, torch.empty(2, device="meta"))
    assert not runtime.fuses(single.clone().requires_grad_())
    monkeypatch.setenv(runtime.SWITCH, "torch")
    assert not runtime.fuses(single)
    monkeypatch.delenv(runtime.SWITCH)
    monkeypatch.delenv("TRITON_INTERPRET")
    assert not runtime.fuses(single)  # on the CPU, nothing interprets


def test_torch_takes_over_scores_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.SWITCH, "torch")
    scores, candidates = torch.randn(27, 4, 5, 6).half(), candidate_displacements(1)
    best = best_displacement(scores, candidates, Ties.CENTRE)
    assert torch.equal(best, best_displacement(scores.float(), candidates, Ties.CENTRE))
    messages = entropy_filter(torch.rand(4, 5, 6), 0.1, 0.5, Border.REPLICATE, Smoothing.ADAPTIVE)
    assert torch.equal(messages.smooth_(scores.clone(), 2), messages.smooth_(scores.float(), 2))
