"""A window of events into a Parquet folder: to_parquet.py URL FOLDER --since 2026-01-01 [--until …]."""

from __future__ import annotations

import argparse

from local import session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder")
    parser.add_argument("--since", required=True)
    parser.add_argument("--until")
    parser.add_argument("--partitions", default="8")
    parser.add_argument("--explain", action="store_true", help="print Spark's plans, too")
    given = parser.parse_args()
    options = {"url": given.url, "since": given.since, "partitions": given.partitions}
    if given.until:
        options["until"] = given.until
    spark = session("audit events to Parquet")
    try:
        events = spark.read.format("audit_events").options(**options).load()
        if given.explain:
            events.where("type = 'envelope.completed'").explain(extended=True)
        events.write.mode("overwrite").parquet(given.folder)
        by_type = spark.read.parquet(given.folder).groupBy("source", "type").count()
        by_type.orderBy("source", "type").show(100, truncate=False)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
