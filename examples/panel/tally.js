/** Counts numbered events of one feed: which arrived, which are missing, which came again. */
export class Tally {
  run = "";
  first = 1;
  next = 1;
  received = 0;
  recovered = 0;
  doubled = 0;
  /** Events that arrived after a later one. */
  late = 0;
  missing = new Set();
  /** Whether it began again, because the server has. */
  isAnew = false;

  /** How many events there were, as far as this page can know. */
  get sent() {
    return this.next - this.first;
  }

  get lost() {
    return this.missing.size;
  }

  /** Takes the server's first message on a connection or in a session: `from` is the number of its next event. */
  begin({ from, run }) {
    if (run !== this.run) Object.assign(this, new Tally(), { run, first: from, next: from, isAnew: this.run !== "" });
    this.skipTo(from);
  }

  /** Counts an event. `recovered`: whether it was sent while this page was cut off. */
  add(number, recovered) {
    this.skipTo(number);
    if (number === this.next) this.next++;
    else if (this.missing.delete(number)) this.late++;
    else {
      this.doubled++;
      return;
    }
    this.received++;
    if (recovered) this.recovered++;
  }

  skipTo(number) {
    while (this.next < number) this.missing.add(this.next++);
  }
}
