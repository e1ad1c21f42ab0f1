// What a policy in the shadow would have done, beside what the one in force did in the same time.

import type { ShadowReport, ShadowSides } from "../api";
import { h, List, setAttribute, setText, show } from "../dom";
import { bytes, count, percent, plural, span } from "../format";

const ROUTES_SHOWN = 20;

/** Reasons for which the shadow would have answered otherwise, in words. */
const DIFFERS: Record<string, string> = { other_body: "another body", identity: "shared between users", staler: "older than clients got" };

/** Reasons that make it unsafe. */
const UNSAFE = ["other_body", "identity"];

interface Row extends ShadowSides {
  route: string | null;
}

export class Shadow {
  readonly element: HTMLElement;
  private readonly verdict = h("p", { class: "state" });
  private readonly table: HTMLTableElement;
  private readonly more = h("p", { class: "note" });
  private readonly rows: List<Row>;

  constructor() {
    const body = h("tbody");
    const names = ["Route", "Requests", "Hit ratio", "In the shadow", "From the cache", "In the shadow", "Differs"];
    const head = h("tr", {}, ...names.map((name, index) => h("th", { scope: "col", class: index > 0 && index < 6 ? "number" : null }, name)));
    this.table = h("table", { class: "stack shadow" }, h("thead", {}, head), body);
    this.rows = new List<Row>(body, ({ route }) => route ?? "\n", row);
    this.element = h("div", { class: "shadow-report" }, this.verdict, this.table, this.more);
  }

  /** Nothing where there is no shadow, or nothing of it to be told. */
  update(report: ShadowReport | null): void {
    show(this.element, report !== null);
    if (report === null) {
      return;
    }
    const { totals, routes, safe, from_ms, until_ms } = report;
    const seen = totals.shadow.requests + totals.shadow.bypassed;
    setText(this.verdict, seen === 0 ? "No request was evaluated by it yet." : `${words(totals, safe)} In ${span(until_ms - from_ms)}, ${plural(seen, "request")}.`);
    setAttribute(this.element, "data-state", seen === 0 ? "no_requests" : safe ? "met" : "missed");
    show(this.table, seen > 0);
    this.rows.update([{ route: null, ...totals }, ...routes.slice(0, ROUTES_SHOWN)]);
    const left = report.routes_left_off + Math.max(0, routes.length - ROUTES_SHOWN);
    show(this.more, seen > 0 && left > 0);
    setText(this.more, `${plural(left, "more route")} with less traffic: larder policy shadow ${report.name} --report.`);
  }
}

function words({ differs }: ShadowSides, safe: boolean): string {
  if (safe) {
    return "Safe so far: no client would have got what it must not get.";
  }
  const why = UNSAFE.filter((reason) => (differs[reason] ?? 0) > 0).map((reason) => `${DIFFERS[reason]}: ${count(differs[reason] ?? 0)}`);
  return `Not safe: clients would have got what they must not get (${why.join(", ")}).`;
}

function row({ route }: Row): { element: HTMLElement; update: (row: Row) => void } {
  const cell = (label: string) => h("td", { class: "number", "data-label": label });
  const [requests, now, then] = [cell("Requests"), cell("Hit ratio"), cell("In the shadow")];
  const [bytesNow, bytesThen, differs] = [cell("From the cache"), cell("From the cache, in the shadow"), h("td", { "data-label": "Differs" })];
  const element = h("tr", { "data-shadow": route ?? "all" }, h("th", { scope: "row" }, route ?? "All routes"), requests, now, then, bytesNow, bytesThen, differs);
  return {
    element,
    update: ({ active, shadow, differs: reasons }) => {
      setText(requests, count(shadow.requests + shadow.bypassed));
      setText(now, percent(active.hit_ratio));
      setText(then, percent(shadow.hit_ratio));
      setText(bytesNow, bytes(active.store_bytes));
      setText(bytesThen, bytes(shadow.store_bytes));
      const said = Object.entries(reasons).filter(([, times]) => times > 0);
      setText(differs, said.map(([reason, times]) => `${DIFFERS[reason] ?? reason}: ${count(times)}`).join(", "));
    },
  };
}
