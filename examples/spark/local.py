"""A small local Spark, for the examples beside this file. A cluster brings its own session."""

from __future__ import annotations

import os
import sys

from audit_events import register
from pyspark.sql import SparkSession


def session(name: str) -> SparkSession:
    """Two tasks at a time, nothing that listens outside of this machine, the data source registered."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else the tasks run on whatever `python3` is
    spark = (
        SparkSession.builder.appName(name)
        .master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # starts sooner
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    register(spark)
    return spark
