// restify, whose router cuts a path at a semicolon.
"use strict";
const { ran, run, routes, port } = require("./handlers.js");
const restify = require("restify");

const app = restify.createServer();
const verbs = { GET: "get", POST: "post", PUT: "put", DELETE: "del", PATCH: "patch" };
for (const [path, name, methods] of routes(":item", "*")) {
  for (const method of methods) {
    app[verbs[method]](path, (request, response, next) => {
      response.header("X-Ran", run(name));
      response.send("ok");
      next();
    });
    if (method === "GET") {
      app.head(path, (request, response, next) => {
        response.header("X-Ran", run(name));
        response.send(200);
        next();
      });
    }
  }
}
app.get("/ran", (request, response, next) => {
  response.send(ran);
  next();
});
app.listen(port, "127.0.0.1");
