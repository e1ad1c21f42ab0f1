// What happened in the range: purges, policies, warming, starts and stops.

import type { Analytics, Mark } from "../api";
import { h, List, setText, show } from "../dom";
import { count, when } from "../format";
import { markAbout, markTitle } from "../marks";

const SHOWN = 15;

export class Events {
  readonly element: HTMLElement;
  private readonly table: HTMLTableElement;
  private readonly empty = h("p", { class: "empty" }, "Nothing was purged or warmed in this range, no policy changed, and the node neither started nor stopped.");
  private readonly more = h("p", { class: "note" });
  private readonly rows: List<Mark & { now_ms: number }>;

  constructor() {
    const body = h("tbody");
    const head = h("tr", {}, ...["When", "What", "Of what", "Who"].map((name) => h("th", { scope: "col" }, name)));
    this.table = h("table", { class: "stack events" }, h("thead", {}, head), body);
    this.rows = new List<Mark & { now_ms: number }>(body, ({ at_ms, kind }) => `${at_ms} ${kind}`, row);
    this.element = h("div", { id: "events" }, this.empty, this.table, this.more);
  }

  update({ marks, now_ms }: Analytics): void {
    const newest = marks.toReversed();
    this.rows.update(newest.slice(0, SHOWN).map((mark) => ({ ...mark, now_ms })));
    show(this.table, marks.length > 0);
    show(this.empty, marks.length === 0);
    show(this.more, marks.length > SHOWN);
    setText(this.more, `${count(Math.max(0, marks.length - SHOWN))} earlier ones are marks in the charts.`);
  }
}

function row(mark: Mark & { now_ms: number }): { element: HTMLElement; update: (mark: Mark & { now_ms: number }) => void } {
  const [what, about, who] = [h("td", { "data-label": "What" }), h("td", { class: "name", "data-label": "Of what" }), h("td", { "data-label": "Who" })];
  const element = h("tr", { "data-mark": mark.kind }, h("th", { scope: "row" }, when(mark.at_ms, mark.now_ms)), what, about, who);
  return {
    element,
    update: (mark) => {
      setText(what, markTitle(mark));
      setText(about, markAbout(mark));
      setText(who, mark.who.join(", "));
    },
  };
}
