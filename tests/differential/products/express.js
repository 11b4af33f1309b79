// Express 4 or 5 (the second argument), with method-override where "override" is the third.
"use strict";
const { ran, run, routes, port } = require("./handlers.js");
const version = process.argv[3];
const express = require(`express${version}`);

const app = express();
if (process.argv[4] === "override") {
  const override = require("method-override");
  app.use(override("X-HTTP-Method-Override"));
  app.use(override("X-HTTP-Method"));
  app.use(override("X-Method-Override"));
}
for (const [path, name, methods] of routes(":item", version === "4" ? "*" : "*rest")) {
  for (const method of methods) {
    app[method.toLowerCase()](path, (request, response) => response.set("X-Ran", run(name)).send("ok"));
  }
}
app.get("/ran", (request, response) => response.json(ran));
app.use((error, request, response, next) => response.status(error.status || 500).end());
app.listen(port, "127.0.0.1");
