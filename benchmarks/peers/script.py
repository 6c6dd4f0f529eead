"""What one writes by hand: httpx and json, page after page, one flat record a line.

`script.py PROVIDER URL SINCE UNTIL OUT`."""

import json
import sys

import httpx


def taktikal(client, since, until):
    skip, take = 0, 1000
    while True:
        parameters = {"StartDate": since, "EndDate": until, "Take": take, "Skip": skip}
        processes = client.get("/api/signing/activity", params=parameters).raise_for_status().json()
        for process in processes:
            signees = {signee["signeeKey"]: signee for signee in process.get("signees", [])}
            for entry in process.get("activityLog", []):
                signee = signees.get(entry.get("signeeKey"), {})
                yield {**entry, "processStatus": process.get("status"), "processName": process.get("fileName"),
                       "signeeName": signee.get("name"), "signeeEmail": signee.get("email")}  # fmt: skip
        if len(processes) < take:
            return
        skip += take


def subnoto(client, since, until):
    for category in ("envelope", "team"):
        page = 1
        while page is not None:
            body = {"category": category, "page": page, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
            answer = client.post("/public/logs/list", json=body).raise_for_status().json()
            for record in answer["logs"]:
                author = record.pop("author") or {}
                yield {**record, "authorName": author.get("name"), "authorEmail": author.get("email")}
            page = answer["pagination"]["nextPage"]


if __name__ == "__main__":
    provider, url, since, until, out = sys.argv[1:]
    with httpx.Client(base_url=url, auth=("company", "key"), timeout=60) as client, open(out, "w") as file:
        for event in {"taktikal": taktikal, "subnoto": subnoto}[provider](client, since, until):
            file.write(json.dumps(event) + "\n")
