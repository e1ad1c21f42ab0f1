// The pictures in docs/: a real Envoy before a small origin reports to a real node, under a load of some minutes, while things are done to it.
//
// LARDER_ENVOY=… npm run shots [-- MINUTES]

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { browser as launch, NARROW, open, shows, WIDE } from "./support/browser.mjs";
import { Envoy, freePort } from "./support/envoy.mjs";
import { larder, Node } from "./support/node.mjs";

const minutes = Number(process.argv[2] ?? 10);
const docs = (name) => fileURLToPath(new URL(`../../docs/${name}.png`, import.meta.url));

const POLICY = {
  version: 1,
  name: "shop",
  classes: { catalog: { kind: "catalog", ttl: "60s", etag: "strong", stale: { while_revalidate: "10s", if_error: "1d" } } },
  routes: [
    { name: "product", path: "/v1/products/{id}", class: "catalog", tags: ["product:{id}"], target_hit_ratio: 0.9, invalidate: { tags: ["product:{id}"] } },
    { name: "products", path: "/v1/products", class: "catalog", ttl: "20s", target_hit_ratio: 0.95 },
    { name: "search", path: "/v1/search", class: "volatile", target_hit_ratio: 0.6 },
    { name: "assets", path: "/assets/{*rest}", class: "static", target_hit_ratio: 0.98 },
    { name: "account", path: "/v1/account", class: "personal" },
  ],
};

/** The same with what is wanted of some routes besides. */
const changed = (more) => ({ ...POLICY, routes: POLICY.routes.map((route) => ({ ...route, ...more[route.name] })) });
const WARM = {
  products: { warm: [{ url: "/v1/products", every: "15s" }] },
  product: { warm: [0, 1, 150, 151].map((id) => ({ url: `/v1/products/${id}`, every: "45s" })) },
  assets: { warm: [{ url: "/assets/app-1.js", every: "10m" }] },
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
const file = (name, policy) => {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(policy));
  return path;
};
const port = await freePort();
const shop = `http://127.0.0.1:${port}`;
const node = await Node.start("--policy", file("shop.json", POLICY), "--store", `disk:${folder}/store?bytes=64MiB&memory=16MiB`, "--warm-via", shop);
const envoy = await Envoy.start({ folder, port, origin: `http://127.0.0.1:${origin.address().port}`, node, policy: POLICY });
// Nothing is left running when this is broken off.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    envoy.process.kill();
    node.process.kill();
    process.exit(1);
  });
}

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
const purge = (wanted) => fetch(`${node.admin}/v1/purge`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(wanted) });
const policy = (verb, name, text, comment) => larder("policy", verb, file(name, text), "--comment", comment, "--node", node.admin);
// When, as a share of the whole, and what.
const doings = [
  [0.05, () => policy("push", "first.json", POLICY, "as in Envoy's configuration")],
  [0.35, () => purge({ tags: ["product:0", "product:1"] })],
  [0.5, () => policy("push", "warm.json", changed(WARM), "keep the front page warm")],
  [0.65, () => policy("shadow", "longer.json", changed({ ...WARM, search: { ttl: "30s" } }), "does search bear 30 s?")],
  [0.7, () => purge({ prefixes: [`${shop}/v1/products`] })],
];
for (let tick = 0; Date.now() < until; tick += 1) {
  const second = (Date.now() - began) / 1000;
  const now = 6 + Math.round(4 * Math.sin(second / 40) + 2 * random());
  const asked = Array.from({ length: now }, () => fetch(shop + path(second)).then((response) => response.arrayBuffer()));
  if (tick % 40 === 39) {
    asked.push(fetch(`${shop}/v1/products/${tick % 50}`, { method: "PUT", body: "{}" }).then((response) => response.arrayBuffer()));
  }
  const [at, act] = doings[0] ?? [];
  if (at !== undefined && second > at * minutes * 60) {
    doings.shift();
    asked.push(act());
  }
  await Promise.all(asked);
  await new Promise((resolve) => setTimeout(resolve, 100));
}

const browser = await launch();
for (const [name, colorScheme, viewport] of [["dashboard-light", "light", WIDE], ["dashboard-dark", "dark", WIDE], ["dashboard-narrow", "light", NARROW]]) {
  const page = await open(browser, node, { colorScheme, viewport });
  await shows(page, ".live", "Live");
  await page.locator("[data-worker]").first().waitFor();
  await page.locator("[data-shadow=all]").waitFor();
  await page.locator("[data-warm] .state", { hasText: /Warmed|Fresh/ }).first().waitFor();
  await page.screenshot({ path: docs(name), fullPage: true });
  await page.context().close();
}
await browser.close();
await envoy.stop();
await node.stop();
origin.close();
rmSync(folder, { recursive: true });
