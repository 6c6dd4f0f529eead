"""Merge the sources into pages of events; find one event by its id."""

from app.feed.call import FeedSettings
from app.feed.model import Page, SourceStatus
from app.feed.planner import WalkStart
from app.feed.service import Feed

__all__ = ["Feed", "FeedSettings", "Page", "SourceStatus", "WalkStart"]
