// A field for a token that one action needs. The token is the reader's own: it is in the field, and nowhere else.

import type { Api } from "../api";
import { h } from "../dom";

export class TokenField {
  readonly element: HTMLElement;
  private readonly input: HTMLInputElement;

  constructor(
    private readonly api: Api,
    id: string,
    scope: string,
  ) {
    this.input = h("input", { id, type: "password", autocomplete: "off" });
    const note = h("p", { class: "note" }, "Not kept: it ends with this page. A node without tokens needs none.");
    this.element = h("div", { class: "field" }, h("label", { for: id }, `Token with the scope ${scope}`), this.input, note);
  }

  /** What was typed; the token for reading where nothing was. */
  value(): string {
    const typed = this.input.value.trim();
    return typed === "" ? this.api.token : typed;
  }
}
