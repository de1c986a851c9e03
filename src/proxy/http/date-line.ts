/** `date: <IMF-fixdate>\r\n`, made once per second. */
export class DateLine {
  #bytes = new Uint8Array(0);
  /** On the clock of the caller: until then `#bytes` is right. */
  #until = Number.NEGATIVE_INFINITY;

  /** The line for now; `now` is a monotonic time in milliseconds. */
  at(now: number): Uint8Array {
    if (now >= this.#until) {
      const wall = Date.now();
      this.#bytes = Uint8Array.from(Buffer.from(`date: ${new Date(wall).toUTCString()}\r\n`, 'latin1'));
      this.#until = now + 1000 - (wall % 1000);
    }
    return this.#bytes;
  }
}
