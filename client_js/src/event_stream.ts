// A parser of event streams: chunks of text go in, frames come out (FRM-1, SSE-1). Pure.

/**
 * Makes a parser of one stream. Given a chunk, it returns the frames that the chunk completes.
 *
 * Each `data:` line is a frame; other fields and comments are ignored. Lines end with LF, CR or CRLF, and with
 * nothing else: U+2028 may be part of a frame (FRM-2). Each chunk is read once, so that a frame of many chunks takes
 * linear time: `rest` is only added to until its line is complete, which engines do without copying.
 */
export function eventParser(): (chunk: string) => string[] {
  let rest = "";
  return (chunk) => {
    const lines = chunk.split(/[\r\n]/);
    lines[0] = rest + lines[0];
    rest = lines.pop()!;
    return lines.flatMap((line) => line.split(/^data: ?/).slice(1));
  };
}
