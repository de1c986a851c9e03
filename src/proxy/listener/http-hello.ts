/** Longest request line that is waited for. */
const MAX_LINE_BYTES = 8192;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/**
 * Recognises HTTP by its first bytes, as Envoy's HTTP inspector does: the application protocol (`http/1.0`, `http/1.1`, `h2c`), `more` where the first
 * line is not whole yet, undefined where it is something else.
 */
export function readHttpHello(bytes: Uint8Array): 'http/1.0' | 'http/1.1' | 'h2c' | 'more' | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_LINE_BYTES)).toString('latin1');
  if (text.startsWith(PREFACE)) return 'h2c';
  if (PREFACE.startsWith(text)) return 'more';
  const end = text.indexOf('\n');
  if (end < 0) {
    // A method is a token of upper-case letters in all that is used; anything else cannot become a request line.
    const isStart = /^[A-Z][A-Z-]{0,31}(?: [ -~\u0080-\u00ff]*)?\r?$/.test(text);
    return isStart && text.length < MAX_LINE_BYTES ? 'more' : undefined;
  }
  const version = /^[A-Z][A-Z-]{0,31} [!-~\u0080-\u00ff]+ HTTP\/1\.([01])\r?$/.exec(text.slice(0, end))?.[1];
  return version === undefined ? undefined : version === '1' ? 'http/1.1' : 'http/1.0';
}
