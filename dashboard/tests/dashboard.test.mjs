// The dashboard in a real browser, on a real node: what it shows is what was reported.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { axe, browser as launch, NARROW, open, overflow, shows, WIDE } from "./support/browser.mjs";
import { expected, keys, LATENCY, POLICY } from "./support/load.mjs";
import { Node } from "./support/node.mjs";
import { closed, reported, token, until, withNode } from "./support/steps.mjs";

const folder = mkdtempSync(join(tmpdir(), "larder-dashboard-"));
const policy = join(folder, "shop.json");
writeFileSync(policy, JSON.stringify(POLICY));

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

const whole = new Intl.NumberFormat("en");
const percent = (ratio) => `${(ratio * 100).toFixed(1)} %`;

describe("figures", () => {
  test("are those of the API, and those that were reported", async () => {
    await withNode(["--policy", policy], async (node) => {
      const page = await open(browser, node);
      await shows(page, "#routes .empty", /^No requests/);
      await reported(node, 3);
      const want = expected(3);
      const { totals, routes, misses } = await node.ask("analytics");
      assert.deepEqual(totals.outcomes, want.outcomes);
      assert.deepEqual([totals.hits, totals.requests, totals.hit_ratio], [want.hits, want.requests, want.ratio]);
      assert.deepEqual([totals.origin_requests, totals.origin_requests_avoided], [want.origin, want.avoided]);

      await shows(page, "[data-figure=hit-ratio]", percent(want.ratio));
      await shows(page, "[data-figure=avoided]", whole.format(want.avoided));
      await shows(page, "[data-figure=requests]", whole.format(want.all));
      await shows(page, ".figures > div:nth-child(1) .figure-note", "2 of 4 routes with a target are below it");
      assert.deepEqual([totals.bytes_from_store, totals.bytes_from_origin], [want.storeBytes, want.originBytes]);
      await shows(page, "[data-figure=byte-hit-ratio]", percent(want.storeBytes / (want.storeBytes + want.originBytes)));

      const shownOutcomes = await page.locator("[data-outcome]").evaluateAll((rows) =>
        Object.fromEntries(rows.map((row) => [row.dataset.outcome, row.cells[1].textContent])),
      );
      assert.deepEqual(shownOutcomes, Object.fromEntries(Object.entries(want.outcomes).map(([name, number]) => [name, whole.format(number)])));

      for (const route of routes) {
        const cells = await page.locator(`[data-route="shop/${route.route}"] td`).allTextContents();
        const own = expected(3, route.route);
        assert.equal(cells[0], whole.format(own.requests + (own.outcomes.bypass ?? 0)), route.route);
        assert.equal(cells[1], own.ratio === null ? "–" : percent(own.ratio), route.route);
        assert.equal(cells[4], whole.format(own.origin), route.route);
      }
      const state = (route) => page.locator(`[data-route="shop/${route}"] .state`).textContent();
      assert.deepEqual(await Promise.all(["product", "products", "search", "assets", "account"].map(state)), [
        "On target",
        "Close: 0.8 points below",
        "Below target by 25.0 points",
        "On target",
        "Passed by",
      ]);
      assert.equal(misses.length, await page.locator("[data-miss]").count());
      const cookie = page.locator('[data-miss="search/not_stored/set-cookie"]');
      assert.equal(await cookie.locator("td.number").first().textContent(), whole.format(3 * 48));
      assert.match(await cookie.locator(".change").textContent(), /identity\.set_cookie: strip/);
      await shows(page, "#misses > .note", /cluster-timeout 3/);
      await shows(page, "#memory > p", "Workers hold 4.0 MiB under 42 keys in their own memory.");
      await closed(page, node);
    });
  });

  test("say how long requests took, by outcome and percentile", async () => {
    await withNode([], async (node) => {
      const page = await open(browser, node);
      await shows(page, "#latency .empty", /^No times in this range/);
      await reported(node, 2);
      for (const [outcome, { p50, p95, p99 }] of Object.entries(LATENCY)) {
        await shows(page, `[data-latency=${outcome}] td:nth-of-type(2)`, p50);
        const cells = await page.locator(`[data-latency=${outcome}] td`).allTextContents();
        assert.deepEqual(cells.slice(1), [p50, p95, p99], outcome);
      }
      const { totals, latency_by_step } = await node.ask("analytics");
      const said = await page.locator("[data-latency=hit] td").allTextContents();
      assert.deepEqual([totals.latency.hit.requests, said[0]], [1480, "1,480"]);
      assert.ok(latency_by_step.hit.p95_ms.some((value) => value !== null));
      await shows(page, "#chart-latency .readout", `p95 over the whole range: Hit ${LATENCY.hit.p95} · Miss ${LATENCY.miss.p95}`);
      await page.locator("input[name=percentile][value=p50]").check();
      await shows(page, "#chart-latency .readout", `p50 over the whole range: Hit ${LATENCY.hit.p50} · Miss ${LATENCY.miss.p50}`);
      await closed(page, node);
    });
  });

  test("name the URLs that are asked for most, and are of one host where that is chosen", async () => {
    await withNode([], async (node) => {
      const page = await open(browser, node);
      await shows(page, "#keys .empty", /^No URL/);
      await page.locator("#host").waitFor({ state: "hidden" });
      await reported(node, 3);
      const want = keys(3);
      for (const [url, , requests, hits] of want) {
        await shows(page, `[data-key="${url}"] td`, whole.format(requests));
        const cells = await page.locator(`[data-key="${url}"] td`).allTextContents();
        assert.deepEqual(cells, [requests, hits].map((number) => whole.format(number)).concat(percent(hits / requests)));
      }
      const order = await page.locator("[data-key]").evaluateAll((rows) => rows.map((row) => row.dataset.key));
      assert.deepEqual(order, [...want].sort((a, b) => b[2] - a[2]).map(([url]) => url));

      await page.getByLabel("Host", { exact: true }).selectOption({ label: "*.cdn.example" });
      await page.waitForURL(/host=/);
      const own = expected(3, "assets");
      await shows(page, "[data-figure=requests]", whole.format(own.all));
      await shows(page, "[data-figure=hit-ratio]", percent(own.ratio));
      assert.deepEqual(await page.locator("[data-key]").evaluateAll((rows) => rows.map((row) => row.dataset.key)), [want[2][0]]);
      assert.equal(await page.locator("[data-route]").count(), 1);
      await shows(page, '[data-route="shop/assets"] .note', "shop · static · *.cdn.example");
      const shown = await node.ask("analytics?host=*.cdn.example");
      assert.deepEqual([shown.totals.requests, shown.hosts], [own.requests, ["*.cdn.example", "api.shop.example"]]);
      await page.reload();
      await shows(page, "[data-figure=requests]", whole.format(own.all));
      await page.getByLabel("Host", { exact: true }).selectOption({ label: "All hosts" });
      await shows(page, "[data-figure=requests]", whole.format(expected(3).all));
      await closed(page, node);
    });
  });

  test("go on by themselves, and stand still when paused", async () => {
    await withNode([], async (node) => {
      await reported(node, 1);
      const page = await open(browser, node);
      await shows(page, "[data-figure=requests]", whole.format(expected(1).all));
      await shows(page, ".live", "Live");
      await reported(node, 1);
      await shows(page, "[data-figure=requests]", whole.format(expected(2).all));
      await page.getByRole("button", { name: "Pause" }).click();
      await shows(page, ".live", "Paused");
      await reported(node, 1);
      // Paused: nothing more is asked for, while another page asks several times.
      let [asked, other] = [0, 0];
      page.on("request", () => (asked += 1));
      const live = await open(browser, node);
      live.on("request", () => (other += 1));
      await until(async () => other >= 4);
      assert.equal(asked, 0);
      await closed(live, node);
      assert.equal(await page.locator("[data-figure=requests]").textContent(), whole.format(expected(2).all));
      await page.getByRole("button", { name: "Pause" }).click();
      await shows(page, "[data-figure=requests]", whole.format(expected(3).all));
      await closed(page, node);
    });
  });

  test("are of the range and the route that are chosen, by keyboard too, and the address says which", async () => {
    await withNode(["--policy", policy], async (node) => {
      await reported(node, 2);
      const page = await open(browser, node);
      await shows(page, "[data-figure=requests]", whole.format(expected(2).all));
      await page.getByRole("button", { name: "search" }).focus();
      await page.keyboard.press("Enter");
      const own = expected(2, "search");
      await shows(page, "[data-figure=hit-ratio]", percent(own.ratio));
      await shows(page, ".figures > div:nth-child(1) .figure-note", "search is 25.0 points below its target of 60.0 %");
      assert.equal(await page.locator("[data-route]").count(), 1);
      assert.equal(new URL(page.url()).hash, "#range=10m&policy=shop&route=search");
      assert.equal(await page.evaluate(() => document.activeElement?.textContent), "search", "focus stays where it is");

      await page.locator("input[value='10m']").focus();
      await page.keyboard.press("ArrowRight");
      await page.waitForURL(/range=1h/);
      await shows(page, "[data-figure=requests]", whole.format(own.all));
      await page.reload();
      await shows(page, "[data-figure=hit-ratio]", percent(own.ratio));
      assert.equal(await page.locator("input[name=range]:checked").getAttribute("value"), "1h");

      await page.getByLabel("Route", { exact: true }).selectOption({ label: "All routes" });
      await shows(page, "[data-figure=requests]", whole.format(expected(2).all));
      assert.equal(await page.locator("#filter optgroup[label=shop] option").count(), 6);
      for (const range of ["6h", "1d", "7d", "30d"]) {
        await page.locator(`input[value='${range}']`).check();
        await page.waitForURL(new RegExp(`range=${range}`));
        await shows(page, "[data-figure=requests]", whole.format(expected(2).all));
      }
      await closed(page, node);
    });
  });

  test("under the cursor are those of the step, for who uses the arrow keys, and in the table", async () => {
    await withNode([], async (node) => {
      await reported(node, 1);
      const page = await open(browser, node);
      await shows(page, "[data-figure=requests]", whole.format(expected(1).all));
      // A step must have ended before charts show it.
      const chart = page.getByRole("group", { name: /^Requests by outcome/ });
      let analytics;
      await until(async () => {
        analytics = await node.ask("analytics");
        return analytics.by_step.requests.slice(0, -1).some((number) => number > 0);
      });
      await chart.focus();
      const readout = "#chart-traffic .readout";
      await until(async () => {
        await page.keyboard.press("End");
        for (let step = 0; step < 5; step += 1) {
          if (/: Hit 1,519 \/s · Cluster hit 150 \/s · Collapsed 22 \/s/.test(await page.locator(readout).textContent())) {
            return true;
          }
          await page.keyboard.press("ArrowLeft");
        }
        return false;
      });
      assert.equal(await page.locator(readout).getAttribute("role"), "status");
      await page.keyboard.press("Escape");
      await shows(page, readout, `${whole.format(expected(1).all)} requests over the whole range`);
      await page.locator("#chart-traffic summary").click();
      const table = page.locator("#chart-traffic table");
      await table.locator("tbody tr").nth(23).waitFor();
      assert.equal(await table.locator("thead th").count(), Object.keys(expected(1).outcomes).length + 1);
      await closed(page, node);
    });
  });
});

