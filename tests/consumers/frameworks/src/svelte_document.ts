// The component of docs/svelte.md, as copied.
import { mount as mountComponent, unmount } from "svelte";
import type { Component } from "svelte";

const documents = import.meta.glob<{ default: Component }>("../documents/svelte/*.svelte");

export async function mount(root: Element) {
  const { default: Chat } = await documents["../documents/svelte/Chat.svelte"]!();
  const component = mountComponent(Chat, { target: root });
  Object.assign(window, { ready: true, unmount: () => unmount(component) });
}
