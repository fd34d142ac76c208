// A page that a test starts with `begin` and changes with `change`.
import { Component, StrictMode, Suspense, startTransition, useEffect, useState } from "react";
import type { ReactNode } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import type { Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { Room } from "./room.tsx";
import { Hideable, forget, seen } from "./view.tsx";
import type { View } from "./view.tsx";

/** Shows the error of what is in it. */
class Boundary extends Component<{ children: ReactNode }, { message: string }> {
  override state = { message: "" };

  static getDerivedStateFromError(error: Error) {
    return { message: error.message };
  }

  override render() {
    const { message } = this.state;
    return message ? <output id="error">{message}</output> : this.props.children;
  }
}

/** What a page shows at first, unless the test decides. */
const FIRST: Omit<View, "page" | "hubs"> = {
  mounted: true,
  key: 0,
  room: "a",
  tick: 0,
  name: "ann",
  late: false,
  listHidden: false,
  hidden: false,
  bare: false,
  waiting: false,
  slow: 0,
  transports: undefined,
};

type First = Partial<View> & Pick<View, "page" | "hubs">;

function App({ first }: { first: First }) {
  const [view, setView] = useState<View>({ ...FIRST, ...first });
  useEffect(() => {
    const change = (patch: Partial<View>) => setView((old) => ({ ...old, ...patch }));
    const changeLater = (patch: Partial<View>) => startTransition(() => change(patch));
    Object.assign(window, { change, changeLater });
    dispatchEvent(new Event("mounted"));
  }, []);
  return (
    <Boundary>
      <Suspense fallback="waiting">
        <Hideable isHidden={view.hidden}>{view.mounted && <Room {...view} key={view.key} />}</Hideable>
      </Suspense>
    </Boundary>
  );
}

export function mount(root: Element) {
  let react: Root | undefined;

  /** Shows `first`, in place of what the page showed before. Resolves when it is mounted. */
  async function begin(first: First, isHydrated: boolean) {
    react?.unmount();
    Object.assign(window, { channel: null });
    forget();
    const app = (
      <StrictMode>
        <App first={first} />
      </StrictMode>
    );
    const isMounted = new Promise((resolve) => addEventListener("mounted", resolve, { once: true }));
    root.innerHTML = isHydrated ? renderToString(app) : "";
    if (isHydrated) react = hydrateRoot(root, app);
    else {
      react = createRoot(root);
      react.render(app);
    }
    await isMounted;
  }

  Object.assign(window, { begin, seen, ready: true });
}
