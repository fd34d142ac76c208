// What the components of the page share.
import * as React from "react";
import type { ReactNode } from "react";

/** What the test decides. */
export interface View {
  /** The name of the test, by which the server knows its sessions. */
  page: string;
  /** The address of the hubs. */
  hubs: string;
  mounted: boolean;
  key: number;
  /** The room of the URL; without one there is no URL. */
  room: string | null;
  /** Changes nothing but that everything is rendered. */
  tick: number;
  name: string;
  /** Whether there is a second list, and one of the last three messages. */
  late: boolean;
  /** Whether nothing takes the messages. */
  bare: boolean;
  /** Whether the first list is in an `Activity` that is hidden; or everything, the channel too. */
  listHidden: boolean;
  hidden: boolean;
  /** Whether the owner of the channel suspends. */
  waiting: boolean;
  /** Milliseconds that it takes to render a list. */
  slow: number;
  transports: string[] | undefined;
}

const nothing = () => ({
  /** Lists that had a gap or a repeated number. */
  wrong: [] as unknown[],
  /** What a listener got, and the tick that it saw. */
  heard: [] as [number, unknown][],
  /** Other events. */
  told: [] as string[],
  /** The channels that the components were given. */
  channels: [] as unknown[],
  /** How often a list was rendered. */
  renders: 0,
});

/** What happened in this test. */
export const seen = nothing();
export const forget = () => Object.assign(seen, nothing());

/** What a component waits for. */
export const endless = new Promise<never>(() => {});

/** Hides its children as React 19 can; React 18 always shows them. */
export function Hideable({ isHidden, children }: { isHidden: boolean; children: ReactNode }) {
  if (!React.Activity) return children;
  return <React.Activity mode={isHidden ? "hidden" : "visible"}>{children}</React.Activity>;
}
