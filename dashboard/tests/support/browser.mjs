// A real Chromium without a window, and a page that is watched: errors, and whom it asks.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { PATIENCE_MS } from "./node.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 400, height: 800 };

/** Starts the browser: `CHROMIUM`, or Debian's. */
export async function browser() {
  const { existsSync } = await import("node:fs");
  const executablePath = process.env.CHROMIUM ?? CANDIDATES.find(existsSync);
  if (executablePath === undefined) {
    throw new Error("no Chromium: apt-get install chromium, or set CHROMIUM");
  }
  // As root, as in a container, Chromium has no sandbox of its own. It sees nothing but this node.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args });
}

/** Opens the dashboard of a node; `prepare` is called with the page before it asks for anything. */
export async function open(browser, node, { viewport = WIDE, colorScheme = "light", hash = "", prepare = async () => {}, ...options } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, timezoneId: "UTC", locale: "en", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.errors = [];
  page.asked = new Set();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.errors.push(`${message.location().url} ${message.text()}`));
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("request", (request) => page.asked.add(new URL(request.url()).origin));
  await prepare(page);
  await page.goto(`${node.admin}/${hash}`);
  return page;
}

/** The page's text at a selector, once it is what it should be. */
export async function shows(page, selector, wanted) {
  const deadline = Date.now() + PATIENCE_MS;
  let found = null;
  while (Date.now() < deadline) {
    found = (await page.locator(selector).first().textContent())?.trim() ?? null;
    if (wanted instanceof RegExp ? wanted.test(found ?? "") : found === wanted) {
      return found;
    }
    await page.waitForTimeout(50);
  }
  throw new Error(`${selector} shows ${JSON.stringify(found)}, not ${wanted}`);
}

/** What axe finds wrong, as lines. */
export async function axe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} (${failureSummary})`).join("; ")}`);
}

/** How far the page is wider than its window. */
export async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
