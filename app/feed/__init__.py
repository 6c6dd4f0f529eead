"""Drives the sources concurrently through the engine: pages of events, one event by its id."""

from app.feed.model import Asked, Page, SourceStatus, WalkStart
from app.feed.parameters import PARAMETERS, parse_parameters
from app.feed.service import Feed, FeedSettings

__all__ = ["PARAMETERS", "Asked", "Feed", "FeedSettings", "Page", "SourceStatus", "WalkStart", "parse_parameters"]
