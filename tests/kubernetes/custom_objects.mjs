// Judge objects of other projects by the schemas of their npm packages: `node ... FOLDER <objects.json`.
// Prints a JSON list of problems. A key that no schema looks at is one: the packages let it pass.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "gateway.networking.k8s.io": "gateway-api", // of the standard channel
  "security.istio.io": "istio",
  "traefik.io": "traefik",
};

const modules = join(process.argv[2], "node_modules", "@kubernetes-models");
const problems = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${object.kind} ${object.metadata.name}`;
  const [group, version] = object.apiVersion.split("/");
  const file = join(modules, PACKAGES[group], group, version, `${object.kind}.js`);
  const kind = (await import(pathToFileURL(file)))[object.kind];
  const looked = new Map();
  try {
    kind.prototype.validate.call(watched(object, looked));
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
    continue;
  }
  unknown(object, name, looked);
}
process.stdout.write(JSON.stringify(problems));

function watched(value, looked) {
  if (value === null || typeof value !== "object") return value;
  looked.set(value, looked.get(value) ?? new Set());
  return new Proxy(value, {
    get(target, key) {
      looked.get(target).add(String(key));
      return watched(Reflect.get(target, key), looked);
    },
  });
}

function unknown(value, path, looked) {
  if (value === null || typeof value !== "object" || !looked.has(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    const at = `${path}.${key}`;
    if (looked.get(value).has(key)) unknown(inner, at, looked);
    else problems.push(`${at}: no such key`);
  }
}
