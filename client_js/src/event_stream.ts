// The event stream parser: chunks of text in, frames out (FRM-1, SSE-1). Pure.

/**
 * Makes a parser of one stream: given a chunk, it answers the frames that the chunk completes.
 *
 * Each `data:` line is one; every other field and comment is passed over. Lines end with LF, CR or CRLF, and
 * at nothing else: U+2028 may stand in a frame (FRM-2).
 */
export function eventParser(): (chunk: string) => string[] {
  let rest = "";
  return (chunk) => {
    const lines = (rest + chunk).split(/[\r\n]/);
    rest = lines.pop()!;
    return lines.flatMap((line) => line.split(/^data: ?/).slice(1));
  };
}