describe("purging from the page", () => {
  test("works with a token that is for it, shows who has confirmed it, and makes a mark", async () => {
    const [reads, purges] = await Promise.all([token("eye", "read"), token("ci", "purge")]);
    const tokens = join(folder, "tokens.json");
    writeFileSync(tokens, `[${reads.line}, ${purges.line}]`);
    await withNode(["--tokens", tokens], async (node) => {
      await node.poll("worker-1");
      const page = await open(browser, node);
      await page.getByLabel("Token with the scope read").fill("guess");
      await page.keyboard.press("Enter");
      await shows(page, ".access [role=alert]", "The node does not know this token.");
      await page.getByLabel("Token with the scope read").fill(reads.token);
      await page.getByRole("button", { name: "Show the figures" }).click();
      await shows(page, ".live", "Live");

      await page.getByLabel("Tag", { exact: true }).check();
      await page.getByLabel("Which").fill("product:7");
      await page.getByLabel("Softly: stale instead of gone").check();
      await page.getByRole("button", { name: "Purge", exact: true }).click();
      await shows(page, "#happened .result", /^Not allowed: the token of eye has not the scope purge/);

      await page.locator("#purge-token").fill(purges.token);
      await page.getByRole("button", { name: "Purge", exact: true }).click();
      await shows(page, "#happened .result", "Purged, number 1. Waiting for the workers …");
      // The worker hears of it.
      const log = await node.ask("stats", reads.token).then(({ log }) => BigInt(`0x${log.id}`));
      await node.poll("worker-1", [log, 0n]);
      await node.poll("worker-1", [log, 1n]);
      await shows(page, "#happened .result", /^Purged, number 1\. Confirmed by 1 worker within/);
      await shows(page, '[data-mark="purge"] td', "1 purge (soft)");
      await shows(page, '[data-mark="purge"] td:nth-of-type(2)', "tag product:7");
      await shows(page, '[data-mark="purge"] td:nth-of-type(3)', "ci");
      const history = await node.ask("purges", reads.token);
      assert.deepEqual(history.purges.map(({ what, soft, who }) => [what, soft, who]), [["tag product:7", true, "ci"]]);

      // Everything needs to be meant.
      await page.getByLabel("Everything", { exact: true }).check();
      await page.getByRole("button", { name: "Purge", exact: true }).click();
      assert.equal(await page.locator("#purge-sure:invalid").count(), 1);
      assert.equal((await node.ask("purges", reads.token)).purges.length, 1);

      // Tokens are in memory only.
      const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
      assert.ok(!kept.includes(reads.token) && !kept.includes(purges.token), kept);
      await page.reload();
      await page.getByLabel("Token with the scope read").waitFor();
      await closed(page, node, [/status of 40[13]/]);
    });
  });

  test("says what is wrong with it", async () => {
    await withNode([], async (node) => {
      const page = await open(browser, node);
      await page.getByLabel("Which").fill("/no/host");
      await page.getByRole("button", { name: "Purge", exact: true }).click();
      await shows(page, "#happened .result", /^Not purged: .*\/no\/host/);
      assert.equal(await page.locator("#happened .result").getAttribute("data-state"), "bad");
      await closed(page, node, [/status of 400/]);
    });
  });
});

