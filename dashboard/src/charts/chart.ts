// A chart over time: lines or stacked areas, what happened as marks, a line of text that says the figures under the cursor, and the
// same figures as a table. The cursor follows the pointer, or the arrow keys.

import uPlot from "uplot";
import type { Mark } from "../api";
import { h, setText, show } from "../dom";
import { time } from "../format";
import { markText } from "../marks";

export interface Line {
  label: string;
  /** The style sheet's variable. */
  color: string;
  values: (number | null)[];
  /** Not an area, and dashed: something to hold the others against. */
  dashed?: boolean;
}

export interface Data {
  /** The begin of each step, in milliseconds since 1970. */
  times: number[];
  stepMs: number;
  lines: Line[];
  marks: Mark[];
  /** What is said while nothing is under the cursor. */
  summary: string;
}

export interface Kind {
  id: string;
  title: string;
  format: (value: number) => string;
  /** One upon the other, as areas. */
  stacked?: boolean;
  /** The axis goes from 0 up to this. */
  max?: number;
  /** Where the axis may have lines: multiples of these. */
  increments?: number[];
}

const HEIGHT = 180;
const TABLE_ROWS = 24;
const LINES_MAX = 24;
const DAY_MS = 86_400_000;

export class Chart {
  readonly element: HTMLElement;
  private readonly canvas = h("div", { class: "chart-canvas", tabindex: "0", role: "group" });
  private readonly readout = h("p", { class: "readout" });
  private readonly legend = h("ul", { class: "legend" });
  private readonly table = h("table", { class: "figures-table" });
  private readonly asTable: HTMLDetailsElement;
  private plot: uPlot | null = null;
  private shape = "";
  private data: Data | null = null;
  /** Which step the cursor is on. */
  private index: number | null = null;
  /** The begin of that step, where keys have chosen it: pixels are too coarse to tell one step from the next. */
  private keyed: number | null = null;

