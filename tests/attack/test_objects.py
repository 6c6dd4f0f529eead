"""An event's id and a cursor name things, and grant none of them (OWASP API1); an edited cursor names nothing."""

import random

import httpx

from tests.api.conftest import ALL
from tests.properties.test_cursors import GOOD, edited

EVERYTHING, NORTH_ONLY = {"X-API-Key": ALL}, {"X-API-Key": "limited"}


def test_what_another_key_was_given_opens_nothing(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        page = client.get("/events?source=south&limit=1", headers=EVERYTHING).json()
        event, cursor = page["data"][0]["id"], page["page"]["next_cursor"]
        for path, status in (
            (f"/events/{event}", 404),
            (f"/events?cursor={cursor}", 403),
            ("/events?source=south", 403),
            ("/events/count?source=south", 403),
        ):
            assert client.get(path, headers=EVERYTHING).status_code == 200, path
            refused = client.get(path, headers=NORTH_ONLY)
            assert refused.status_code == status, path
            assert event not in refused.text.replace(f"/events/{event}", "")


def test_a_key_does_not_find_out_which_other_sources_there_are(url: str) -> None:
    """One that there is and one that there is not are refused in the same words; who may read all is told apart."""
    told = []
    with httpx.Client(base_url=url, timeout=30) as client:
        for name in ("south", "nowhere"):
            for path in ("/events", "/events/count", "/events/export", "/events/stream"):
                refused = client.get(path, params={"source": name}, headers=NORTH_ONLY)
                assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (403, "source")
                told.append(refused.json()["detail"].replace(name, "NAME"))
        assert len(set(told)) == 1
        assert told[0].endswith("; there are north")
        assert client.get("/events?source=nowhere", headers=EVERYTHING).status_code == 422


def test_an_edited_cursor_is_a_problem(url: str) -> None:
    rng = random.Random(7)
    with httpx.Client(base_url=url, headers=EVERYTHING) as client:
        good = client.get("/events?limit=1").json()["page"]["next_cursor"]
        for _ in range(200):
            text = edited(rng, good, GOOD[0])
            if text == good:
                continue
            answer = client.get("/events", params={"cursor": text})
            assert answer.status_code == 400, text
            assert answer.json()["code"] == "invalid_cursor"
            assert [error["parameter"] for error in answer.json()["errors"]] == ["cursor"]
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/events", params={"cursor": good}).status_code == 200
