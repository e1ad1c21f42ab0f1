// Envoy with the module, as envoy/cluster.yaml has it: what really reports to a node, takes up pushed policies and evaluates shadows.
//
// LARDER_ENVOY is Envoy's binary (`cargo xtask setup` brings one), LARDER_WASM the module (`cargo xtask build`).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PATIENCE_MS } from "./node.mjs";

const root = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const WASM = process.env.LARDER_WASM ?? root("target/larder.wasm");

/** A port that was free just now. Envoy and a node are each to know where the other one is before they start. */
export async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Envoy that runs. */
export class Envoy {
  /** Listens at `port`, before an origin and with one node, with this policy as its own. */
  static async start({ folder, port, origin, node, policy }) {
    const binary = process.env.LARDER_ENVOY;
    if (binary === undefined || !existsSync(WASM)) {
      throw new Error("set LARDER_ENVOY, and build the module: cargo xtask build");
    }
    const at = (url) => Number(new URL(url).port);
    const values = {
      LARDER_WASM: WASM,
      LISTEN_PORT: port,
      ADMIN_PORT: await freePort(),
      ORIGIN_PORT: at(origin),
      NODES: `{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${at(node.data)} } } } }`,
      POLICY: JSON.stringify(policy),
    };
    const written = readFileSync(root("envoy/cluster.yaml"), "utf8").replaceAll(/^ *#.*$/gm, "").replaceAll(/\$\{(\w+)\}/g, (_, name) => values[name]);
    const config = join(folder, "envoy.yaml");
    writeFileSync(config, written);
    const envoy = new Envoy();
    envoy.url = `http://127.0.0.1:${port}`;
    envoy.process = spawn(binary, ["--config-path", config, "--use-dynamic-base-id", "--concurrency", "2", "--log-level", "warn"], { stdio: ["ignore", "ignore", "inherit"] });
    const ready = `http://127.0.0.1:${values.ADMIN_PORT}/ready`;
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await fetch(ready).then((response) => response.ok, () => false))) {
      if (Date.now() > deadline || envoy.process.exitCode !== null) {
        envoy.process.kill();
        throw new Error("Envoy did not start");
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return envoy;
  }

  async stop() {
    const ended = once(this.process, "exit");
    this.process.kill();
    await ended;
  }
}
