// What tests of the page have in common: a node for each, what workers report to it, and waiting.

import assert from "node:assert/strict";
import { keys, rows } from "./load.mjs";
import { larder, Node, PATIENCE_MS } from "./node.mjs";

/** Starts a node, does something with it, and ends it. */
export async function withNode(options, use) {
  const node = await Node.start(...options);
  try {
    await use(node);
  } finally {
    await node.stop();
  }
}

/** Closes a page on which nothing went wrong, and which asked nobody but the node. */
export async function closed(page, node, allowed = []) {
  const errors = page.errors.filter((error) => !allowed.some((known) => known.test(error)));
  assert.deepEqual(errors, []);
  assert.deepEqual([...page.asked], [node.admin]);
  await page.context().close();
}

export async function reported(node, rounds) {
  for (let round = 0; round < rounds; round += 1) {
    // Two workers, whose numbers are added up.
    const all = rows();
    await node.report("worker-1", all.filter((_, index) => index % 2 === 0), [["larder_l1_bytes", 3 << 20], ["larder_l1_keys", 40]], keys());
    await node.report("worker-2", all.filter((_, index) => index % 2 === 1), [["larder_l1_bytes", 1 << 20], ["larder_l1_keys", 2]]);
  }
}

export async function token(name, scope) {
  const said = await larder("node", "token", "--name", name, "--scope", scope, "--json");
  const { token, line, ...listed } = JSON.parse(said);
  return { token, line: JSON.stringify(line ?? listed) };
}

export async function until(holds) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, "not in time");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
