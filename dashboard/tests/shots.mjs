// The pictures in docs/: a real proxy before a small origin reports to a real node, under a load of some minutes.
//
// npm run shots [-- MINUTES]

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { browser as launch, NARROW, open, shows, WIDE } from "./support/browser.mjs";
import { BIN, Node } from "./support/node.mjs";

const minutes = Number(process.argv[2] ?? 10);
const docs = (name) => fileURLToPath(new URL(`../../docs/${name}.png`, import.meta.url));

const POLICY = {
  version: 1,
  name: "shop",
  // The proxy itself adds these two, the same for every request here.
  defaults: { key: { headers: ["forwarded", "x-forwarded-host"] } },
  classes: { catalog: { kind: "catalog", ttl: "60s", etag: "strong", stale: { while_revalidate: "10s", if_error: "1d" } } },
  routes: [
    { name: "product", path: "/v1/products/{id}", class: "catalog", tags: ["product:{id}"], target_hit_ratio: 0.9, invalidate: { tags: ["product:{id}"] } },
    { name: "products", path: "/v1/products", class: "catalog", ttl: "20s", target_hit_ratio: 0.95 },
    { name: "search", path: "/v1/search", class: "volatile", target_hit_ratio: 0.6 },
    { name: "assets", path: "/assets/{*rest}", class: "static", target_hit_ratio: 0.98 },
    { name: "account", path: "/v1/account", class: "personal" },
  ],
};

const origin = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://origin");
  const body = (bytes) => "x".repeat(bytes);
  if (pathname.startsWith("/assets/")) {
    response.writeHead(200, { "content-type": "text/javascript", "cache-control": "public, max-age=86400" }).end(body(30_000));
  } else if (pathname === "/v1/search") {
    const fields = searchParams.get("q").length % 3 === 0 ? { "set-cookie": "seen=1" } : {};
    response.writeHead(200, { "content-type": "application/json", ...fields }).end(body(4000));
  } else {
    response.writeHead(200, { "content-type": "application/json" }).end(body(1800));
  }
});
origin.listen(0, "127.0.0.1");
await once(origin, "listening");

const folder = mkdtempSync(join(tmpdir(), "larder-shots-"));
const policy = join(folder, "shop.json");
writeFileSync(policy, JSON.stringify(POLICY));
const node = await Node.start("--policy", policy, "--store", `disk:${folder}/store?bytes=64MiB&memory=16MiB`);
const proxy = spawn(BIN, ["proxy", "--listen", "127.0.0.1:0", "--json", "--policy", policy, "--origin", `http://127.0.0.1:${origin.address().port}`, "--store", node.data], {
  stdio: ["ignore", "pipe", "inherit"],
});
// Nothing is left running when this is broken off.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    proxy.kill();
    node.process.kill();
    process.exit(1);
  });
}
const [line] = await once(createInterface({ input: proxy.stdout }), "line");
const shop = `http://${JSON.parse(line).proxy}`;

// A load that comes and goes, the same every time: most requests are for few products.
let seed = 7;
const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
function path(second) {
  const which = random();
  if (which < 0.45) {
    return `/v1/products/${Math.floor(120 * random() ** 3)}`;
  }
  if (which < 0.6) {
    return "/v1/products";
  }
  if (which < 0.75) {
    return `/v1/search?q=${"q".repeat(1 + Math.floor(random() * 6))}${Math.floor(second / 3) % 4}`;
  }
  return which < 0.95 ? `/assets/app-${Math.floor(random() * 12)}.js` : "/v1/account";
}

const began = Date.now();
const until = began + minutes * 60_000;
const purges = [[0.35, { tags: ["product:0", "product:1"] }], [0.7, { prefixes: [`${shop}/v1/products`] }]];
for (let tick = 0; Date.now() < until; tick += 1) {
  const second = (Date.now() - began) / 1000;
  const now = 6 + Math.round(4 * Math.sin(second / 40) + 2 * random());
  const asked = Array.from({ length: now }, () => fetch(shop + path(second)).then((response) => response.arrayBuffer()));
  if (tick % 40 === 39) {
    asked.push(fetch(`${shop}/v1/products/${tick % 50}`, { method: "PUT", body: "{}" }).then((response) => response.arrayBuffer()));
  }
  const [at, wanted] = purges[0] ?? [];
  if (at !== undefined && second > at * minutes * 60) {
    purges.shift();
    asked.push(fetch(`${node.admin}/v1/purge`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(wanted) }));
  }
  await Promise.all(asked);
  await new Promise((resolve) => setTimeout(resolve, 100));
}

const browser = await launch();
for (const [name, colorScheme, viewport] of [["dashboard-light", "light", WIDE], ["dashboard-dark", "dark", WIDE], ["dashboard-narrow", "light", NARROW]]) {
  const page = await open(browser, node, { colorScheme, viewport });
  await shows(page, ".live", "Live");
  await page.locator("[data-worker]").first().waitFor();
  await page.screenshot({ path: docs(name), fullPage: true });
  await page.context().close();
}
await browser.close();
proxy.kill();
await node.stop();
origin.close();
rmSync(folder, { recursive: true });
