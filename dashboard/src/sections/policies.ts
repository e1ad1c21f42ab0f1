// The policies of the cluster: which version is in force, which one is evaluated as a shadow, what was before, and going back to it.

import { type Api, ApiError, type Policy, type Version } from "../api";
import { h, List, setAttribute, setText, show } from "../dom";
import { count, plural, when } from "../format";
import { TokenField } from "./token";

/** What a row needs of the page. */
interface Actions {
  rollback: (policy: string, to: number) => Promise<void>;
}

export class Policies {
  readonly element: HTMLElement;
  private readonly list = h("div", { class: "policies" });
  private readonly empty = h("p", { class: "empty" }, "No policy was pushed to the cluster: workers have the one of their own configuration.");
  private readonly policies: List<Policy>;
  private readonly text = h("textarea", { id: "policy-text", rows: 6, spellcheck: "false", required: true, placeholder: '{ "version": 1, "name": "shop", "routes": [] }' });
  private readonly file = h("input", { id: "policy-file", type: "file", accept: ".json,application/json", change: () => void this.load() });
  private readonly comment = h("input", { id: "policy-comment", type: "text", autocomplete: "off" });
  private readonly shadow = h("input", { id: "policy-shadow", type: "checkbox" });
  private readonly button = h("button", { type: "submit" }, "Push");
  private readonly result = h("p", { class: "result", role: "status" });
  private readonly token: TokenField;

  constructor(
    private readonly api: Api,
    private readonly changed: () => void,
  ) {
    this.token = new TokenField(api, "policy-token", "policy");
    const actions = { rollback: (policy: string, to: number) => this.rollback(policy, to) };
    this.policies = new List<Policy>(this.list, ({ name }) => name, (policy) => entry(policy, actions));
    const form = h(
      "form",
      { class: "purge", "aria-labelledby": "push-title", submit: (event) => void this.push(event) },
      h("h3", { id: "push-title" }, "Push a policy"),
      h("div", { class: "field" }, h("label", { for: "policy-file" }, "From a file"), this.file),
      h("div", { class: "field" }, h("label", { for: "policy-text" }, "Policy as JSON"), this.text),
      h("div", { class: "field" }, h("label", { for: "policy-comment" }, "Comment"), this.comment),
      h("div", { class: "field check" }, this.shadow, h("label", { for: "policy-shadow" }, "As a shadow: reported on, not acted on")),
      this.token.element,
      this.button,
      this.result,
    );
    this.element = h(
      "section",
      { id: "policies", "aria-labelledby": "policies-title", hidden: true },
      h("h2", { id: "policies-title" }, "Policies"),
      h("div", { class: "beside" }, h("div", {}, this.empty, this.list), form),
    );
  }

  /** Nothing where the node has no policies to tell of. */
  update(policies: Policy[] | null): void {
    show(this.element, policies !== null);
    if (policies !== null) {
      this.policies.update(policies);
      show(this.empty, policies.length === 0);
    }
  }

  private async load(): Promise<void> {
    const [file] = this.file.files ?? [];
    if (file !== undefined) {
      this.text.value = await file.text();
    }
  }

  private async push(event: Event): Promise<void> {
    event.preventDefault();
    this.button.disabled = true;
    this.say("busy", "Pushing …");
    try {
      await this.api.push(this.text.value, this.shadow.checked, this.comment.value.trim(), this.token.value());
      this.say("good", this.shadow.checked ? "Pushed as a shadow: every worker evaluates it within a second." : "Pushed: every worker takes it up within a second.");
      this.text.value = "";
      this.file.value = "";
    } catch (error) {
      this.say("bad", said(error, "Not pushed"));
    } finally {
      this.button.disabled = false;
      this.changed();
    }
  }

  private async rollback(policy: string, to: number): Promise<void> {
    this.say("busy", `Going back to version ${to} of ${policy} …`);
    try {
      await this.api.rollback(policy, to, this.token.value());
      this.say("good", `Version ${to} of ${policy} is in force again.`);
    } catch (error) {
      this.say("bad", said(error, "Not rolled back"));
    }
    this.changed();
  }

  private say(state: "busy" | "good" | "bad", text: string): void {
    setAttribute(this.result, "data-state", state);
    setText(this.result, text);
  }
}

function said(error: unknown, what: string): string {
  if (error instanceof ApiError) {
    return error.status === 401 ? "The node asks for a token that it knows." : error.status === 403 ? `Not allowed: ${error.message}.` : `${what}: ${error.message}`;
  }
  return String(error);
}

function about({ version, pushed_ms, by, comment }: Version): string {
  return `version ${version}, ${when(pushed_ms, Date.now())}${by === "" ? "" : ` by ${by}`}${comment === "" ? "" : `: ${comment}`}`;
}

function entry({ name }: Policy, actions: Actions): { element: HTMLElement; update: (policy: Policy) => void } {
  const [active, shadow] = [h("p", { class: "policy-active" }), h("p", { class: "policy-shadow" })];
  const workers = h("p", { class: "state" });
  const body = h("tbody");
  const head = h("tr", {}, ...["Version", "When", "Who", "Comment", ""].map((name) => (name === "" ? h("td") : h("th", { scope: "col" }, name))));
  const table = h("table", { class: "stack history" }, h("thead", {}, head), body);
  const summary = h("summary");
  const details = h("details", {}, summary, table);
  const element = h("article", { class: "policy", "data-policy": name }, h("h3", {}, name), active, shadow, workers, details);
  const rows = new List<Version & { active: boolean }>(body, ({ version }) => String(version), (version) => row(name, version, actions));
  return {
    element,
    update: (policy) => {
      setText(active, policy.active === null ? "No version is in force." : `In force: ${about(policy.active)}`);
      show(shadow, policy.shadow !== null);
      setText(shadow, policy.shadow === null ? "" : `Shadow: ${about(policy.shadow)}`);
      const { current, behind, refused } = policy.workers;
      const parts = [`${plural(current, "worker")} up to date`, ...(behind > 0 ? [`${count(behind)} behind`] : []), ...(refused > 0 ? [`${count(refused)} refused it`] : [])];
      setText(workers, `${parts.join(", ")}.`);
      setAttribute(element, "data-state", refused > 0 ? "missed" : behind > 0 ? "close" : "met");
      const versions = [...policy.versions].sort((a, b) => b.version - a.version);
      setText(summary, `History: ${plural(versions.length, "version")}`);
      rows.update(versions.map((version) => ({ ...version, active: version.version === policy.active?.version })));
    },
  };
}

function row(policy: string, { version }: Version, actions: Actions): { element: HTMLElement; update: (version: Version & { active: boolean }) => void } {
  let asked = false;
  const button = h("button", { type: "button", class: "quiet", click: () => click(), blur: () => ask(false) });
  const ask = (now: boolean): void => {
    asked = now;
    setText(button, now ? `Yes, roll back to ${version}` : "Roll back to this");
  };
  const click = (): void => {
    if (asked) {
      ask(false);
      void actions.rollback(policy, version);
    } else {
      ask(true);
    }
  };
  ask(false);
  const inForce = h("strong", {}, "in force");
  const [at, who, why] = [h("td", { "data-label": "When" }), h("td", { "data-label": "Who" }), h("td", { "data-label": "Comment", class: "name" })];
  const element = h("tr", { "data-version": version }, h("th", { scope: "row" }, `${version}`), at, who, why, h("td", {}, button, inForce));
  return {
    element,
    update: (version) => {
      setText(at, when(version.pushed_ms, Date.now()));
      setText(who, version.by);
      setText(why, version.comment);
      show(button, !version.active);
      show(inForce, version.active);
    },
  };
}
