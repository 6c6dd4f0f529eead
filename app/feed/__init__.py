"""Drives the sources concurrently through the engine: pages of events, one event by its id."""

from app.feed.feed import Feed, FeedSettings
from app.feed.model import Asked, Page, SourceStatus, Start
from app.feed.parameters import PARAMETERS, parse_parameters

__all__ = ["PARAMETERS", "Asked", "Feed", "FeedSettings", "Page", "SourceStatus", "Start", "parse_parameters"]
