"""The programs that an export is compared with: `peers.py script|dlt PROVIDER URL SINCE UNTIL OUT`.

`script` is written by hand: httpx and json, page after page, one flat record a line of OUT. `dlt` follows the
documentation of that library, and writes JSON lines below the folder OUT. Neither orders or makes ids.
"""

import json
import os
import sys
from pathlib import Path


def flat_entries(processes):
    """The entries of signing processes, each with the members of its process and its signee."""
    for process in processes:
        signees = {signee["signeeKey"]: signee for signee in process.get("signees", [])}
        for entry in process.get("activityLog", []):
            signee = signees.get(entry.get("signeeKey"), {})
            yield {**entry, "processStatus": process.get("status"), "processName": process.get("fileName"),
                   "signeeName": signee.get("name"), "signeeEmail": signee.get("email")}  # fmt: skip


def script(provider, url, since, until):
    import httpx

    with httpx.Client(base_url=url, auth=("company", "key"), timeout=60) as client:
        if provider == "taktikal":
            skip, take = 0, 1000
            while skip % take == 0:
                parameters = {"StartDate": since, "EndDate": until, "Take": take, "Skip": skip}
                processes = client.get("/api/signing/activity", params=parameters).raise_for_status().json()
                yield from flat_entries(processes)
                skip += len(processes) or 1
            return
        for category in ("envelope", "team"):
            page = 1
            while page is not None:
                body = {"category": category, "page": page, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
                response = client.post("/public/logs/list", json=body).raise_for_status().json()
                for record in response["logs"]:
                    author = record.pop("author") or {}
                    yield {**record, "authorName": author.get("name"), "authorEmail": author.get("email")}
                page = response["pagination"]["nextPage"]


def dlt_events(provider, url, since, until):
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.auth import HttpBasicAuth
    from dlt.sources.helpers.rest_client.paginators import OffsetPaginator, PageNumberPaginator

    client = RESTClient(base_url=url, auth=HttpBasicAuth("company", "key"))
    if provider == "taktikal":
        pages = OffsetPaginator(limit=1000, limit_param="Take", offset_param="Skip", total_path=None)
        options = {"params": {"StartDate": since, "EndDate": until}, "paginator": pages, "data_selector": "$"}
        for page in client.paginate("/api/signing/activity", **options):
            yield list(flat_entries(page))
        return
    for category in ("envelope", "team"):
        body = {"category": category, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
        pages = PageNumberPaginator(base_page=1, page_body_path="page", total_path="pagination.totalPages")
        yield from client.paginate("/public/logs/list", method="POST", json=body, paginator=pages, data_selector="logs")


def run_dlt(events, folder):
    # Its defaults but for telemetry, and lines that are not compressed, as the others write them.
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    from dlt.destinations import filesystem

    destination = filesystem(bucket_url=(folder / "data").as_uri())
    pipeline = dlt.pipeline("bench", str(folder / "state"), destination=destination, dataset_name="audit")
    # `max_table_nesting=0`: one flat table.
    pipeline.run(dlt.resource(events, name="events", max_table_nesting=0), loader_file_format="jsonl")


if __name__ == "__main__":
    name, *arguments, out = sys.argv[1:]
    if name == "dlt":
        run_dlt(dlt_events(*arguments), Path(out).resolve())
    else:
        with open(out, "w") as file:
            file.writelines(json.dumps(event) + "\n" for event in script(*arguments))
