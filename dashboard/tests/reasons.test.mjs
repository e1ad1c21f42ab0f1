// Every reason that the core gives has a text on the page, and every outcome a name.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** The labels of an enum's `as_str`, as the core has them. */
function labels(path, type) {
  const from = read(path).split(`impl ${type} {`)[1] ?? "";
  const body = from.slice(0, from.indexOf("\n}\n"));
  const found = [...body.matchAll(/Self::\w+ => "([^"]+)"/g)].map(([, label]) => label);
  assert.ok(found.length > 5, `${type} has labels`);
  return found.sort();
}

/** The names that stand before a colon in an object of a source. */
function keys(source, name) {
  const body = source.split(`const ${name}: Record<string, Reason> = {`)[1].split("\n};")[0];
  return [...body.matchAll(/^ {2}"?([\w-]+)"?: \{/gm)].map(([, key]) => key).sort();
}

test("every reason has a text", () => {
  const source = readFileSync(new URL("../src/reasons.ts", import.meta.url), "utf8");
  assert.deepEqual(keys(source, "NOT_STORED"), labels("core/src/decide/store.rs", "NotStored"));
  assert.deepEqual(keys(source, "BYPASS"), labels("core/src/decide/admit.rs", "Bypass"));
});

test("every outcome has a name", () => {
  const source = readFileSync(new URL("../src/outcomes.ts", import.meta.url), "utf8");
  const names = [...source.matchAll(/\{ name: "(\w+)"/g)].map(([, name]) => name).sort();
  assert.deepEqual(names, labels("core/src/tally/mod.rs", "Outcome"));
});
