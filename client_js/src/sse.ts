// The event stream parser: chunks of text in, the data of each event out (FRM-1, SSE-1). Pure.

/**
 * Reads `data:` lines; every other field and comment is passed over, as the HTML standard says.
 * Lines end with LF, CR or CRLF, and at nothing else: U+2028 may stand in a frame (FRM-2).
 */
export class EventParser {
  _rest = "";
  _data = "";

  /** Answers the data of each event that this chunk completes. */
  push(chunk: string): string[] {
    const events: string[] = [];
    const text = this._rest + chunk;
    let start = 0;
    // A CR that ends the chunk waits for the next one: it may be half of a CRLF.
    for (const end of text.matchAll(/\r\n|\n|\r(?!$)/g)) {
      const line = text.slice(start, end.index);
      start = end.index! + end[0].length;
      const field = /^data: ?(.*)/s.exec(line);
      if (field) this._data += "\n" + field[1];
      if (!line && this._data) {
        events.push(this._data.slice(1));
        this._data = "";
      }
    }
    this._rest = text.slice(start);
    return events;
  }
}
