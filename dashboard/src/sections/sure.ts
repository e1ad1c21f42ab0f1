// A button that is pressed twice: the second time for what cannot be meant by accident.

import { h, setText } from "../dom";

/** Shows `text`, then `sure`; elsewhere in between is back to the first. */
export function sureButton(text: string, sure: string, act: () => void): HTMLButtonElement {
  let asked = false;
  const button = h("button", { type: "button", class: "quiet", click: () => click(), blur: () => ask(false) });
  const ask = (now: boolean): void => {
    asked = now;
    setText(button, now ? sure : text);
  };
  const click = (): void => {
    const meant = asked;
    ask(!meant);
    if (meant) {
      act();
    }
  };
  ask(false);
  return button;
}
