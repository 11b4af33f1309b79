// find-my-way alone, on Node's server; options of the router as JSON.
"use strict";
const http = require("node:http");
const { ran, run, routes, port } = require("./handlers.js");
const router = require("find-my-way")({
  ...JSON.parse(process.argv[3] || "{}"),
  defaultRoute: (request, response) => response.writeHead(404).end(),
  onBadUrl: (path, request, response) => response.writeHead(400).end(),
});

for (const [path, name, methods] of routes(":item", "*")) {
  router.on(methods, path, (request, response) => {
    response.setHeader("X-Ran", run(name));
    response.end("ok");
  });
}
router.on("GET", "/ran", (request, response) => response.end(JSON.stringify(ran)));
http.createServer((request, response) => router.lookup(request, response)).listen(port, "127.0.0.1");
