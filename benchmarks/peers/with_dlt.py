"""The same with dlt, as its documentation teaches it: its REST client and paginators, a resource, a pipeline that
writes JSON lines: files named `*.jsonl` in the folder OUT.dlt. `with_dlt.py PROVIDER URL SINCE UNTIL OUT`."""

import os
import sys
from pathlib import Path

# Its defaults otherwise: no telemetry, and lines that are not packed, as all others write them.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION"] = "true"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
from dlt.destinations import filesystem
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import HttpBasicAuth
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator, PageNumberPaginator


def flat_entries(processes):
    """The entries of a page of signing processes, each with what it needs of its process and its signee."""
    found = []
    for process in processes:
        signees = {signee["signeeKey"]: signee for signee in process.get("signees", [])}
        for entry in process.get("activityLog", []):
            signee = signees.get(entry.get("signeeKey"), {})
            found.append(
                entry
                | {
                    "processStatus": process.get("status"),
                    "processName": process.get("fileName"),
                    "signeeName": signee.get("name"),
                    "signeeEmail": signee.get("email"),
                }
            )
    return found


def taktikal(url, since, until):
    client = RESTClient(base_url=url, auth=HttpBasicAuth("company", "key"))
    pages = OffsetPaginator(limit=1000, limit_param="Take", offset_param="Skip", total_path=None)
    for page in client.paginate(
        "/api/signing/activity",
        params={"StartDate": since, "EndDate": until},
        paginator=pages,
        data_selector="$",
    ):
        yield flat_entries(page)


def subnoto(url, since, until):
    client = RESTClient(base_url=url)
    for category in ("envelope", "team"):
        body = {"category": category, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
        pages = PageNumberPaginator(base_page=1, page_body_path="page", total_path="pagination.totalPages")
        yield from client.paginate("/public/logs/list", method="POST", json=body, paginator=pages, data_selector="logs")


if __name__ == "__main__":
    provider, url, since, until, out = sys.argv[1:]
    folder = Path(f"{out}.dlt").resolve()
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=str(folder / "state"),
        destination=filesystem(bucket_url=(folder / "data").as_uri()),
        dataset_name="audit",
    )
    read = {"taktikal": taktikal, "subnoto": subnoto}[provider]
    # `max_table_nesting=0`: one flat table, as everybody else writes.
    events = dlt.resource(read(url, since, until), name="events", max_table_nesting=0)
    pipeline.run(events, loader_file_format="jsonl")
