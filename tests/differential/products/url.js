// A router written by hand on Node's server: `new URL(request.url, base)` and a table of paths.
// The second argument: "url", "decoded" (the path decoded before it is looked up), or "parse" (url.parse).
"use strict";
const http = require("node:http");
const legacy = require("node:url");
const { ran, run, EVERY, port } = require("./handlers.js");
const kind = process.argv[3];

function pathname(request) {
  if (kind === "parse") return legacy.parse(request.url).pathname || "/";
  const path = new URL(request.url, "http://localhost").pathname;
  return kind === "decoded" ? decodeURIComponent(path) : path;
}

function handler(method, path) {
  if (path === "/ran") return "ran";
  if (!EVERY.includes(method)) return null;
  if (path === "/api/paid") return "paid";
  if (/^\/api\/items\/[^/]+$/.test(path)) return "item";
  if (path === "/api/admin") return "admin";
  if (path.startsWith("/api/secret/")) return "secret";
  if (path === "/api/doc") return { PUT: "doc_put", POST: "doc_post" }[method];
  if (path === "/api/get") return { GET: "get", POST: "get_post" }[method];
  if (path === "/free" || path.startsWith("/free/")) return "free";
  return null;
}

http.createServer((request, response) => {
  let name = null;
  try {
    name = handler(request.method === "HEAD" ? "GET" : request.method, pathname(request));
  } catch {
    return response.writeHead(400).end();
  }
  if (!name) return response.writeHead(404).end();
  if (name === "ran") return response.end(JSON.stringify(ran));
  response.setHeader("X-Ran", run(name));
  response.end("ok");
}).listen(port, "127.0.0.1");
