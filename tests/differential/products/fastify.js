// Fastify 4 or 5 (the second argument), with options of its router as JSON.
"use strict";
const { ran, run, routes, port } = require("./handlers.js");
const app = require(`fastify${process.argv[3]}`)(JSON.parse(process.argv[4] || "{}"));

for (const [url, name, method] of routes(":item", "*")) {
  app.route({ method, url, handler: (request, reply) => reply.header("X-Ran", run(name)).send("ok") });
}
app.get("/ran", (request, reply) => reply.send(ran));
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", (request, payload, done) => done(null));
app.listen({ port, host: "127.0.0.1" });
