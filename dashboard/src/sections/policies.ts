// The policies of the cluster: which version is in force, which one is evaluated as a shadow, what was before, and going back to it.

import { type Api, ApiError, type Policy, type ShadowReport, type Version } from "../api";
import { h, List, setAttribute, setText, show } from "../dom";
import { count, plural, when } from "../format";
import { Shadow } from "./shadow";
import { sureButton } from "./sure";
import { TokenField } from "./token";

/** Errors and warnings that are shown; a policy may have thousands. */
const SAID = 10;

/** What a row needs of the page. */
interface Actions {
  rollback: (policy: string, to: number) => void;
  promote: (policy: string) => void;
  endShadow: (policy: string) => void;
}

/** A policy, and what is told of its shadow. */
interface Entry {
  policy: Policy;
  report: ShadowReport | null;
}

export class Policies {
  readonly element: HTMLElement;
  private readonly list = h("div", { class: "policies" });
  private readonly empty = h("p", { class: "empty" }, "No policy was pushed to the cluster: workers have the one of their own configuration.");
  private readonly policies: List<Entry>;
  private readonly text = h("textarea", { id: "policy-text", rows: 6, spellcheck: "false", required: true, placeholder: '{ "version": 1, "name": "shop", "routes": [] }' });
  private readonly file = h("input", { id: "policy-file", type: "file", accept: ".json,application/json", change: () => void this.load() });
  private readonly comment = h("input", { id: "policy-comment", type: "text", autocomplete: "off" });
  private readonly shadow = h("input", { id: "policy-shadow", type: "checkbox" });
  private readonly button = h("button", { type: "submit" }, "Push");
  private readonly result = h("p", { class: "result", role: "status" });
  private readonly said = h("ul", { class: "said", hidden: true });
  private readonly token: TokenField;

  constructor(
    private readonly api: Api,
    private readonly changed: () => void,
  ) {
    this.token = new TokenField(api, "policy-token", "policy");
    const actions = {
      rollback: (policy: string, to: number) =>
        void this.act(`Going back to version ${to} of ${policy} …`, this.api.rollback(policy, to, this.token.value()), `Version ${to} of ${policy} is in force again.`, "Not rolled back"),
      promote: (policy: string) => void this.act(`Putting the shadow of ${policy} in force …`, this.api.promote(policy, this.token.value()), `What was in the shadow of ${policy} is in force.`, "Not put in force"),
      endShadow: (policy: string) => void this.act(`Ending the shadow of ${policy} …`, this.api.endShadow(policy, this.token.value()), `Nothing is in the shadow of ${policy} any more.`, "Not ended"),
    };
    this.policies = new List<Entry>(this.list, ({ policy }) => policy.name, ({ policy }) => entry(policy, actions));
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
      this.said,
    );
    this.element = h(
      "section",
      { id: "policies", "aria-labelledby": "policies-title", hidden: true },
      h("h2", { id: "policies-title" }, "Policies"),
      h("div", { class: "beside" }, h("div", {}, this.empty, this.list), form),
    );
  }

  /** Nothing where whoever looks is not to know; reports by the policy's name. */
  update(policies: Policy[] | null, reports: ReadonlyMap<string, ShadowReport | null>): void {
    show(this.element, policies !== null);
    if (policies !== null) {
      this.policies.update(policies.map((policy) => ({ policy, report: policy.shadow === null ? null : (reports.get(policy.name) ?? null) })));
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
      const { name, version, unchanged, warnings } = await this.api.push(this.text.value, this.shadow.checked, this.comment.value.trim(), this.token.value());
      const what = `version ${version} of ${name}`;
      if (unchanged) {
        this.say("good", `It is ${what} already: nothing was changed.`);
      } else {
        this.say("good", this.shadow.checked ? `Pushed as ${what}, into the shadow: every worker evaluates it within a second.` : `Pushed as ${what}: every worker takes it up within a second.`);
      }
      this.tell((warnings ?? []).map(({ text }) => text));
      this.text.value = "";
      this.file.value = "";
    } catch (error) {
      this.say("bad", said(error, "Not pushed"));
      // One is in the sentence already.
      this.tell(error instanceof ApiError && error.errors.length > 1 ? error.errors : []);
    } finally {
      this.button.disabled = false;
      this.changed();
    }
  }

  private async act(doing: string, asked: Promise<unknown>, done: string, not: string): Promise<void> {
    this.say("busy", doing);
    try {
      await asked;
      this.say("good", done);
    } catch (error) {
      this.say("bad", said(error, not));
    }
    this.changed();
  }

  private say(state: "busy" | "good" | "bad", text: string): void {
    setAttribute(this.result, "data-state", state);
    setText(this.result, text);
    this.tell([]);
  }

  /** Errors or warnings, one a line. */
  private tell(texts: readonly string[]): void {
    const more = texts.length - SAID;
    const lines = more > 0 ? [...texts.slice(0, SAID), `and ${count(more)} more`] : texts;
    this.said.replaceChildren(...lines.map((text) => h("li", {}, text)));
    show(this.said, lines.length > 0);
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

function entry({ name }: Policy, actions: Actions): { element: HTMLElement; update: (entry: Entry) => void } {
  const [active, shadow] = [h("p", { class: "policy-active" }), h("p", { class: "policy-shadow" })];
  const workers = h("p", { class: "state" });
  const report = new Shadow();
  const ends = h(
    "p",
    { class: "actions" },
    sureButton("Put the shadow in force", "Yes, put it in force", () => actions.promote(name)),
    sureButton("End the shadow", "Yes, end it", () => actions.endShadow(name)),
  );
  const body = h("tbody");
  const head = h("tr", {}, ...["Version", "When", "Who", "Comment", ""].map((name) => (name === "" ? h("td") : h("th", { scope: "col" }, name))));
  const table = h("table", { class: "stack history" }, h("thead", {}, head), body);
  const summary = h("summary");
  const details = h("details", {}, summary, table);
  const element = h("article", { class: "policy", "data-policy": name }, h("h3", {}, name), active, workers, shadow, report.element, ends, details);
  const rows = new List<Version & { active: boolean }>(body, ({ version }) => String(version), (version) => row(name, version, actions));
  return {
    element,
    update: ({ policy, report: said }) => {
      setText(active, policy.active === null ? "In force: what workers were configured with." : `In force: ${about(policy.active)}`);
      report.update(said);
      show(ends, policy.shadow !== null);
      show(shadow, policy.shadow !== null);
      setText(shadow, policy.shadow === null ? "" : `Shadow: ${about(policy.shadow)}`);
      const { current, behind, refused, silent } = policy.workers;
      const some = (number: number, what: string): string[] => (number > 0 ? [`${count(number)} ${what}`] : []);
      const parts = [`${plural(current, "worker")} up to date`, ...some(behind, "behind"), ...some(refused, "refused it"), ...some(silent, "silent")];
      setText(workers, policy.damaged ? "Its text is gone from the store of policies: workers keep what they have. Push it again." : `${parts.join(", ")}.`);
      setAttribute(workers, "data-state", policy.damaged || refused > 0 ? "missed" : behind > 0 ? "close" : "met");
      show(details, policy.versions.length > 0);
      setText(summary, `History: ${plural(policy.versions.length, "version")}`);
      rows.update(policy.versions.map((version) => ({ ...version, active: version.version === policy.active?.version })));
    },
  };
}

function row(policy: string, { version }: Version, actions: Actions): { element: HTMLElement; update: (version: Version & { active: boolean }) => void } {
  const button = sureButton("Roll back to this", `Yes, roll back to ${version}`, () => actions.rollback(policy, version));
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
