// What was not a hit, why, and what to change.

import type { Analytics, Miss } from "../api";
import { h, List, setText, show } from "../dom";
import { count, percent } from "../format";
import { reason } from "../reasons";

const SHOWN = 12;

interface Row {
  miss: Miss;
  share: number;
}

export class Misses {
  readonly element: HTMLElement;
  private readonly table: HTMLTableElement;
  private readonly empty = h("p", { class: "empty" }, "Nothing but hits in this range, or no requests at all.");
  private readonly more = h("button", { type: "button", class: "quiet", click: () => this.showAll() });
  private readonly failures = h("p", { class: "note" });
  private readonly rows: List<Row>;
  private all = false;
  private analytics: Analytics | null = null;

  constructor() {
    const body = h("tbody");
    const head = h("tr", {}, ...["Route", "Reason", "Requests", "Share", "What to change"].map((name, index) => h("th", { scope: "col", class: index === 2 || index === 3 ? "number" : "" }, name)));
    this.table = h("table", { class: "stack misses" }, h("thead", {}, head), body);
    this.rows = new List<Row>(body, ({ miss }) => [miss.policy, miss.route, miss.kind, miss.reason].join("\n"), row);
    this.element = h("section", { id: "misses", "aria-labelledby": "misses-title" }, h("h2", { id: "misses-title" }, "What was not a hit"), this.empty, this.table, this.more, this.failures);
  }

  update(analytics: Analytics): void {
    this.analytics = analytics;
    const { misses, totals } = analytics;
    const all = Object.values(totals.outcomes).reduce((sum, number) => sum + number, 0);
    const shown = this.all ? misses : misses.slice(0, SHOWN);
    this.rows.update(shown.map((miss) => ({ miss, share: all === 0 ? 0 : miss.count / all })));
    show(this.table, misses.length > 0);
    show(this.empty, misses.length === 0);
    show(this.more, shown.length < misses.length);
    setText(this.more, `Show ${misses.length - shown.length} more`);
    const failures = Object.entries(totals.cluster_failures);
    show(this.failures, failures.length > 0);
    setText(this.failures, `Look-ups in the cluster that came to nothing: ${failures.map(([why, number]) => `${why} ${count(number)}`).join(", ")}. The origin was asked instead.`);
  }

  private showAll(): void {
    this.all = true;
    if (this.analytics !== null) {
      this.update(this.analytics);
    }
  }
}

function row({ miss }: Row): { element: HTMLElement; update: (row: Row) => void } {
  const { why, change } = reason(miss);
  const number = h("td", { class: "number", "data-label": "Requests" });
  const share = h("td", { class: "number", "data-label": "Share" });
  const name = { absent: "Miss", revalidated: "Revalidated", not_stored: miss.reason, bypass: miss.reason }[miss.kind];
  const kind = miss.kind === "not_stored" ? "not stored" : miss.kind === "bypass" ? "passed by" : "";
  const element = h(
    "tr",
    { "data-miss": `${miss.route}/${miss.kind}/${miss.reason}` },
    h("th", { scope: "row" }, miss.route, h("span", { class: "note" }, miss.policy)),
    h("td", { class: "why" }, h("strong", {}, name), kind === "" ? null : h("span", { class: "kind" }, ` ${kind}`), h("span", { class: "note" }, why)),
    number,
    share,
    h("td", { class: "change", "data-label": "What to change" }, ...withCode(change)),
  );
  return {
    element,
    update: (row) => {
      setText(number, count(row.miss.count));
      setText(share, percent(row.share));
    },
  };
}

/** Text in which backticks stand around settings. */
function withCode(text: string): (string | HTMLElement)[] {
  return text.split("`").map((part, index) => (index % 2 === 0 ? part : h("code", {}, part)));
}
