// What the documents leave to the page.
declare function show(...values: unknown[]): void;
