// Holds Istio's resources against the validators that @kubernetes-models/istio makes of Istio's own definitions: types, values,
// what is required. The definitions allow fields that they do not know; here these are errors. Which ones a validator knows is seen
// by what it looks at.
//
// Arguments: the folder node_modules. Standard input: resources as a JSON list. Standard output: an error a line.
import { readFileSync, existsSync } from "node:fs";
import { pathToFileURL } from "node:url";

const modules = process.argv.at(-1);
const seen = new Map();

function watched(value, path) {
  if (value === null || typeof value !== "object") return value;
  seen.set(path, { value, keys: new Set() });
  const inside = new Map();
  return new Proxy(value, {
    get(target, key) {
      if (typeof key === "symbol" || (Array.isArray(target) && !/^\d+$/.test(key))) return Reflect.get(target, key);
      seen.get(path).keys.add(key);
      if (!inside.has(key)) inside.set(key, watched(target[key], `${path}.${key}`));
      return inside.get(key);
    },
  });
}

for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const [group, version] = resource.apiVersion.split("/");
  const file = `${modules}/@kubernetes-models/istio/${group}/${version}/${resource.kind}.js`;
  const name = `${resource.kind} ${resource.metadata?.name}`;
  if (!existsSync(file)) {
    console.log(`${name}: there is no ${resource.kind} in ${resource.apiVersion}`);
    continue;
  }
  const Model = (await import(pathToFileURL(file)))[resource.kind];
  try {
    new Model(resource).validate();
    const schema = `${modules}/@kubernetes-models/istio/_schemas/${schemaOf(group, version, resource.kind)}.js`;
    const { validate } = await import(pathToFileURL(schema));
    seen.clear();
    validate(watched(resource.spec === undefined ? {} : resource, ""));
    for (const [path, { value, keys }] of seen) {
      // What nothing looked into may hold anything.
      if (!path.startsWith(".spec") || keys.size === 0 || Array.isArray(value)) continue;
      for (const key of Object.keys(value)) if (!keys.has(key)) console.log(`${name}: unknown field ${path}.${key}`);
    }
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}

function schemaOf(group, version, kind) {
  const words = [...group.split("."), version].map((word) => word[0].toUpperCase() + word.slice(1));
  return words.join("") + kind;
}