describe("workers", () => {
  test("are shown with how far behind the purge log they are", async () => {
    await withNode([], async (node) => {
      const [log] = await node.poll("fast");
      await node.poll("slow");
      await fetch(`${node.admin}/v1/purge`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"tags": ["a", "b"]}' });
      await node.poll("fast", [log, 0n]);
      await node.poll("fast", [log, 2n]);
      const page = await open(browser, node);
      await shows(page, "[data-figure=workers]", "1 worker behind the purge log, of 2.");
      await shows(page, '[data-worker="fast"] td', "Up to date");
      await shows(page, '[data-worker="slow"] td', "Behind");
      await shows(page, '[data-worker="slow"] td:nth-of-type(2)', "2");
      await shows(page, "[data-figure=node]", new RegExp(`^Node ${new URL(node.data).host}, Larder .* Store: memory\\. Purge log: memory, 2 purges so far\\.$`));
      await closed(page, node);
    });
  });
});

describe("a node that goes and comes back", () => {
  test("is said to be gone, and its figures are there again", async () => {
    const analytics = join(folder, "analytics");
    const node = await Node.start("--analytics", analytics);
    let back = null;
    try {
      await reported(node, 2);
      const page = await open(browser, node);
      await shows(page, "[data-figure=requests]", whole.format(expected(2).all));
      await node.stop();
      await shows(page, ".trouble", /^The node does not answer\. The figures below are of \d\d:\d\d:\d\d\. Trying again\.$/);
      assert.equal(await page.locator("[data-figure=requests]").textContent(), whole.format(expected(2).all), "the last that are known");
      back = await Node.start("--analytics", analytics, "--admin", node.address);
      await reported(back, 1);
      await shows(page, "[data-figure=requests]", whole.format(expected(3).all));
      await page.locator(".trouble").waitFor({ state: "hidden" });
      await shows(page, '[data-mark="stop"] td', "Node stopped");
      await closed(page, node, [/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/]);
    } finally {
      await node.stop();
      await back?.stop();
    }
  });
});

