import { setup } from "../ui/setup.js";

const place = new URL("openapi.json", document.baseURI).href;

// The document has the paths at the root, which is right for the file by itself. Behind a proxy that has the gateway
// under a path, only the page has their place.
function withServer(answer) {
  if (answer.url === place && answer.ok) {
    const spec = JSON.parse(answer.text);
    spec.servers = [{ url: new URL(".", place).href }];
    answer.text = JSON.stringify(spec);
  }
  return answer;
}

window.ui = SwaggerUIBundle({
  url: place,
  responseInterceptor: withServer,
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
  onComplete() {
    if (setup.knownKey) { window.ui.preauthorizeApiKey("bearer", setup.knownKey); }
  },
});
