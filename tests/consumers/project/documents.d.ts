/// <reference types="onechannel/global" />
// What the documents leave to the page.
declare function show(...values: unknown[]): void;
declare const channel: import("onechannel").Channel;
