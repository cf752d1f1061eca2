"""A grammar laid out for the Triton kernels of `crf_kernels`, on one device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnaannot.dna.forward_backward_tables import build_model
from dnaannot.dna.grammar import Grammar


class Layout(NamedTuple):
    """A grammar as the kernels read it, on one device; see `crf_kernels` for the shapes.

    Attributes:
        edges_in, edges_out: (source or target, rule, pair), each (D, S), of the edges into and
            out of each state; the pair is P where there is no edge.
        label: (S,) int32.
        enter_gap, enter_rule, leave_gap: (S,) int32.
        jump, jump_source, jump_lane, jump_of_donor: (S,) int32.
        jump_pair: (J,) int64, of each jump; jump_donor, jump_target, jump_lanes likewise.
        lane_label, lane_pair: (N,) int64.
        begin_rule: (S,) int32.
        bases: bases that a jump advances.
        has_gaps: whether any edge needs a gap.
    """

    edges_in: tuple[Tensor, Tensor, Tensor]
    edges_out: tuple[Tensor, Tensor, Tensor]
    label: Tensor
    enter_gap: Tensor
    enter_rule: Tensor
    leave_gap: Tensor
    jump: Tensor
    jump_source: Tensor
    jump_lane: Tensor
    jump_of_donor: Tensor
    jump_pair: Tensor
    jump_donor: Tensor
    jump_target: Tensor
    jump_lanes: Tensor
    lane_label: Tensor
    lane_pair: Tensor
    begin_rule: Tensor
    bases: int
    has_gaps: bool

    @property
    def states(self) -> int:
        """S."""
        return len(self.label)

    @property
    def jumps(self) -> int:
        """J."""
        return len(self.jump_pair)


def _power_of_two(size: int, least: int) -> int:
    return max(least, 1 << (size - 1).bit_length())


_layouts: dict[tuple[int, torch.device], tuple[Grammar, Layout]] = {}


def layout_of(grammar: Grammar, device: torch.device) -> Layout:
    """The grammar's layout on a device, made once.

    Raises:
        ValueError: if a state has two jumps, or an edge at gaps does not touch state 0.
    """
    key = id(grammar), device
    if key not in _layouts:
        _layouts[key] = grammar, _layout(grammar, device)
    return _layouts[key][1]


def _layout(grammar: Grammar, device: torch.device) -> Layout:
    model = build_model(grammar, np.zeros(len(grammar.pairs)))
    states = _power_of_two(len(grammar.states), 16)
    at_gaps = model.pair == len(grammar.pairs)
    source, target = model.source.astype(int), model.target.astype(int)
    plain = np.flatnonzero(~at_gaps)
    donors, landings = model.jump_source.astype(int), model.jump_target.astype(int)
    if len(set(donors)) < len(donors) or len(set(landings)) < len(landings):
        raise ValueError("a state may begin one jump and end one jump")
    if (source[at_gaps] * target[at_gaps]).any():
        raise ValueError("the edges at gaps must touch state 0")

    def on_device(values: np.ndarray, dtype: type = np.int32) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype)).to(device)

    def rows(at: np.ndarray, other: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Edges by the state `at` one end, with the state at the `other`."""
        degree = _power_of_two(int(np.bincount(at[plain]).max()), 2)
        table = np.zeros((3, degree, states), np.int64)
        table[2] = len(grammar.pairs)
        filled = np.zeros(states, int)
        for edge in plain:
            table[:, filled[at[edge]], at[edge]] = other[edge], model.rule[edge], model.pair[edge]
            filled[at[edge]] += 1
        return on_device(table[0]), on_device(table[1]), on_device(table[2], np.int64)

    enter_gap, enter_rule, leave_gap = np.zeros((3, states), np.int64)
    for edge in np.flatnonzero(at_gaps):
        if source[edge] == 0:
            enter_gap[target[edge]] |= model.rule[edge]
            enter_rule[target[edge]] |= model.rule_too[edge]
        else:
            leave_gap[source[edge]] |= model.rule[edge]
    numbers = np.arange(len(donors))
    jump, jump_of_donor = np.full((2, states), -1)
    jump_source, jump_lane = np.zeros((2, states), int)
    jump[landings], jump_of_donor[donors] = numbers, numbers
    jump_source[landings], jump_lane[landings] = donors, model.jump_lane
    label = np.zeros(states, int)
    label[: len(grammar.states)] = model.label_of_state
    begin_rule = np.zeros(states, int)
    begin_rule[: len(grammar.states)] = grammar.begin_rule
    return Layout(
        edges_in=rows(target, source),
        edges_out=rows(source, target),
        label=on_device(label),
        enter_gap=on_device(enter_gap),
        enter_rule=on_device(enter_rule),
        leave_gap=on_device(leave_gap),
        jump=on_device(jump),
        jump_source=on_device(jump_source),
        jump_lane=on_device(jump_lane),
        jump_of_donor=on_device(jump_of_donor),
        jump_pair=on_device(model.jump_pair, np.int64),
        jump_donor=on_device(donors, np.int64),
        jump_target=on_device(landings, np.int64),
        jump_lanes=on_device(model.jump_lane, np.int64),
        lane_label=on_device(model.lane_label, np.int64),
        lane_pair=on_device(model.lane_pair, np.int64),
        begin_rule=on_device(begin_rule),
        bases=max(2, model.jump_bases),
        has_gaps=bool(at_gaps.any()),
    )
