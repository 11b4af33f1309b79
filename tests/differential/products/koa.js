// Koa with @koa/router.
"use strict";
const { ran, run, routes, port } = require("./handlers.js");
const Koa = require("koa");
const { Router } = require("@koa/router");

const app = new Koa();
const router = new Router();
app.silent = true;
for (const [path, name, methods] of routes(":item", "{*rest}")) {
  router.register(path, methods, (context) => {
    context.set("X-Ran", run(name));
    context.body = "ok";
  });
}
router.get("/ran", (context) => {
  context.body = ran;
});
app.use(router.routes());
app.listen(port, "127.0.0.1");
