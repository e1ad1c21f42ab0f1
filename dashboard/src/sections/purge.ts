// Purging from the page, and waiting until every worker has confirmed it. The token is the reader's own: it is in the field, and
// nowhere else.

import { type Api, ApiError, type Delivery } from "../api";
import { h, setAttribute, setText, show } from "../dom";
import { plural, span } from "../format";

const KINDS = [
  { kind: "url", label: "URL", field: "urls", hint: "https://api.example/v1/products/7" },
  { kind: "tag", label: "Tag", field: "tags", hint: "product:7" },
  { kind: "prefix", label: "Prefix", field: "prefixes", hint: "https://api.example/v1/products" },
  { kind: "all", label: "Everything", field: "all", hint: "" },
] as const;

type Kind = (typeof KINDS)[number];

export class PurgeForm {
  readonly element: HTMLFormElement;
  private readonly what = h("input", { id: "purge-what", type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true });
  private readonly whatField: HTMLElement;
  private readonly sure = h("input", { id: "purge-sure", type: "checkbox" });
  private readonly sureField: HTMLElement;
  private readonly soft = h("input", { id: "purge-soft", type: "checkbox" });
  private readonly token = h("input", { id: "purge-token", type: "password", autocomplete: "off" });
  private readonly button = h("button", { type: "submit" }, "Purge");
  private readonly result = h("p", { class: "result", role: "status" });
  private kind: Kind = KINDS[0];

  constructor(
    private readonly api: Api,
    private readonly purged: () => void,
  ) {
    const kinds = KINDS.map((kind) => {
      const input = h("input", { type: "radio", name: "purge-kind", value: kind.kind, checked: kind === this.kind, change: () => this.choose(kind) });
      return h("label", {}, input, kind.label);
    });
    this.whatField = h("div", { class: "field" }, h("label", { for: "purge-what" }, "Which"), this.what);
    this.sureField = h("div", { class: "field check" }, this.sure, h("label", { for: "purge-sure" }, "Yes, everything that is stored"));
    this.element = h(
      "form",
      { class: "purge", "aria-labelledby": "purge-title", submit: (event) => void this.submit(event) },
      h("h3", { id: "purge-title" }, "Purge"),
      h("fieldset", { class: "segments" }, h("legend", { class: "hidden" }, "What to purge"), ...kinds),
      this.whatField,
      this.sureField,
      h("div", { class: "field check" }, this.soft, h("label", { for: "purge-soft" }, "Softly: stale instead of gone")),
      h("div", { class: "field" }, h("label", { for: "purge-token" }, "Token with the scope purge"), this.token, h("p", { class: "note" }, "Not kept: it ends with this page. A node without tokens needs none.")),
      this.button,
      this.result,
    );
    this.choose(this.kind);
  }

  private choose(kind: Kind): void {
    this.kind = kind;
    const all = kind.kind === "all";
    show(this.whatField, !all);
    show(this.sureField, all);
    this.what.required = !all;
    this.sure.required = all;
    this.what.placeholder = kind.hint;
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    const { field } = this.kind;
    const what = field === "all" ? true : [this.what.value.trim()];
    const wanted = { [field]: what, ...(this.soft.checked ? { soft: true } : {}) };
    const token = this.token.value.trim() === "" ? this.api.token : this.token.value.trim();
    this.button.disabled = true;
    this.say("busy", "Purging …");
    const began = performance.now();
    try {
      const purged = await this.api.purge(wanted, token);
      this.sure.checked = false;
      this.say("busy", `Purged, number ${purged.sequence}. Waiting for the workers …`);
      this.purged();
      const delivery = await this.api.delivery(purged, token);
      const took = span(performance.now() - began);
      this.say(delivery.delivered ? "good" : "bad", `Purged, number ${purged.sequence}. ${confirmed(delivery, took)}`);
    } catch (error) {
      this.say("bad", error instanceof ApiError ? advice(error) : String(error));
    } finally {
      this.button.disabled = false;
    }
  }

  private say(state: "busy" | "good" | "bad", text: string): void {
    setAttribute(this.result, "data-state", state);
    setText(this.result, text);
  }
}

function confirmed({ delivered, workers }: Delivery, took: string): string {
  if (!delivered) {
    return `Not confirmed after ${took} by ${workers.pending.join(", ")}: what they hold in their own memory is used until they hear of it.`;
  }
  const silent = workers.silent.length === 0 ? "" : ` ${plural(workers.silent.length, "silent worker")} use nothing of their own memory.`;
  const who = workers.confirmed.length === 0 ? "No worker holds anything of its own" : `Confirmed by ${plural(workers.confirmed.length, "worker")} within ${took}`;
  return `${who}.${silent}`;
}

function advice({ status, message }: ApiError): string {
  switch (status) {
    case 401:
      return "The node asks for a token that it knows.";
    case 403:
      return `Not allowed: ${message}.`;
    default:
      return `Not purged: ${message}`;
  }
}
