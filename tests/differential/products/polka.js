// Polka.
"use strict";
const { ran, run, routes, port } = require("./handlers.js");
const app = require("polka")({ onError: (error, request, response) => response.writeHead(500).end() });

for (const [path, name, methods] of routes(":item", "*")) {
  for (const method of methods) {
    app.add(method, path, (request, response) => {
      response.setHeader("X-Ran", run(name));
      response.end("ok");
    });
  }
}
app.get("/ran", (request, response) => response.end(JSON.stringify(ran)));
app.listen(port, "127.0.0.1");
