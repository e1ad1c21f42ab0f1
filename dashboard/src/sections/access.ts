// What is in the way of figures: a token that the node asks for, or a node that does not answer.

import { type Api, ApiError } from "../api";
import { h, setText, show } from "../dom";
import { time } from "../format";

export class Access {
  readonly element: HTMLElement;
  private readonly form: HTMLFormElement;
  private readonly field = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
  private readonly why = h("p", { role: "alert" });
  private readonly trouble = h("p", { class: "trouble", role: "alert", hidden: true });

  constructor(api: Api, retry: () => void) {
    const submit = (event: Event): void => {
      event.preventDefault();
      api.token = this.field.value.trim();
      this.field.value = "";
      retry();
    };
    this.form = h(
      "form",
      { class: "access", hidden: true, submit },
      h("h2", {}, "This node asks for a token"),
      this.why,
      h("div", { class: "field" }, h("label", { for: "token" }, "Token with the scope read"), this.field),
      h("p", { class: "note" }, "Make one with larder node token --name NAME --scope read. It is kept in this page's memory only, and ends with it."),
      h("button", { type: "submit" }, "Show the figures"),
    );
    this.element = h("div", {}, this.form, this.trouble);
  }

  /** All is well. */
  clear(): void {
    show(this.form, false);
    show(this.trouble, false);
  }

  /** Something is not; says whether it is worth asking again without being told to. */
  fail(error: ApiError, tokenGiven: boolean, last: number | null): boolean {
    const asks = error.status === 401 || error.status === 403;
    show(this.form, asks);
    show(this.trouble, !asks);
    if (asks) {
      setText(this.why, error.status === 403 ? `Not allowed: ${error.message}.` : tokenGiven ? "The node does not know this token." : "");
      return false;
    }
    const since = last === null ? "" : ` The figures below are of ${time(last)}.`;
    const again = error.status === 0 || error.status >= 500;
    setText(this.trouble, `${error.status === 0 ? "The node does not answer." : error.message}${since}${again ? " Trying again." : ""}`);
    return again;
  }
}
