"""The same with grove (hashicorp-forge/grove): a connector that saves page after page. grove always packs what it
writes: parts named `*.json.gz` in the folder OUT.grove. `with_grove.py PROVIDER URL SINCE UNTIL OUT`."""

import os
import sys
from pathlib import Path

import requests

provider, url, since, until, out = sys.argv[1:]
folder = Path(f"{out}.grove").resolve()
folder.mkdir(exist_ok=True)
os.environ["GROVE_OUTPUT_HANDLER"] = "local_file"
os.environ["GROVE_OUTPUT_LOCAL_FILE_PATH"] = str(folder)

from grove.connectors import BaseConnector  # noqa: E402
from grove.constants import CHRONOLOGICAL  # noqa: E402
from grove.models import ConnectorConfig, OutputStream  # noqa: E402


class Taktikal(BaseConnector):
    CONNECTOR = "taktikal"
    POINTER_PATH = "createdAt"
    LOG_ORDER = CHRONOLOGICAL

    def collect(self):
        self.pointer = since  # as grove's own connectors do on a first run
        session, skip, take = requests.Session(), 0, 1000
        session.auth = ("company", "key")
        while True:
            parameters = {"StartDate": since, "EndDate": until, "Take": take, "Skip": skip}
            answer = session.get(f"{url}/api/signing/activity", params=parameters, timeout=60)
            answer.raise_for_status()
            processes = answer.json()
            entries = []
            for process in processes:
                signees = {signee["signeeKey"]: signee for signee in process.get("signees", [])}
                for entry in process.get("activityLog", []):
                    signee = signees.get(entry.get("signeeKey"), {})
                    entries.append(
                        {
                            **entry,
                            "processStatus": process.get("status"),
                            "processName": process.get("fileName"),
                            "signeeName": signee.get("name"),
                            "signeeEmail": signee.get("email"),
                        }
                    )
            self.save(entries)
            if len(processes) < take:
                return
            skip += take


class Subnoto(BaseConnector):
    CONNECTOR = "subnoto"
    POINTER_PATH = "timestamp"
    LOG_ORDER = CHRONOLOGICAL

    def collect(self):
        self.pointer = since  # as grove's own connectors do on a first run
        session = requests.Session()
        for category in ("envelope", "team"):
            page = 1
            while page is not None:
                body = {"category": category, "page": page, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
                answer = session.post(f"{url}/public/logs/list", json=body, timeout=60)
                answer.raise_for_status()
                found = answer.json()
                self.save(found["logs"])
                page = found["pagination"]["nextPage"]


# Raw only: by default it writes everything twice, the second time processed.
config = ConnectorConfig(
    name="bench", identity="bench", connector=provider, key="key", outputs={"logs": OutputStream.raw}
)
{"taktikal": Taktikal, "subnoto": Subnoto}[provider](config, {"runtime": "bench"}).run()
