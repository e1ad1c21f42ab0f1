// Policies and warming from the page, on a real node with a real proxy: what is done there is done, and what is shown is what the node says.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { axe, browser as launch, NARROW, open, overflow, shows } from "./support/browser.mjs";
import { POLICY } from "./support/load.mjs";
import { larder, Proxy } from "./support/node.mjs";
import { closed, token, until, withNode } from "./support/steps.mjs";

const folder = mkdtempSync(join(tmpdir(), "larder-operations-"));

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** Policies by version of the test: what is warmed is told by `every`. */
const shop = (path, more = {}) => ({ ...POLICY, routes: [...POLICY.routes, { name: "home", path, class: "catalog", ttl: "2h", ...more }] });

function file(name, policy) {
  const path = join(folder, name);
  writeFileSync(path, typeof policy === "string" ? policy : JSON.stringify(policy));
  return path;
}

/** What happened of a kind, as the page says it. */
const happened = (page, kind) => page.locator(`[data-mark=${kind}]`).evaluateAll((rows) => rows.map((row) => [...row.cells].slice(1).map((cell) => cell.textContent)));

describe("policies", () => {
  test("are pushed, tried in the shadow, put in force and rolled back", async () => {
    const [reads, pushes] = await Promise.all([token("eye", "read"), token("ci", "policy")]);
    const tokens = file("policy-tokens.json", `[${reads.line}, ${pushes.line}]`);
    await withNode(["--tokens", tokens], async (node) => {
      const page = await open(browser, node);
      await page.getByLabel("Token with the scope read").fill(reads.token);
      await page.getByRole("button", { name: "Show the figures" }).click();
      await shows(page, "#policies .empty", /^No policy was pushed/);
      assert.equal(await page.locator("#warming").isVisible(), false);

      // By the command, as a pipeline does it.
      const pushed = ["policy", "push", file("first.json", shop("/home")), "--comment", "first", "--node", node.admin, "--token-file", file("ci.token", pushes.token)];
      await larder(...pushed);
      await shows(page, ".policy-active", /^In force: version 1, .* by ci: first$/);
      await shows(page, "[data-policy=shop] .state", "0 workers up to date.");
      // A worker has heard of it, another has refused it.
      const { generation, active } = await node.watch("worker-1", "shop");
      assert.deepEqual([active.version, JSON.parse(active.text)], [1n, shop("/home")]);
      await node.watch("worker-2", "shop", generation, "no room");
      await node.watch("worker-1", "shop", generation);
      await shows(page, "[data-policy=shop] .state", "1 worker up to date, 1 refused it.");

      // What is wrong with one is said with its place.
      const push = page.getByRole("button", { name: "Push", exact: true });
      await page.getByLabel("Policy as JSON").fill('{"version": 1, "name": "shop",\n"wrong": 1,\n"routes": [{"name": "a", "path": "no"}]}');
      await push.click();
      await shows(page, "#policies .result", /^Not allowed: the token of eye has not the scope policy/);
      await page.locator("#policy-token").fill(pushes.token);
      await push.click();
      await shows(page, "#policies .result", /^Not pushed: the policy has 2 errors; the first: 2:1: wrong: /);
      const lines = await page.locator("#policies .said li").allTextContents();
      assert.deepEqual(lines.map((line) => /^\d+:/.exec(line)?.[0]), ["2:", "3:"], lines.join());

      // Into the shadow, from a file; what it would have done is held against what is in force.
      await page.getByLabel("From a file").setInputFiles(file("second.json", shop("/home", { ttl: "3h" })));
      await page.getByLabel("Comment", { exact: true }).fill("a & b");
      await page.getByLabel("As a shadow: reported on, not acted on").check();
      await push.click();
      await shows(page, "#policies .result", /^Pushed as version 2 of shop, into the shadow/);
      assert.equal(await page.locator("#policies .said li").count(), 0);
      await shows(page, ".policy-shadow", /^Shadow: version 2, .* by ci: a & b$/);
      await shows(page, ".shadow-report .state", "No request was evaluated by it yet.");
      const of = ";policy=shop;route=home;class=catalog";
      await node.report("worker-1", [
        [`larder_requests_total${of};outcome=hit`, 60],
        [`larder_requests_total${of};outcome=miss`, 40],
        [`larder_store_bytes_total${of}`, 6 << 20],
        [`larder_shadow_requests_total${of};outcome=hit`, 81],
        [`larder_shadow_requests_total${of};outcome=miss`, 19],
        [`larder_shadow_store_bytes_total${of}`, 8 << 20],
        [`larder_shadow_differs_total${of};reason=staler`, 7],
      ]);
      await shows(page, ".shadow-report .state", /^Safe so far: .* 100 requests\.$/);
      const { totals } = await node.ask("policies/shop/shadow", reads.token);
      assert.deepEqual([totals.active.hit_ratio, totals.shadow.hit_ratio], [0.6, 0.81]);
      for (const route of ["all", "home"]) {
        const cells = await page.locator(`[data-shadow=${route}] td`).allTextContents();
        assert.deepEqual(cells, ["100", "60.0 %", "81.0 %", "6.0 MiB", "8.0 MiB", "older than clients got: 7"]);
      }
      await node.report("worker-1", [[`larder_shadow_differs_total${of};reason=identity`, 3]]);
      await shows(page, ".shadow-report .state", /^Not safe: .* \(shared between users: 3\)\. .* 100 requests\.$/);
      assert.deepEqual(await axe(page), []);

      const twice = async (first, then, result) => {
        await page.getByRole("button", { name: first }).click();
        await page.getByRole("button", { name: then }).click();
        await shows(page, "#policies .result", result);
      };
      await twice("End the shadow", "Yes, end it", "Nothing is in the shadow of shop any more.");
      await page.locator(".shadow-report").waitFor({ state: "hidden" });
      // The same again is another version, and goes in force this time.
      await page.getByLabel("From a file").setInputFiles(file("second.json", shop("/home", { ttl: "3h" })));
      await push.click();
      await shows(page, ".policy-shadow", /^Shadow: version \d/);
      await twice("Put the shadow in force", "Yes, put it in force", "What was in the shadow of shop is in force.");
      await shows(page, ".policy-active", /^In force: version [23], .* by ci: a & b$/);
      await page.locator(".policy-shadow").waitFor({ state: "hidden" });
      await page.locator("[data-policy=shop] summary").click();
      const versions = await page.locator("[data-version]").evaluateAll((rows) => rows.map((row) => row.dataset.version));
      assert.deepEqual(versions, (await node.ask("policies/shop", reads.token)).versions.map(({ version }) => String(version)));
      const back = page.locator('[data-version="1"] button');
      await back.click();
      await shows(page, '[data-version="1"] button', "Yes, roll back to 1");
      assert.notEqual((await node.ask("policies/shop", reads.token)).active.version, 1);
      await back.click();
      await shows(page, "#policies .result", "Version 1 of shop is in force again.");
      await shows(page, ".policy-active", /^In force: version 1/);
      // What was done is what happened, and who did it.
      await until(async () => (await happened(page, "policy")).some(([, what]) => /version 1 in force again/.test(what)));
      const all = await happened(page, "policy");
      assert.ok(all.every(([what, , who]) => /^(Policy changed|\d+ policy changes)$/.test(what) && who === "ci"), JSON.stringify(all));
      for (const text of ["shop: version 1 pushed", "shop: version 2 in the shadow", "promoted from the shadow"]) {
        assert.ok(all.some(([, what]) => what.includes(text)), `${text}: ${JSON.stringify(all)}`);
      }
      // It is on the time axis, where the keys find it.
      await page.getByRole("group", { name: /^Requests by outcome/ }).focus();
      await until(async () => {
        await page.keyboard.press("End");
        for (let step = 0; step < 60; step += 1) {
          if (/Policy changed: shop: version|policy changes: shop: version/.test(await page.locator("#chart-traffic .readout").textContent())) {
            return true;
          }
          await page.keyboard.press("ArrowLeft");
        }
        return false;
      });
      assert.deepEqual(await axe(page), []);
      await page.setViewportSize(NARROW);
      await until(async () => (await overflow(page)) === 0);
      assert.deepEqual(await axe(page), []);
      await closed(page, node, [/status of (401|403|422)/]);
    });
  });
});

