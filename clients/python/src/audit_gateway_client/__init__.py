"""Typed client of the unified audit gateway.

from audit_gateway_client import Client

with Client("http://127.0.0.1:8000", "sandbox") as client:
    for event in client.events(type="recipient.*", since="P7D"):
        print(event.occurred_at, event.type)
"""

from audit_gateway_client.client import AsyncClient, AsyncEventWalk, Client, EventWalk
from audit_gateway_client.models import Event, EventPage, Problem, Totals
from audit_gateway_client.protocol import Filters, GatewayError, RetryPolicy

__all__ = ["AsyncClient", "AsyncEventWalk", "Client", "EventWalk", "Filters", "GatewayError", "RetryPolicy"]
__all__ += ["Event", "EventPage", "Problem", "Totals"]