  constructor(private readonly kind: Kind) {
    const title = h("h3", { id: `${kind.id}-title` }, kind.title);
    this.canvas.setAttribute("aria-label", `${kind.title}, over time. Arrow keys move through the figures.`);
    this.asTable = h("details", {}, h("summary", {}, "Figures as a table"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${kind.title}, figures` }, this.table));
    this.element = h("figure", { class: "chart", "aria-labelledby": `${kind.id}-title`, id: kind.id }, title, this.readout, this.canvas, this.legend, this.asTable);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.leave());
    this.canvas.addEventListener("pointermove", () => (this.keyed = null));
    this.asTable.addEventListener("toggle", () => this.tabulate());
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.canvas);
    addEventListener("themed", () => this.rebuild());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  update(data: Data): void {
    this.data = data;
    const shape = data.lines.map(({ label }) => label).join("\n");
    if (this.plot === null || shape !== this.shape) {
      this.shape = shape;
      this.explain(data.lines);
      this.rebuild();
    } else {
      this.plot.setData(this.columns());
    }
    if (this.keyed !== null) {
      this.moveTo(data.times.indexOf(this.keyed));
    }
    this.say();
    this.tabulate();
  }

  /** Which line is which. Of areas, a table beside the chart says so. */
  private explain(lines: Line[]): void {
    const entries = lines.map(({ label, color, dashed }) => {
      const key = h("span", { class: dashed ? "key dashed" : "key line", "aria-hidden": "true" });
      key.style.borderColor = `var(${color})`;
      return h("li", {}, key, label);
    });
    show(this.legend, entries.length > 1 && !this.kind.stacked);
    this.legend.replaceChildren(...entries);
  }

  private size(): { width: number; height: number } {
    return { width: Math.max(200, this.canvas.clientWidth), height: HEIGHT };
  }

  /** What is drawn: for stacked areas, each line is the sum of those up to it, and the tallest comes first, behind the others. */
  private drawn(): { line: Line; values: (number | null)[] }[] {
    const lines = this.data?.lines ?? [];
    if (!this.kind.stacked) {
      return lines.map((line) => ({ line, values: line.values }));
    }
    const sums: (number | null)[] = (this.data?.times ?? []).map(() => null);
    const drawn = lines.map((line) => {
      line.values.forEach((value, index) => {
        if (value !== null) {
          sums[index] = (sums[index] ?? 0) + value;
        }
      });
      return { line, values: [...sums] };
    });
    return drawn.reverse();
  }

  private columns(): uPlot.AlignedData {
    const times = (this.data?.times ?? []).map((ms) => ms / 1000);
    return [times, ...this.drawn().map(({ values }) => values)];
  }

  private rebuild(): void {
    this.plot?.destroy();
    this.plot = null;
    if (this.data === null || this.data.times.length === 0) {
      return;
    }
    const color = (variable: string) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
    const faint = color("--ink-2");
    const axis = { stroke: faint, font: "12px system-ui, sans-serif", ticks: { show: false } };
    const grid = { stroke: color("--line"), width: 1 };
    const { max } = this.kind;
    const options: uPlot.Options = {
      ...this.size(),
      legend: { show: false },
      padding: [10, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !this.kind.stacked, size: 6 } },
      scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, max ?? niceMax(high)] } },
      axes: [
        { ...axis, grid: { show: false }, space: 70, size: 30, values: timeLabels },
        {
          ...axis,
          grid,
          size: 72,
          space: 32,
          values: (_plot, splits) => splits.map((value) => this.kind.format(value)),
          ...(this.kind.increments ? { incrs: this.kind.increments } : {}),
        },
      ],
      series: [
        {},
        ...this.drawn().map(({ line }): uPlot.Series => ({
          label: line.label,
          stroke: color(line.color),
          width: line.dashed ? 1.5 : this.kind.stacked ? 1 : 2,
          points: { show: false },
          ...(line.dashed ? { dash: [6, 4] } : {}),
          ...(this.kind.stacked ? { fill: color(line.color) } : {}),
        })),
      ],
      hooks: {
        setCursor: [(plot) => this.point(plot.cursor.idx ?? null)],
        draw: [(plot) => this.drawMarks(plot, { purge: color("--mark"), policy: color("--revalidated"), warm: color("--close") }, faint)],
      },
    };
    this.plot = new uPlot(options, this.columns(), this.canvas);
  }

  private drawMarks(plot: uPlot, colors: Partial<Record<Mark["kind"], string>>, other: string): void {
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    const marks = this.data?.marks ?? [];
    ctx.save();
    for (const mark of marks) {
      const x = Math.round(plot.valToPos(mark.at_ms / 1000, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) {
        continue;
      }
      ctx.strokeStyle = ctx.fillStyle = colors[mark.kind] ?? other;
      ctx.lineWidth = scale;
      ctx.setLineDash(mark.kind === "purge" ? [] : [3 * scale, 3 * scale]);
      // Where there are many, lines would hide the figures: a flag each is enough.
      if (marks.length <= LINES_MAX) {
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.beginPath();
      ctx.moveTo(x - 4 * scale, bbox.top - 6 * scale);
      ctx.lineTo(x + 4 * scale, bbox.top - 6 * scale);
      ctx.lineTo(x, bbox.top);
      ctx.fill();
    }
    ctx.restore();
  }

  /** Where the pointer is. */
  private point(index: number | null): void {
    if (this.keyed === null) {
      this.index = index;
      this.say();
    }
  }

  private leave(): void {
    this.readout.removeAttribute("role");
    this.keyed = null;
    this.index = null;
    this.plot?.setCursor({ left: -10, top: -10 });
    this.say();
  }

  /** Where the keys have led. */
  private moveTo(index: number): void {
    const at = this.data?.times[index];
    if (at === undefined || this.plot === null) {
      this.leave();
      return;
    }
    this.keyed = at;
    this.index = index;
    this.plot.setCursor({ left: this.plot.valToPos(at / 1000, "x"), top: 0 });
    this.say();
  }

  private key(event: KeyboardEvent): void {
    const last = (this.data?.times.length ?? 0) - 1;
    const from = this.index ?? last;
    const step = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: from - step, ArrowRight: from + step, Home: 0, End: last }[event.key];
    if (event.key === "Escape") {
      this.leave();
    } else if (to !== undefined && this.plot !== null && last >= 0) {
      event.preventDefault();
      // Said only to who moves by keys: a pointer would make it talk without end.
      this.readout.setAttribute("role", "status");
      this.moveTo(Math.min(last, Math.max(0, to)));
    }
  }

  private say(): void {
    const { data, index } = this;
    if (data === null) {
      return;
    }
    const at = index === null ? undefined : data.times[index];
    if (at === undefined || index === null) {
      setText(this.readout, data.summary);
      return;
    }
    const long = data.stepMs * data.times.length > DAY_MS / 2;
    const figures = data.lines.map(({ label, values }) => {
      const value = values[index] ?? null;
      // Of areas, those that are not there need not be said.
      return value === null || (value === 0 && this.kind.stacked) ? null : `${label} ${this.kind.format(value)}`;
    });
    const marks = data.marks.filter(({ at_ms }) => at_ms >= at && at_ms < at + data.stepMs).map(markText);
    const said = [...figures, ...marks].filter((text) => text !== null);
    setText(this.readout, `${time(at, long)}: ${said.length > 0 ? said.join(" · ") : "nothing"}`);
  }

  /** The figures in a few rows, of the mean of their steps. Made only while somebody looks at it. */
  private tabulate(): void {
    const { data } = this;
    if (!this.asTable.open || data === null) {
      return;
    }
    const each = Math.max(1, Math.ceil(data.times.length / TABLE_ROWS));
    const head = h("tr", {}, h("th", { scope: "col" }, "From"), ...data.lines.map(({ label }) => h("th", { scope: "col", class: "number" }, label)));
    const rows: HTMLElement[] = [];
    for (let begin = 0; begin < data.times.length; begin += each) {
      const cells = data.lines.map(({ values }) => {
        const some = values.slice(begin, begin + each).filter((value) => value !== null);
        const mean = some.reduce((sum, value) => sum + value, 0) / some.length;
        return h("td", { class: "number" }, some.length === 0 ? "–" : this.kind.format(mean));
      });
      rows.push(h("tr", {}, h("th", { scope: "row" }, time(data.times[begin] ?? 0, data.stepMs >= 60_000)), ...cells));
    }
    show(this.table, true);
    this.table.replaceChildren(h("thead", {}, head), h("tbody", {}, ...rows));
  }
}

/** A little more than the largest value, and something where all is zero. */
function niceMax(high: number | null): number {
  return high === null || high <= 0 ? 1 : high * 1.08;
}

/** Times of day; where the axis is longer than a day, the day. */
function timeLabels(_plot: uPlot, splits: number[], _axis: number, _space: number, increment: number): string[] {
  const options: Intl.DateTimeFormatOptions =
    increment >= 86_400
      ? { day: "numeric", month: "short" }
      : { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(increment < 60 ? { second: "2-digit" } : {}) };
  const format = new Intl.DateTimeFormat("en", options);
  return splits.map((seconds) => format.format(seconds * 1000));
}
