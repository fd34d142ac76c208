// A parser of event streams: chunks of text go in, frames come out (FRM-1, SSE-1). Pure.

/**
 * Makes a parser of one stream. Given a chunk, it returns the frames that the chunk completes.
 *
 * Each `data:` line is a frame; other fields and comments are ignored. Lines end with LF, CR or CRLF, and with
 * nothing else: U+2028 may be part of a frame (FRM-2).
 */
export function eventParser(): (chunk: string) => string[] {
  let rest = "";
  return (chunk) => {
    const lines = (rest + chunk).split(/[\r\n]/);
    rest = lines.pop()!;
    return lines.flatMap((line) => line.split(/^data: ?/).slice(1));
  };
}
