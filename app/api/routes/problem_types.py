"""`GET /problems/{code}`: the page behind the `type` of a problem."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import Path
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from app.api.problems import PROBLEMS
from app.api.routing import READ, new_router

router = new_router(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{code}</title></head>
<body><h1>{title}</h1><p>Status {status}, code <code>{code}</code>.</p>
<p>The member <code>detail</code> of the problem describes the case and the remedy; <code>errors</code> names the
parameters at fault and <code>sources</code> the sources that failed. Quote <code>request_id</code> to the gateway's
operator, whose log has more.</p></body></html>
"""


@router.api_route("/problems/{code}", methods=READ)
async def problem_type(code: Annotated[str, Path()]) -> Response:
    if code not in PROBLEMS:
        raise HTTPException(404)
    status, title = PROBLEMS[code]
    page = _PAGE.format(code=escape(code), title=escape(title), status=status)
    return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-cache"})
