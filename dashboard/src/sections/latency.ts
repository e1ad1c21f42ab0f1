// How long requests took, by the way in which they were answered: one percentile over time, all of them in a table.

import type { Analytics, Latency as Figures, LatencySteps } from "../api";
import { Chart } from "../charts/chart";
import { times, values } from "../charts/series";
import { h, List, setText, show } from "../dom";
import { count, duration } from "../format";
import { type Outcome, present } from "../outcomes";

const PERCENTILES = ["p50", "p95", "p99"] as const;
type Percentile = (typeof PERCENTILES)[number];

const ABOUT: Record<Percentile, string> = {
  p50: "Half of the requests took no longer",
  p95: "19 of 20 requests took no longer",
  p99: "99 of 100 requests took no longer",
};

interface Row extends Outcome {
  figures: Figures;
  longest: number;
}

export class Latency {
  readonly element: HTMLElement;
  private readonly chart = new Chart({ id: "chart-latency", title: "Time to answer", format: duration });
  private readonly table: HTMLTableElement;
  private readonly choice: HTMLElement;
  private readonly empty = h("p", { class: "empty" }, "No times in this range: nothing was asked for, or workers do not report them.");
  private readonly rows: List<Row>;
  private percentile: Percentile = "p95";
  private analytics: Analytics | null = null;

  constructor() {
    const body = h("tbody");
    const columns = ["Outcome", "Requests", "p50", "p95", "p99"];
    const head = h("tr", {}, ...columns.map((name, index) => h("th", { scope: "col", class: index === 0 ? "" : "number" }, name)));
    this.table = h("table", { class: "stack latencies" }, h("thead", {}, head), body);
    this.rows = new List<Row>(body, ({ name }) => name, row);
    const inputs = PERCENTILES.map((name) => {
      const input = h("input", { type: "radio", name: "percentile", value: name, checked: name === this.percentile, change: () => this.choose(name) });
      return h("label", { title: ABOUT[name] }, input, name);
    });
    this.choice = h("fieldset", { class: "segments percentiles" }, h("legend", { class: "hidden" }, "Which percentile the chart shows"), ...inputs);
    this.element = h(
      "section",
      { id: "latency", "aria-labelledby": "latency-title" },
      h("h2", { id: "latency-title" }, "Latency"),
      h("p", { class: "note" }, "From the request's head to the response's head, as workers count it: in steps from 1 ms to 5 s."),
      this.choice,
      this.chart.element,
      this.table,
      this.empty,
    );
  }

  update(analytics: Analytics): void {
    this.analytics = analytics;
    const { latency } = analytics.totals;
    const outcomes = present(latency);
    const longest = analytics.latency_bounds_ms.at(-1) ?? Number.POSITIVE_INFINITY;
    const field = `${this.percentile}_ms` as const;
    const lines = outcomes.map(({ name, label, color }) => {
      const steps: LatencySteps | undefined = analytics.latency_by_step[name];
      return { label, color, values: values(analytics, (index) => steps?.[field][index] ?? null) };
    });
    const said = outcomes.map(({ name, label }) => `${label} ${within(latency[name]?.[field] ?? null, longest)}`);
    const summary = said.length === 0 ? "No times in this range" : `${this.percentile} over the whole range: ${said.join(" · ")}`;
    this.chart.update({ times: times(analytics), stepMs: analytics.step_ms, marks: analytics.marks, lines, summary });
    this.rows.update(outcomes.flatMap((outcome) => {
      const figures = latency[outcome.name];
      return figures === undefined ? [] : [{ ...outcome, figures, longest }];
    }));
    for (const element of [this.table, this.choice, this.chart.element]) {
      show(element, outcomes.length > 0);
    }
    show(this.empty, outcomes.length === 0);
  }

  private choose(percentile: Percentile): void {
    this.percentile = percentile;
    if (this.analytics !== null) {
      this.update(this.analytics);
    }
  }
}

/** Beyond the longest step that is counted, nothing more is known. */
function within(ms: number | null, longest: number): string {
  return ms === null ? "–" : ms >= longest ? `${duration(longest)} or more` : duration(ms);
}

function row({ name, label, color }: Row): { element: HTMLElement; update: (row: Row) => void } {
  const key = h("span", { class: "key", "aria-hidden": "true" });
  key.style.background = `var(${color})`;
  const cells = ["Requests", ...PERCENTILES].map((name) => h("td", { class: "number", "data-label": name }));
  const element = h("tr", { "data-latency": name }, h("th", { scope: "row" }, key, label), ...cells);
  return {
    element,
    update: ({ figures, longest }) => {
      const said = [count(figures.requests), ...PERCENTILES.map((percentile) => within(figures[`${percentile}_ms`], longest))];
      cells.forEach((cell, index) => setText(cell, said[index] ?? ""));
    },
  };
}
