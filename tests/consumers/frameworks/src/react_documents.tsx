// The components of docs/react.md, as copied: ?document=N&component=NAME, within a provider if one is named.
import { Fragment, StrictMode, createElement } from "react";
import type { ComponentType } from "react";
import { createRoot } from "react-dom/client";

type Components = { [name: string]: ComponentType<object> };

const documents = import.meta.glob<Components>("../documents/react/*.tsx");

export async function mount(root: Element, parameters: URLSearchParams) {
  const components = await documents[`../documents/react/${parameters.get("document")}.tsx`]!();
  const provider = components[parameters.get("provider") ?? ""] ?? Fragment;
  const names = parameters.getAll("component");
  const shown = names.map((name, key) => createElement(components[name]!, { key }));
  const react = createRoot(root);
  react.render(<StrictMode>{createElement(provider, null, shown)}</StrictMode>);
  Object.assign(window, { ready: true, unmount: () => react.unmount() });
}
