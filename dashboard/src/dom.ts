// Making and changing elements. What is shown changes every second: an element is changed only where it has to be, so that focus,
// selection and what a screen reader is reading stay where they are.

export type Child = Node | string | number | null;
type Attributes = Record<string, string | number | boolean | null | ((event: Event) => void)>;

const ROLES: Record<string, string> = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", td: "cell" };

/** Makes an element. Attributes that are functions are listeners; those that are false or null are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  // Narrow screens show rows as blocks, and what is no table to the style sheet is none to a screen reader, unless it is said so.
  const role = tag === "th" ? (attributes["scope"] === "row" ? "rowheader" : "columnheader") : ROLES[tag];
  if (role !== undefined) {
    element.setAttribute("role", role);
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else if (value !== false && value !== null) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null).map((child) => (typeof child === "number" ? String(child) : child)));
  return element;
}

/** Sets an element's text where it is another. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Shows or hides. */
export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) {
    element.hidden = !shown;
  }
}

/** Sets an attribute, or removes it, where it is another. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== value) {
    element.setAttribute(name, value);
  }
}

/** Keeps the children of an element in step with items: one element for each, made once, and told of every change. */
export class List<T> {
  private readonly known = new Map<string, { element: HTMLElement; update: (item: T) => void }>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly key: (item: T) => string,
    private readonly make: (item: T) => { element: HTMLElement; update: (item: T) => void },
  ) {}

  update(items: readonly T[]): void {
    const wanted = new Set(items.map(this.key));
    for (const [key, { element }] of this.known) {
      if (!wanted.has(key)) {
        element.remove();
        this.known.delete(key);
      }
    }
    let before: Element | null = this.parent.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      let row = this.known.get(key);
      if (row === undefined) {
        row = this.make(item);
        this.known.set(key, row);
      }
      row.update(item);
      if (row.element === before) {
        before = before.nextElementSibling;
      } else {
        this.parent.insertBefore(row.element, before);
      }
    }
  }
}
