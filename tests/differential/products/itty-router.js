// itty-router on Node's server, which gives it `new URL(request.url, base)`.
"use strict";
const http = require("node:http");
const { ran, run, routes, port } = require("./handlers.js");
const { Router } = require("itty-router");

const router = Router();
for (const [path, name, methods] of routes(":item", "*")) {
  for (const method of methods) {
    router[method.toLowerCase()](path, () => ({ name: run(name) }));
  }
}
router.get("/ran", () => ({ body: JSON.stringify(ran) }));
http.createServer(async (request, response) => {
  try {
    const url = new URL(request.url, "http://localhost").href;
    const method = request.method === "HEAD" ? "GET" : request.method;
    const found = await router.fetch({ method, url });
    if (!found) return response.writeHead(404).end();
    if (found.name) response.setHeader("X-Ran", found.name);
    response.end(found.body || "ok");
  } catch {
    response.writeHead(400).end();
  }
}).listen(port, "127.0.0.1");
