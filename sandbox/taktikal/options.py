"""The switches of the Taktikal emulator, one for each question that the vendor's documents leave open."""

from dataclasses import dataclass
from typing import Literal

from sandbox.history import HistoryOptions


@dataclass(frozen=True, slots=True)
class EmulatorOptions(HistoryOptions):
    """Shape and behaviour of a company's account. The defaults are the likeliest reading of the documents.

    History: `lag_seconds`: delay between an entry's `createdAt` and its visibility.

    Key: `company_key`, `api_key`.

    Shape: `generation` (`older`: entries without `id`, wrapper without `status` and `fileName`); `entry_ids`:
    counted in each process, in the whole company, or absent (`none`); `letter_case` of all names;
    `created_precision` of stored times: ticks of 100 ns, whole milliseconds or seconds; `dates`: format of
    `createdAt` (`asp_net` has milliseconds, `rfc_1123` seconds); `split_items`: a process with more than one entry is
    two items, each with half of its log, and `Take`, `Skip` and the total count processes (`by_process`) or items
    (`by_item`); `tied_entries`: whether the order of entries of one tick changes with every call.

    Behaviour: `range_selects` processes with any entry in the range (`activity`), created in it, or whose newest entry
    is in it (`last_update`); `wrong_times`: the server has year 1, 1970 or 2099 as the creation and last update of
    every tenth process; `year_one`: whether it accepts dates before 1753; `logs` come `whole` or `trimmed` to the
    range; `order` of the array by creation, `shuffled_stable` (random, but equal in every call) or `shuffled`
    (different in every call); `end_inclusive`, `start_exclusive`; `query_precision`: precision to which the range's
    ends are truncated; `max_take`: the largest `Take`; a larger one is silently `cut`, `refused`, `refused_unnamed` (by
    an error without a parameter), `fails` by a 500, or is replaced by half of the largest, a `default` (`take_beyond`);
    `max_skip`: the largest `Skip`; after a larger one the response is `empty`, or begins with the `first` item
    (`skip_beyond`); a `Skip` of all items (`beyond_the_end`) returns an `empty` response, is `refused` by a 404, or
    `fails` by a 500; `max_bytes` of a response's items, at least one item; `key_dates`: whether dates apply together
    with a `ProcessKey`; `key_case`: whether a `ProcessKey` in another letter case, or with trailing blanks, is
    different (SQL Server's default collation ignores both).

    Totals: `sent` or `absent` (404); `total_lag_seconds` after the list; `total_offset` added to every total other than
    0, with a minimum of 0; `total_cap`: the largest.

    Calls: `calls` of the current generation, or of the older one without `/total`.
    """

    lag_seconds: float = 1.0

    company_key: str = "sandbox-company"
    api_key: str = "sandbox-api-key"

    generation: Literal["current", "older"] = "current"
    entry_ids: Literal["per_process", "company", "none"] = "per_process"
    letter_case: Literal["camel", "pascal"] = "camel"
    created_precision: Literal["ticks", "milliseconds", "seconds"] = "ticks"
    dates: Literal["iso", "asp_net", "rfc_1123"] = "iso"
    split_items: Literal["no", "by_process", "by_item"] = "no"
    tied_entries: Literal["stable", "shuffled"] = "stable"

    range_selects: Literal["activity", "creation", "last_update"] = "activity"
    wrong_times: Literal["no", "year_one", "epoch", "future"] = "no"
    year_one: Literal["accepted", "refused"] = "accepted"
    logs: Literal["whole", "trimmed"] = "whole"
    order: Literal["newest", "oldest", "shuffled_stable", "shuffled"] = "newest"
    end_inclusive: bool = False
    start_exclusive: bool = False
    query_precision: Literal["ticks", "seconds", "minutes", "days"] = "ticks"
    max_take: int | None = None
    take_beyond: Literal["cut", "refused", "refused_unnamed", "fails", "default"] = "cut"
    max_skip: int | None = None
    skip_beyond: Literal["empty", "first"] = "empty"
    beyond_the_end: Literal["empty", "refused", "fails"] = "empty"
    max_bytes: int | None = None
    key_dates: Literal["honoured", "ignored"] = "honoured"
    key_case: Literal["honoured", "ignored"] = "ignored"

    totals: Literal["sent", "absent"] = "sent"
    total_lag_seconds: float = 0.0
    total_offset: int = 0
    total_cap: int | None = None

    calls: Literal["current", "older"] = "current"
