// What the handlers of every product do: count themselves and say in a field which one ran.
"use strict";

const ran = {};

function run(name) {
  ran[name] = (ran[name] || 0) + 1;
  return name;
}

const EVERY = ["GET", "POST", "PUT", "DELETE", "PATCH"];

/* Routes with a parameter and a wildcard as each router writes them: [path, name, methods]. */
function routes(parameter, wildcard) {
  return [
    ["/api/paid", "paid", EVERY],
    [`/api/items/${parameter}`, "item", EVERY],
    ["/api/admin", "admin", EVERY],
    [`/api/secret/${wildcard}`, "secret", EVERY],
    ["/api/doc", "doc_put", ["PUT"]],
    ["/api/doc", "doc_post", ["POST"]],
    ["/api/get", "get", ["GET"]],
    ["/api/get", "get_post", ["POST"]],
    ["/free", "free", EVERY],
    [`/free/${wildcard}`, "free", EVERY],
  ];
}

module.exports = { ran, run, routes, EVERY, port: Number(process.argv[2]) };
