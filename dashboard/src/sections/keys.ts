// Which URLs are asked for most. Only URLs whose responses are everybody's come here.

import type { Analytics, Key } from "../api";
import { h, List, setText, show } from "../dom";
import { count, percent } from "../format";

const SHOWN = 10;

export class Keys {
  readonly element: HTMLElement;
  private readonly table: HTMLTableElement;
  private readonly empty = h("p", { class: "empty" }, "No URL of a stored response was asked for in this range, since the node started.");
  private readonly more = h("button", { type: "button", class: "quiet", click: () => this.showAll() });
  private readonly rows: List<Key>;
  private all = false;
  private analytics: Analytics | null = null;

  constructor() {
    const body = h("tbody");
    const head = h("tr", {}, ...["URL", "Requests", "Hits", "Hit ratio"].map((name, index) => h("th", { scope: "col", class: index === 0 ? "" : "number" }, name)));
    this.table = h("table", { class: "stack keys" }, h("thead", {}, head), body);
    this.rows = new List<Key>(body, ({ url }) => url, row);
    const about = "Counted where it matters: a URL that is asked for seldom may be missing, and what it shows is never too much.";
    this.element = h("section", { id: "keys", "aria-labelledby": "keys-title" }, h("h2", { id: "keys-title" }, "Top URLs"), h("p", { class: "note" }, about), this.empty, this.table, this.more);
  }

  update(analytics: Analytics): void {
    this.analytics = analytics;
    const { keys } = analytics;
    const shown = this.all ? keys : keys.slice(0, SHOWN);
    this.rows.update(shown);
    show(this.table, keys.length > 0);
    show(this.empty, keys.length === 0);
    show(this.more, shown.length < keys.length);
    setText(this.more, `Show ${keys.length - shown.length} more`);
  }

  private showAll(): void {
    this.all = true;
    if (this.analytics !== null) {
      this.update(this.analytics);
    }
  }
}

function row({ url }: Key): { element: HTMLElement; update: (key: Key) => void } {
  const cell = (label: string) => h("td", { class: "number", "data-label": label });
  const [requests, hits, ratio] = [cell("Requests"), cell("Hits"), cell("Hit ratio")];
  const about = h("span", { class: "note" });
  const element = h("tr", { "data-key": url }, h("th", { scope: "row" }, h("span", { class: "url" }, url), about), requests, hits, ratio);
  return {
    element,
    update: (key) => {
      setText(about, `${key.policy} · ${key.route}`);
      setText(requests, count(key.requests));
      setText(hits, count(key.hits));
      setText(ratio, percent(key.hit_ratio));
    },
  };
}
