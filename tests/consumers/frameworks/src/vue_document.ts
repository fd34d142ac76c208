// The component of docs/vue.md, as copied.
import { createApp } from "vue";
import type { Component } from "vue";

const documents = import.meta.glob<{ default: Component }>("../documents/vue/*.vue");

export async function mount(root: Element) {
  const { default: Chat } = await documents["../documents/vue/Chat.vue"]!();
  const app = createApp(Chat);
  app.mount(root);
  Object.assign(window, { ready: true, unmount: () => app.unmount() });
}
