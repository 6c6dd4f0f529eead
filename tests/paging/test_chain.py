"""`Chain` over logs from which rows are removed between two calls."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.paging.chain import Chain
from app.paging.log_end import LogMoved
from app.paging.rows import Response
from app.paging.steadiness import Steadiness
from tests.properties.logs import Row

SIZE = 10


@given(
    st.integers(0, 1 << 16),
    st.sampled_from([0, 0, 0.05, 0.2, 0.8]),
    st.sampled_from([0, 0, 1, 2, 5]),
    st.sampled_from([1, 2, 3, 10, 25, 200]),
    st.sampled_from([5, 25, 200, 300]),
    st.booleans(),
)
@example(96, 0, 0, 25, 300, False)  # a shift by more than the first page, which a later page repeats
@example(26, 0.05, 0, 1, 200, False)  # an equal row before the chain's first, and a removal
@example(94, 0, 0, 200, 200, False)  # a shift by more than the chain, and the log ends before it
def test_a_chain_is_a_contiguous_part_of_the_log_or_an_error(
    seed: int, twins: float, growth: int, most: int, count: int, anywhere: bool
) -> None:
    """`twins`: the probability that a row equals the previous one. Before each call up to `most` rows are removed, the
    oldest ones or `anywhere`."""
    rng = random.Random(seed)
    rows: list[Row] = []
    ever: Counter[int] = Counter()

    def append(number: int) -> None:
        for _ in range(number):
            value = rows[-1].number + (rng.random() >= twins) if rows else 1
            rows.append(Row(value, value))
            ever[value] += 1

    def read(chain: Chain[Row]) -> None:
        while (page := chain.page) is not None:
            if rng.randrange(3) == 0:
                for _ in range(min(len(rows) - 1, rng.randrange(most + 1))):
                    del rows[rng.randrange(len(rows)) if anywhere else 0]
            append(rng.randrange(growth + 1))
            chain.add(Response(page, rows[(page - 1) * chain.size : page * chain.size], len(rows)))
        numbers = [row.number for row in chain.rows]
        if anywhere:
            assert numbers == sorted(numbers)
            assert Counter(numbers) <= ever
            inside = Counter(row.number for row in rows if numbers and numbers[0] < row.number < numbers[-1])
            assert inside <= Counter(numbers)
        else:
            begin = chain.begin + chain.shift
            stretch = rows[begin : begin + len(numbers) - chain.shift]
            assert [row.number for row in stretch] == numbers[chain.shift :]

    append(count)
    first = rng.randrange(1, max(count // SIZE // 2, 2))
    chain: Chain[Row] = Chain(SIZE, first, first + rng.randrange(4))
    try:
        read(chain)
        for _ in range(2):
            low, high = chain.begin // SIZE, (chain.begin + len(chain.rows)) // SIZE + 1
            reaching = chain.reaching([max(1, rng.choice([low, low - 1, high, high + 1]))])
            assert reaching is not None
            chain = reaching
            read(chain)
    except LogMoved:
        is_last_removed = anywhere and chain.rows[-1] not in rows
        assert most > 1 or twins or count < 200 or is_last_removed


@pytest.mark.parametrize("behind", [[1, 3, 3, 1, 3, 1, 2, 1, 3, 2], [1, 3, 2, 1, 4, 5, 6, 7, 8, 9]])
def test_a_page_whose_last_rows_occur_at_several_positions_is_not_joined(behind: list[int]) -> None:
    """Otherwise the rows before and between the equal ones would count as removed."""
    chain: Chain[Row] = Chain(SIZE, 1, 2)
    chain.add(Response(2, [Row(number, number) for number in behind], 20))
    with pytest.raises(LogMoved):
        chain.add(Response(1, [Row(number, number) for number in (11, 12, 13, 14, 15, 16, 17, 3, 2, 1)], 20))


def test_a_page_that_repeats_rows_of_the_next_page_must_be_confirmed() -> None:
    """The next page is read first. If a row is removed in between, this page repeats one of its rows."""
    behind = [Row(number, number) for number in (4, 5, 6)]
    for page, unconfirmed in (([1, 2, 3], None), ([2, 3, 4], 2)):
        steadiness = Steadiness[Row](None)
        steadiness.add([Response(2, behind, 6)])
        steadiness.add([Response(1, [Row(number, number) for number in page], 6)])
        assert steadiness.page_to_confirm(1, 2) == unconfirmed