describe("everybody can read it", () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of [WIDE, NARROW]) {
      test(`${colorScheme}, ${viewport.width} pixels`, async () => {
        await withNode(["--policy", policy], async (node) => {
          const page = await open(browser, node, { colorScheme, viewport });
          await shows(page, "#routes .empty", /^No requests/);
          assert.deepEqual(await axe(page), []);
          await reported(node, 1);
          await node.poll("worker-with-a-long-name-0123456789abcdef0123456789abcdef0123456789abcdef");
          await shows(page, "[data-figure=requests]", whole.format(expected(1).all));
          await page.locator("[data-worker^=worker-with]").waitFor();
          for (const summary of await page.locator(".chart summary").all()) {
            await summary.click();
          }
          assert.deepEqual(await axe(page), []);
          assert.equal(await overflow(page), 0, "nothing is wider than the window");
          // A theme that is chosen wins over the system's.
          const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
          const before = await ground();
          await page.getByLabel("Theme").selectOption(colorScheme === "light" ? "dark" : "light");
          assert.notEqual(await ground(), before);
          assert.deepEqual(await axe(page), []);
          await closed(page, node);
        });
      });
    }
  }

  test("everything that can be used is reached by Tab, and shows where the focus is", async () => {
    await withNode([], async (node) => {
      await reported(node, 1);
      const page = await open(browser, node);
      await shows(page, "[data-figure=requests]", whole.format(expected(1).all));
      const reached = new Set();
      for (let press = 0; press < 80; press += 1) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate(() => {
          const element = document.activeElement;
          if (element === null || element === document.body) {
            return null;
          }
          const outlined = [element, element.parentElement].some((one) => one !== null && getComputedStyle(one).outlineStyle !== "none");
          return { name: element.id || element.getAttribute("value") || element.textContent, outlined };
        });
        if (at === null) {
          break;
        }
        assert.ok(at.outlined, `${at.name} shows no focus`);
        reached.add(at.name);
      }
      for (const name of ["10m", "filter", "theme", "Pause", "product", "Figures as a table", "url", "purge-what", "purge-soft", "purge-token", "Purge"]) {
        assert.ok(reached.has(name), `${name} is not reached: ${[...reached].join(", ")}`);
      }
      await closed(page, node);
    });
  });
});
