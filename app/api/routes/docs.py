"""`GET /docs`: Swagger UI from files that ship with `fastapi-swagger`, and a style and a script of our own. Nothing is
fetched from elsewhere."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from app.api.api_keys import SANDBOX_KEY
from app.api.openapi import TITLE
from app.api.routing import READ, new_router

router = new_router(include_in_schema=False)

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
    "page.css": "text/css; charset=utf-8",
}

# The page's own script is a file of its own, so that the policy can forbid every inline script and every
# other host.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# Relative addresses: the page works under whatever path a proxy puts it.
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
</head>
<body>
<nav aria-label="Elsewhere"><a href="ui">Audit trail</a> <a href="openapi.json">OpenAPI document</a></nav>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_STYLE = b"""\
body { margin: 0; }
nav { display: flex; justify-content: flex-end; gap: 1.5rem; max-width: 1460px; margin: 0 auto; padding: 1rem 20px 0;
  font: 1rem/1.5 system-ui, sans-serif; }
nav a { color: #24568f; }
/* One example of an error (422) an operation: an invented body for each status would fill ten screens. */
.response:not([data-code^="2"], [data-code="422"]) :is(.response-controls, .model-example, .headers-wrapper) {
  display: none; }
"""

# The document has the paths at the root, which is right for the file by itself. Behind a proxy that has the gateway
# under a path, only the page has their place.
_START = """const place = new URL("openapi.json", document.baseURI).href;

function hung(answer) {
  if (answer.url === place && answer.ok) {
    const spec = JSON.parse(answer.text);
    spec.servers = [{ url: new URL(".", place).href }];
    answer.text = JSON.stringify(spec);
  }
  return answer;
}

window.ui = SwaggerUIBundle({
  url: place,
  responseInterceptor: hung,
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: false,
  filter: false,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  onComplete: function () {
    const key = %s;
    if (key) { window.ui.preauthorizeApiKey("bearer", key); }
  }
});
"""


@router.api_route("/docs", methods=READ)
async def swagger_ui(request: Request) -> Response:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


@router.api_route("/docs/start.js", methods=READ)
async def swagger_ui_start(request: Request) -> Response:
    # Only the sandbox's key is ever filled in: it is public, and opens invented data.
    key = SANDBOX_KEY if request.app.state.sandbox else ""
    return Response(
        _START % json.dumps(key),
        media_type="text/javascript; charset=utf-8",
        headers={"Cache-Control": "no-cache"},
    )


@router.api_route("/docs/{name}", methods=READ)
async def swagger_ui_file(name: str) -> Response:
    if name not in _ASSETS:
        raise HTTPException(404)
    return Response(_asset(name), media_type=_ASSETS[name], headers={"Cache-Control": "max-age=86400"})


@cache
def _asset(name: str) -> bytes:
    return _STYLE if name == "page.css" else (resources.files("fastapi_swagger.resources") / name).read_bytes()
