// A node in a process of its own, and a worker that reports to it, as plugins do: by messages on its data plane.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";

export const BIN = process.env.LARDER_BIN ?? fileURLToPath(new URL("../../../target/debug/larder", import.meta.url));

const CLUSTER = readFileSync(new URL("../../../core/src/cluster/mod.rs", import.meta.url), "utf8");
const PROTOCOL = Number(/pub const PROTOCOL: u8 = (\d+);/.exec(CLUSTER)[1]);

/** Nothing takes longer, unless it hangs. */
export const PATIENCE_MS = 20_000;

/** A node that runs. */
export class Node {
  /** Starts one; on free ports, unless `options` say otherwise. */
  static async start(...options) {
    const ports = options.includes("--admin") ? [] : ["--admin", "127.0.0.1:0"];
    const node = new Node();
    node.process = spawn(BIN, ["node", "--listen", "127.0.0.1:0", "--json", ...ports, ...options], { stdio: ["ignore", "pipe", "pipe"] });
    node.errors = "";
    node.process.stderr.on("data", (text) => (node.errors += text));
    const lines = createInterface({ input: node.process.stdout });
    const first = await Promise.race([once(lines, "line"), once(node.process, "exit").then(() => null)]);
    if (first === null) {
      throw new Error(`the node did not start: ${node.errors}`);
    }
    const said = JSON.parse(first[0]);
    node.data = `http://${said.data}`;
    node.admin = `http://${said.admin}`;
    node.address = said.admin;
    return node;
  }

  async ask(path, token) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`${this.admin}/v1/${path}`, { headers });
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${await response.text()}`);
    }
    return response.json();
  }

  /** Reports what a worker has counted: rows of name and number; and URLs: rows of URL, labels, requests and hits. */
  async report(worker, counts, gauges = [], keys = []) {
    await this.#send("/larder/report", message(11, text(worker), list(counts), list(gauges), urls(keys)));
  }

  /** Has a worker poll the purge log once; says where the log stands. */
  async poll(worker, position = [0n, 0n]) {
    const body = await this.#send("/larder/poll", poll(worker, position, null));
    return [body.readBigUInt64LE(6), body.readBigUInt64LE(14)];
  }

  /** Has a worker ask for a policy as well: it runs this generation of it. Says which generation and versions there are where they are others. */
  async watch(worker, name, generation = 0n, refused = null) {
    const body = await this.#send("/larder/poll", poll(worker, [0n, 0n], { name, generation, refused }));
    // Behind magic, protocol and kind: the position, whether it begins anew, the records of what was purged.
    const rest = new Reader(body, 6 + 16);
    rest.flag();
    for (let record = rest.u32(); record > 0; record -= 1) {
      rest.u64();
      rest.text();
    }
    const pushed = () => (rest.flag() ? { version: rest.u64(), text: rest.text() } : null);
    return rest.flag() ? { generation: rest.u64(), active: pushed(), shadow: pushed() } : null;
  }

  async #send(path, body) {
    const response = await fetch(this.data + path, { method: "POST", body });
    if (response.status !== 200) {
      throw new Error(`${path}: ${response.status}`);
    }
    return Buffer.from(await response.arrayBuffer());
  }

  async stop(signal = "SIGTERM") {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = once(this.process, "exit");
      this.process.kill(signal);
      await ended;
    }
  }
}

/** A proxy with the cache, before an origin. */
export class Proxy {
  static async start(...options) {
    const proxy = new Proxy();
    proxy.process = spawn(BIN, ["proxy", "--listen", "127.0.0.1:0", "--json", ...options], { stdio: ["ignore", "pipe", "inherit"] });
    const first = await Promise.race([once(createInterface({ input: proxy.process.stdout }), "line"), once(proxy.process, "exit").then(() => null)]);
    if (first === null) {
      throw new Error("the proxy did not start");
    }
    proxy.url = `http://${JSON.parse(first[0]).proxy}`;
    return proxy;
  }

  async stop() {
    const ended = once(this.process, "exit");
    this.process.kill();
    await ended;
  }
}

/** Runs the command to its end. */
export async function larder(...options) {
  const process = spawn(BIN, options, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  process.stdout.on("data", (text) => (said += text));
  const [code] = await once(process, "close");
  if (code !== 0) {
    throw new Error(`larder ${options.join(" ")}: ${code}`);
  }
  return said;
}

function urls(rows) {
  return Buffer.concat([u32(rows.length), ...rows.flatMap(([url, labels, requests, hits]) => [text(url), text(labels), u64(requests), u64(hits)])]);
}

// core/src/cluster/message: magic, protocol, kind; integers little endian, text behind its length.

function message(kind, ...parts) {
  return Buffer.concat([Buffer.from("LRDM"), Buffer.from([PROTOCOL, kind]), ...parts]);
}

function u32(number) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}

function u64(number) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(number));
  return bytes;
}

function text(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([u32(bytes.length), bytes]);
}

function option(value) {
  return value === null ? Buffer.from([0]) : Buffer.concat([Buffer.from([1]), value]);
}

/** Generation 0 is none: a worker runs what it was configured with. */
function poll(worker, position, watch) {
  const watched = watch && Buffer.concat([text(watch.name), u64(watch.generation), option(watch.refused === null ? null : text(watch.refused))]);
  return message(9, text(worker), ...position.map(u64), u64(0), u64(60_000), option(watched));
}

class Reader {
  constructor(bytes, at) {
    [this.bytes, this.at] = [bytes, at];
  }

  flag() {
    return this.bytes[this.at++] === 1;
  }

  u32() {
    this.at += 4;
    return this.bytes.readUInt32LE(this.at - 4);
  }

  u64() {
    this.at += 8;
    return this.bytes.readBigUInt64LE(this.at - 8);
  }

  text() {
    const length = this.u32();
    this.at += length;
    return this.bytes.toString("utf8", this.at - length, this.at);
  }
}

function list(rows) {
  return Buffer.concat([u32(rows.length), ...rows.flatMap(([name, number]) => [text(name), u64(number)])]);
}
