// Hit ratio and traffic over time, and how many requests were answered in which way.

import type { Analytics } from "../api";
import { Chart } from "../charts/chart";
import { perSecond, ratios, sum, times } from "../charts/series";
import { h, List, setText, show } from "../dom";
import { count, percent, rate } from "../format";
import { type Outcome, present } from "../outcomes";

interface Share extends Outcome {
  number: number;
  share: number;
}

export class Traffic {
  readonly element: HTMLElement;
  private readonly ratio = new Chart({ id: "chart-hit-ratio", title: "Hit ratio", format: percentAxis, max: 1, increments: [0.25, 0.5] });
  private readonly traffic = new Chart({ id: "chart-traffic", title: "Requests by outcome", format: rate, stacked: true });
  private readonly table: HTMLTableElement;
  private readonly empty = h("p", { class: "empty" }, "No requests in this range.");
  private readonly rows: List<Share>;

  constructor() {
    const body = h("tbody");
    const head = h("tr", {}, h("th", { scope: "col" }, "Outcome"), h("th", { scope: "col", class: "number" }, "Requests"), h("th", { scope: "col", class: "number" }, "Share"));
    this.table = h("table", { class: "outcomes" }, h("thead", {}, head), body);
    this.rows = new List<Share>(body, ({ name }) => name, row);
    this.element = h(
      "section",
      { id: "traffic", "aria-labelledby": "traffic-title" },
      h("h2", { id: "traffic-title" }, "Traffic"),
      this.ratio.element,
      this.traffic.element,
      this.table,
      this.empty,
    );
  }

  update(analytics: Analytics): void {
    const { totals, by_step, marks } = analytics;
    const common = { times: times(analytics), stepMs: analytics.step_ms, marks };
    const line = { label: "Hit ratio", color: "--accent", values: ratios(analytics, by_step.hits, by_step.requests) };
    const [only] = analytics.routes;
    const target = analytics.routes.length === 1 ? (only?.target_hit_ratio ?? null) : null;
    const held = { label: "Target", color: "--ink-2", dashed: true, values: common.times.map(() => target) };
    const ratioSummary = totals.hit_ratio === null ? "No requests in this range" : `${percent(totals.hit_ratio)} over the whole range`;
    this.ratio.update({ ...common, lines: target === null ? [line] : [line, held], summary: ratioSummary });

    const outcomes = present(totals.outcomes);
    const lines = outcomes.map(({ name, label, color }) => ({ label, color, values: perSecond(analytics, by_step.outcomes[name] ?? []) }));
    const all = sum(Object.values(totals.outcomes));
    this.traffic.update({ ...common, lines, summary: all === 0 ? "No requests in this range" : `${count(all)} requests over the whole range` });
    this.rows.update(outcomes.map((outcome) => ({ ...outcome, number: totals.outcomes[outcome.name] ?? 0, share: (totals.outcomes[outcome.name] ?? 0) / all })));
    show(this.table, outcomes.length > 0);
    show(this.empty, outcomes.length === 0);
  }
}

function row({ name, label, about, color }: Share): { element: HTMLElement; update: (share: Share) => void } {
  const key = h("span", { class: "key", "aria-hidden": "true" });
  key.style.background = `var(${color})`;
  const number = h("td", { class: "number" });
  const share = h("td", { class: "number" });
  const element = h("tr", { "data-outcome": name }, h("th", { scope: "row" }, key, label, h("span", { class: "note" }, about)), number, share);
  return {
    element,
    update: (outcome) => {
      setText(number, count(outcome.number));
      setText(share, percent(outcome.share));
    },
  };
}

function percentAxis(value: number): string {
  return Number.isInteger(value * 100) ? `${value * 100} %` : percent(value);
}
