// hapi.
"use strict";
const { ran, run, routes, port } = require("./handlers.js");
const Hapi = require("@hapi/hapi");

const server = Hapi.server({ port, host: "127.0.0.1" });
for (const [path, name, methods] of routes("{item}", "{rest*}")) {
  for (const method of methods) {
    if (path === "/free" ) continue; // `/free/{rest*}` takes it too
    server.route({
      method,
      path,
      handler: (request, h) => h.response("ok").header("X-Ran", run(name)),
      ...(method === "GET" ? {} : { options: { payload: { parse: false } } }),
    });
  }
}
server.route({ method: "GET", path: "/ran", handler: () => ran });
server.start();
