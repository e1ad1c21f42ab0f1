// Warming: which node does it, what came of each URL the last time, and doing it now.

import { type Api, ApiError, type Warmed, type Warming as State } from "../api";
import { h, List, setAttribute, setText, show } from "../dom";
import { plural, when } from "../format";
import { TokenField } from "./token";

const SHOWN = 50;

const OUTCOMES: Record<string, string> = { warmed: "Warmed", fresh: "Fresh already", not_stored: "Not stored", failed: "Failed" };

export class Warming {
  readonly element: HTMLElement;
  private readonly state = h("p", { "data-figure": "warming" });
  private readonly table: HTMLTableElement;
  private readonly more = h("p", { class: "note" });
  private readonly rows: List<Warmed>;
  private readonly button = h("button", { type: "submit" }, "Warm now");
  private readonly result = h("p", { class: "result", role: "status" });
  private readonly token: TokenField;

  constructor(
    private readonly api: Api,
    private readonly changed: () => void,
  ) {
    this.token = new TokenField(api, "warm-token", "policy");
    const body = h("tbody");
    const head = h("tr", {}, ...["URL", "Last time", "When", "Next"].map((name) => h("th", { scope: "col" }, name)));
    this.table = h("table", { class: "stack warming" }, h("thead", {}, head), body);
    this.rows = new List<Warmed>(body, ({ url }) => url, row);
    const form = h(
      "form",
      { class: "purge", "aria-labelledby": "warm-title", submit: (event) => void this.run(event) },
      h("h3", { id: "warm-title" }, "Warm"),
      h("p", { class: "note" }, "Asks through Envoy for everything that the policies list, now instead of when it is due."),
      this.token.element,
      this.button,
      this.result,
    );
    this.element = h(
      "section",
      { id: "warming", "aria-labelledby": "warming-title", hidden: true },
      h("h2", { id: "warming-title" }, "Warming"),
      h("div", { class: "beside" }, h("div", {}, this.state, this.table, this.more), form),
    );
  }

  /** Nothing where the node does not warm. */
  update(warming: State | null): void {
    show(this.element, warming !== null);
    if (warming === null) {
      return;
    }
    setText(this.state, words(warming));
    // What failed is what somebody looks for.
    const urls = [...warming.urls].sort((a, b) => Number(b.last?.outcome === "failed") - Number(a.last?.outcome === "failed"));
    this.rows.update(urls.slice(0, SHOWN));
    show(this.table, urls.length > 0);
    show(this.more, urls.length > SHOWN);
    setText(this.more, `${plural(urls.length - SHOWN, "more URL")}.`);
  }

  private async run(event: Event): Promise<void> {
    event.preventDefault();
    this.button.disabled = true;
    this.say("busy", "Asking for it …");
    try {
      await this.api.warm(this.token.value());
      this.say("good", "Begun.");
    } catch (error) {
      this.say("bad", error instanceof ApiError ? (error.status === 401 ? "The node asks for a token that it knows." : `Not begun: ${error.message}`) : String(error));
    } finally {
      this.button.disabled = false;
      this.changed();
    }
  }

  private say(state: "busy" | "good" | "bad", text: string): void {
    setAttribute(this.result, "data-state", state);
    setText(this.result, text);
  }
}

function words({ state, holder, urls }: State): string {
  const of = `${plural(urls.length, "URL")} listed.`;
  switch (state) {
    case "running":
      return `This node is warming. ${of}`;
    case "idle":
      return `This node warms, and waits for what is due. ${of}`;
    case "standby":
      return holder === null ? `No node warms just now. ${of}` : `Node ${holder} warms; this one stands by. ${of}`;
    case "off":
      return "Nothing is warmed: no policy lists URLs, or the node was not told by which Envoy.";
  }
}

function row({ url }: Warmed): { element: HTMLElement; update: (warmed: Warmed) => void } {
  const outcome = h("td", { class: "state", "data-label": "Last time" });
  const [at, next] = [h("td", { "data-label": "When" }), h("td", { "data-label": "Next" })];
  const element = h("tr", { "data-warm": url }, h("th", { scope: "row", class: "name" }, url), outcome, at, next);
  return {
    element,
    update: ({ last, next_ms }) => {
      const detail = last === null || last.detail === "" ? "" : `: ${last.detail}`;
      setText(outcome, last === null ? "Not yet" : `${OUTCOMES[last.outcome] ?? last.outcome}${detail}`);
      setAttribute(element, "data-state", last === null ? "no_requests" : last.outcome === "failed" ? "missed" : last.outcome === "not_stored" ? "close" : "met");
      setText(at, last === null ? "" : when(last.at_ms, Date.now()));
      setText(next, next_ms === null ? "" : when(next_ms, Date.now()));
    },
  };
}
