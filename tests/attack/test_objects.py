"""The id of an event and a cursor grant no access (OWASP API1)."""

import httpx

from tests.api.conftest import ALL

EVERYTHING, NORTH_ONLY = {"X-API-Key": ALL}, {"X-API-Key": "limited"}


def test_ids_and_cursors_of_another_key_are_refused(url: str) -> None:
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


def test_a_key_cannot_detect_other_sources(url: str) -> None:
    """Existing and unknown sources are refused with the same text, except to a key for all sources."""
    details = []
    with httpx.Client(base_url=url, timeout=30) as client:
        for name in ("south", "nowhere"):
            for path in ("/events", "/events/count", "/events/export", "/events/stream"):
                refused = client.get(path, params={"source": name}, headers=NORTH_ONLY)
                assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (403, "source")
                details.append(refused.json()["detail"].replace(name, "NAME"))
        assert len(set(details)) == 1
        assert details[0].endswith("; there are north")
        assert client.get("/events?source=nowhere", headers=EVERYTHING).status_code == 422
