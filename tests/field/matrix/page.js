// The functions of a page of the matrix, evaluated after the page was loaded.
() => {
  const talk = (globalThis.talk = {
    sent: 0,
    received: [],
    /** The time when a transport took over, or a gap ended. */
    backAt: 0,
    repairedAt: 0,
    gaps: 0,
    resets: [],
    /** The numbers of messages that a reset reported as possibly lost. */
    reported: [],
    quiet: false,
  });
  const FILLS = ["", "x".repeat(300), "\u00fc".repeat(3000), "x".repeat(40000)];

  /** Sends the next message, which is usually small. */
  const say = () => {
    const number = ++talk.sent;
    const fill = FILLS[number % 100 ? (number % 10 ? number % 2 : 2) : 3];
    channel.send({ number, fill });
  };
  const back = () => (talk.backAt = performance.now());

  /** Opens the channel; resolves to the seconds until the answer to a first message arrived. */
  globalThis.begin = async (options) => {
    const begun = performance.now();
    const channel = (globalThis.channel = new Channel("/chat", options));
    channel.addEventListener("message", ({ data }) => talk.received.push([data.server, data.number]));
    // A new session is `open`, not `resumed`.
    for (const event of ["transport", "resumed", "open"]) channel.addEventListener(event, back);
    channel.addEventListener("recovering", () => talk.gaps++);
    channel.addEventListener("reset", ({ reason, sends }) => {
      talk.resets.push(reason);
      for (const { message, fate } of sends) if (fate !== "handled") talk.reported.push(message.number);
    });
    say();
    await new Promise((resolve) => channel.addEventListener("message", resolve, { once: true }));
    return (performance.now() - begun) / 1000;
  };

  /** Sends five messages every 20 ms until `quiet` is set. */
  globalThis.chat = async () => {
    for (talk.quiet = false; !talk.quiet; ) {
      for (let count = 0; count < 5; count++) say();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
}
