// A list that the server extends, and a form.
import { show } from "../numbers.ts";

/** Shows each item that is added to the list. */
export function showItems(): void {
  const list = document.querySelector("#list")!;
  let count = 0;
  new MutationObserver(() => {
    while (count < list.children.length) show(Number(list.children[count++]!.textContent));
  }).observe(list, { childList: true });
}

/** Submits the form with a number. */
export function submit(number: number): void {
  const form = document.querySelector("form")!;
  form.querySelector("input")!.value = String(number);
  form.requestSubmit();
}
