// The event stream parser: chunks of text in, the data of each event out (FRM-1, SSE-1). Pure.

/**
 * Makes a parser of one stream: given a chunk, it answers the data of each event that the chunk completes.
 *
 * It reads `data:` lines; every other field and comment is passed over, as the HTML standard says. Lines end
 * with LF, CR or CRLF, and at nothing else: U+2028 may stand in a frame (FRM-2).
 */
export function eventParser(): (chunk: string) => string[] {
  let rest = "";
  const data: string[] = [];
  return (chunk) => {
    const events: string[] = [];
    // A CR that ends the chunk waits for the next one: it may be half of a CRLF.
    const lines = (rest + chunk).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines)
      if (line) data.push(...line.split(/^data: ?/).slice(1));
      else if (data.length) events.push(data.splice(0).join("\n"));
    return events;
  };
}
