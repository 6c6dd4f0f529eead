"""What comes, into a folder for each batch: follow.py URL FOLDER --since 2026-01-01 [--idle 60].

Stopped at any moment, it goes on where it was when it is started again with the same folder: the checkpoint in it holds
the gateway's cursors, and a batch that was not finished is written again, whole, into the same place.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from local import session
from pyspark.sql import DataFrame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--since", required=True)
    parser.add_argument("--batch", default="10000", help="events in one batch at most")
    parser.add_argument("--idle", type=float, help="end when nothing has come for so many seconds")
    given = parser.parse_args()
    folder: Path = given.folder
    latest = time.monotonic()

    def write(batch: DataFrame, number: int) -> None:
        nonlocal latest
        batch.write.mode("overwrite").parquet(str(folder / f"batch={number}"))
        latest = time.monotonic()

    spark = session("audit events as they come")
    options = {"url": given.url, "since": given.since, "batch": given.batch}
    query = (
        spark.readStream.format("audit_events")
        .options(**options)
        .load()
        .writeStream.foreachBatch(write)
        .option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(processingTime="1 second")
        .start()
    )
    try:
        while not query.awaitTermination(timeout=1):
            if query.lastProgress is None:
                latest = time.monotonic()  # it has only just begun
            if given.idle is not None and time.monotonic() - latest > given.idle:
                query.stop()
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
