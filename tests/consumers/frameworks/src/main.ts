// Mounts what the URL names: ?show=room by default, or an entry of the table. It sets `ready` once it is mounted.
const root = document.querySelector("#root")!;
const parameters = new URLSearchParams(location.search);

const shows: { [name: string]: () => Promise<{ mount: (root: Element, parameters: URLSearchParams) => unknown }> } = {
  room: () => import("./room_page.tsx"),
  react: () => import("./react_documents.tsx"),
  vue: () => import("./vue_document.ts"),
  svelte: () => import("./svelte_document.ts"),
};

const { mount } = await shows[parameters.get("show") ?? "room"]!();
mount(root, parameters);
