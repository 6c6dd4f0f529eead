"""The switches of the Subnoto emulator, one for each question that the vendor's documents leave open."""

from dataclasses import dataclass
from typing import Literal

from sandbox.history import HistoryOptions

DEFAULT_SECRET = "5a" * 32  # the vendor's SDK expects hexadecimal digits


@dataclass(frozen=True, slots=True)
class EmulatorOptions(HistoryOptions):
    """Shape and behaviour of the account. The defaults are the vendor's present API, as its SDK expects it.

    History: `skew_seconds`: `timestamp` runs back against insertion by up to this.

    Key: `access_key`, `secret_key`, `permissions` (readable categories), `team_name`.

    Shape: `totals` and `author` choose the generation (tutorial page: `totalCount`, `id`; reference page and
    SDK: `pagination`, `uuid`); `unit` of `timestamp`. `seconds` are whole, `float_seconds` have a fraction.

    Behaviour: `ties`, the order of records of equal timestamp under `sortBy: timestamp`: by `id` in the
    direction of the sort, in `reverse`, or `shuffled` in every call; `newer_types`: whether types of only the
    newer documents occur and are accepted; `max_limit`: largest number of rows for any `limit`;
    `beyond_the_end`: a page after the last one is `empty`, the `last` one again, or `refused`.

    Defects: `wrong_time` of the record number `wrong_time_at` of each category (negative: from the newest): ten
    minutes `ahead`, in the `future` (2099), at the `epoch`, or two hours `old`; every `removed_every` calls for a
    category's list its `removed` oldest records are deleted, and in a `ring` as many new ones are added; totals with
    an error of `total_offset`, or one that changes from call to call by up to `total_jitter`, of the records up to the
    page's end and the next one (`total_of_page`), or at most `total_cap`; a `Date` header `date_ahead_seconds` in the
    future.
    """

    skew_seconds: float = 2.0

    access_key: str = "sandbox-access-key"
    secret_key: str = DEFAULT_SECRET
    permissions: frozenset[str] = frozenset({"envelope", "team"})
    reads_envelopes: bool = True  #: whether the key may call `/public/envelope/get`
    team_name: str = "Sandbox Team"

    totals: Literal["pagination", "totalCount", "both"] = "pagination"
    author: Literal["uuid", "id"] = "uuid"
    unit: Literal["milliseconds", "seconds", "float_seconds"] = "milliseconds"

    ties: Literal["id", "reverse", "shuffled"] = "id"
    newer_types: bool = True
    max_limit: int = 50
    beyond_the_end: Literal["empty", "last", "refused"] = "empty"

    wrong_time: Literal["none", "ahead", "future", "epoch", "old"] = "none"
    wrong_time_at: int = -16
    removed: int = 1
    removed_every: int = 0
    ring: bool = False
    total_offset: int = 0
    total_jitter: int = 0
    total_of_page: bool = False
    total_cap: int | None = None
    date_ahead_seconds: float = 0.0