/** An origin that answers everything but `/gone`, and counts. */
async function withOrigin(use) {
  const asked = [];
  const origin = createServer((request, response) => {
    asked.push(request.url);
    response.writeHead(request.url === "/gone" ? 503 : 200, { "content-type": "text/plain" }).end("here");
  });
  origin.listen(0, "127.0.0.1");
  await once(origin, "listening");
  try {
    await use(`http://127.0.0.1:${origin.address().port}`, asked);
  } finally {
    origin.closeAllConnections();
    origin.close();
  }
}

describe("warming", () => {
  test("is of what is pushed, through a proxy, and again when it is asked for", async () => {
    await withOrigin(async (origin, asked) => {
      const warm = (url) => ({ warm: [{ url, every: "1h" }] });
      const policy = shop("/home", warm("/home"));
      const proxy = await Proxy.start("--policy", file("proxy.json", policy), "--origin", origin);
      try {
        await withNode(["--warm-via", proxy.url], async (node) => {
          const page = await open(browser, node);
          await shows(page, "[data-figure=warming]", /through http:.*, and waits for what is due\. No policy in force lists URLs\.$/);
          const routes = policy.routes.concat({ name: "gone", path: "/gone", ttl: "2h", ...warm("/gone") }, { name: "far", path: "/far", ...warm("http://elsewhere.example/far") });
          await page.getByLabel("From a file").setInputFiles(file("warm.json", { ...policy, routes }));
          await page.getByRole("button", { name: "Push", exact: true }).click();
          await shows(page, "#policies .result", /^Pushed as version 1 of shop/);

          await shows(page, `[data-warm="${proxy.url}/home"] .state`, "Warmed");
          await shows(page, `[data-warm="${proxy.url}/gone"] .state`, /^Failed: status 503/);
          // What failed is first.
          assert.match(await page.locator("[data-warm]").first().getAttribute("data-warm"), /gone$/);
          await shows(page, "[data-figure=warming]", /2 requests listed\.$/);
          await shows(page, "#warming .said li", /^http:\/\/elsewhere\.example\/far: /);
          const said = await node.ask("warming");
          assert.deepEqual([said.holder, said.total, said.refused_in_all], [{ state: "here" }, 2, 1]);
          assert.equal(asked.filter((path) => path === "/home").length, 1);
          await until(async () => (await happened(page, "warm")).some(([what, of]) => what === "Warmed" && of === "1 response, newly listed"));

          // It is fresh at the proxy, which is all that is found out.
          await page.getByRole("button", { name: "Warm now" }).click();
          await shows(page, "#warming .result", "Begun: 2 requests.");
          await shows(page, `[data-warm="${proxy.url}/home"] .state`, "Fresh already");
          assert.equal(asked.filter((path) => path === "/home").length, 1);
          assert.deepEqual(await axe(page), []);
          await page.setViewportSize(NARROW);
          await until(async () => (await overflow(page)) === 0);
          await closed(page, node);
        });
      } finally {
        await proxy.stop();
      }
    });
  });
});
