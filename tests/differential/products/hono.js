// Hono on Node.
"use strict";
const { ran, run, routes, port } = require("./handlers.js");
const { Hono } = require("hono");
const { serve } = require("@hono/node-server");

const app = new Hono();
for (const [path, name, methods] of routes(":item", "*")) {
  app.on(methods, path, (context) => context.text("ok", 200, { "X-Ran": run(name) }));
}
app.get("/ran", (context) => context.json(ran));
serve({ fetch: app.fetch, port, hostname: "127.0.0.1" });
