// Warming: which node does it, what came of each URL the last time, and doing it now.

import { type Api, ApiError, type Warmed, type Warming as State } from "../api";
import { h, List, setAttribute, setText, show } from "../dom";
import { count, plural, when } from "../format";
import { TokenField } from "./token";

const SHOWN = 50;
const REFUSED_SHOWN = 5;

const OUTCOMES: Record<string, string> = { warmed: "Warmed", fresh: "Fresh already", not_stored: "Not stored", failed: "Failed" };

export class Warming {
  readonly element: HTMLElement;
  private readonly state = h("p", { "data-figure": "warming" });
  private readonly table: HTMLTableElement;
  private readonly more = h("p", { class: "note" });
  private readonly refused = h("ul", { class: "said" });
  private readonly refusedTitle = h("p", { class: "state", "data-state": "missed" });
  private readonly rows: List<Warmed>;
  private readonly button = h("button", { type: "submit" }, "Warm now");
  private readonly result = h("p", { class: "result", role: "status" });
  private readonly token: TokenField;

  constructor(
    private readonly api: Api,
    private readonly changed: () => void,
  ) {
    this.token = new TokenField(api, "warm-token", "purge");
    const body = h("tbody");
    const head = h("tr", {}, ...["URL", "Last time", "When", "Next"].map((name) => h("th", { scope: "col" }, name)));
    this.table = h("table", { class: "stack warming" }, h("thead", {}, head), body);
    this.rows = new List<Warmed>(body, key, row);
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
      h("div", { class: "beside" }, h("div", {}, this.state, this.table, this.more, this.refusedTitle, this.refused), form),
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
    const requests = [...warming.requests].sort((a, b) => Number(b.last?.outcome === "failed") - Number(a.last?.outcome === "failed"));
    const left = warming.total - Math.min(requests.length, SHOWN);
    this.rows.update(requests.slice(0, SHOWN));
    show(this.table, requests.length > 0);
    show(this.more, left > 0);
    setText(this.more, `${plural(left, "more request")}.`);
    show(this.refusedTitle, warming.refused_in_all > 0);
    show(this.refused, warming.refused_in_all > 0);
    setText(this.refusedTitle, `${plural(warming.refused_in_all, "URL")} of the policies ${warming.refused_in_all === 1 ? "is" : "are"} not warmed:`);
    const refused = warming.refused.slice(0, REFUSED_SHOWN).map(({ url, why }) => `${url}: ${why}`);
    const hidden = warming.refused_in_all - refused.length;
    const lines = hidden > 0 ? [...refused, `and ${count(hidden)} more`] : refused;
    if ([...this.refused.children].map(({ textContent }) => textContent).join("\n") !== lines.join("\n")) {
      this.refused.replaceChildren(...lines.map((line) => h("li", {}, line)));
    }
  }

  private async run(event: Event): Promise<void> {
    event.preventDefault();
    this.button.disabled = true;
    this.say("busy", "Asking for it …");
    try {
      const { requests } = await this.api.warm(this.token.value());
      this.say("good", requests === 0 ? "There is nothing to warm." : `Begun: ${plural(requests, "request")}.`);
    } catch (error) {
      this.say("bad", error instanceof ApiError ? (error.status === 401 ? "The node asks for a token that it knows." : error.status === 403 ? `Not allowed: ${error.message}.` : `Not begun: ${error.message}`) : String(error));
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

/** The URL alone may be asked for in several variants. */
function key({ url, headers }: Warmed): string {
  return [url, ...headers.map(([name, value]) => `${name}: ${value}`)].join("\n");
}

function words({ holder, running, total, via }: State): string {
  const of = total === 0 ? "No policy in force lists URLs." : `${plural(total, "request")} listed.`;
  switch (holder.state) {
    case "here":
      return running ? `This node is warming through ${via}. ${of}` : `This node warms through ${via}, and waits for what is due. ${of}`;
    case "elsewhere":
      return `Node ${holder.name} warms; this one stands by. ${of}`;
    case "unknown":
      return `This node does not warm: nobody can say whose turn it is (${holder.name}). ${of}`;
  }
}

function row({ url, headers }: Warmed): { element: HTMLElement; update: (warmed: Warmed) => void } {
  const outcome = h("td", { class: "state", "data-label": "Last time" });
  const [at, next] = [h("td", { "data-label": "When" }), h("td", { "data-label": "Next" })];
  const variant = headers.map(([name, value]) => `${name}: ${value}`).join(", ");
  const name = h("th", { scope: "row", class: "name" }, url, variant === "" ? null : h("span", { class: "note" }, variant));
  const element = h("tr", { "data-warm": url }, name, outcome, at, next);
  return {
    element,
    update: ({ last, next_ms }) => {
      const reason = last === null || last.reason === null ? "" : `: ${last.reason}`;
      setText(outcome, last === null ? "Not yet" : `${OUTCOMES[last.outcome] ?? last.outcome}${reason}`);
      setAttribute(element, "data-state", last === null ? "no_requests" : last.outcome === "failed" ? "missed" : last.outcome === "not_stored" ? "close" : "met");
      setText(at, last === null ? "" : when(last.at_ms, Date.now()));
      setText(next, when(next_ms, Date.now()));
    },
  };
}
